# lab: 10-missing-index
# tries: all the memory there is.
# needs: sandbox
# expect: fix=0 safe=0
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
kept = []
while True:
    kept.append(bytearray(1 << 26))
