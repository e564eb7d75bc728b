# lab: 10-missing-index
# tries: ask for thousands of checks and read no answer, from a child that outlives the kernel, so that the referee waits for it for ever.
# needs: sandbox
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")

# %% after
import json
import os
import subprocess
import sys

CODE = """
import json, os, socket, time
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["PGLAB_REFEREE"])
s.sendall(json.dumps({"hello": os.environ["PGLAB_REFEREE_SECRET"]}).encode() + b"\\n")
ask = json.dumps({"do": "check", "check": "diagnose-node", "answer": {"node": "Seq Scan", "table": "order_items"}}).encode() + b"\\n"
s.settimeout(2)
try:
    while True:
        s.sendall(ask)
except OSError:
    print("full", flush=True)
    s.settimeout(None)
    time.sleep(60)
"""
child = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, start_new_session=True)
print(child.stdout.readline())
