# %% solution="fix"
lab.execute(
    "CREATE INDEX CONCURRENTLY ON order_items (order_id, id) INCLUDE (product_id, sku, quantity, price_cents)"
)
