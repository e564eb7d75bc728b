# lab: 10-missing-index
# tries: a process with a session of its own that goes on after the end.
# needs: sandbox
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import subprocess
import sys

CODE = """
import os, signal, time
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(1)
"""
subprocess.Popen([sys.executable, "-c", CODE], start_new_session=True, env={})
