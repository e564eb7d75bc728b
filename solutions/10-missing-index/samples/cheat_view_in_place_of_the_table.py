# A view over a smaller, indexed copy answers under the table's name.
# expect: fix=0 safe=0
# %% solution="fix"
lab.execute("ALTER TABLE order_items RENAME TO order_items_slow")
lab.execute("CREATE TABLE order_items_fast AS SELECT * FROM order_items_slow")
lab.execute("CREATE INDEX ON order_items_fast (order_id)")
lab.execute("CREATE VIEW order_items AS SELECT * FROM order_items_fast")
