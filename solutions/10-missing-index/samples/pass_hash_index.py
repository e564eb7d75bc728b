# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items USING hash (order_id)")
