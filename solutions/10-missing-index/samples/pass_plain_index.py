# A right index, built with a lock that makes every writer wait: all but the point for that.
# expect: fix=5 safe=3
# %% solution="fix"
lab.execute("CREATE INDEX ON order_items (order_id)")
