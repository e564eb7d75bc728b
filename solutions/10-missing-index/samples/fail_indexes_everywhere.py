# The right index among many: larger together than the table.
# expect: fix=5 safe=3
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id, id, product_id, sku, quantity, price_cents)")
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (sku, order_id, product_id, quantity, price_cents)")
