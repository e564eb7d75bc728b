# The right index, and a clean-up on the way.
# expect: fix=5 safe=0
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
lab.execute("UPDATE order_items SET quantity = quantity + 1 WHERE id = 77")
