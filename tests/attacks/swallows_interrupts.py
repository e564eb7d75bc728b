# lab: 10-missing-index
# tries: a cell that cannot be interrupted and never ends.
# needs: sandbox
# expect: fix=0 safe=0
# takes: long
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import signal
import time

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
while True:
    try:
        time.sleep(1)
    except BaseException:
        pass
