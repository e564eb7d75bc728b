# The right index, and a foreign key dropped "because it slows down writes".
# expect: fix=5 safe=2.5
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
lab.execute("ALTER TABLE order_items DROP CONSTRAINT order_items_product_id_fkey")
