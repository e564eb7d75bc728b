# expect: fix=0 safe=0
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id) WHERE quantity > 1")
