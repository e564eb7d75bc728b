# The table rebuilt with the newer half of its rows, and an index on that.
# expect: fix=0 safe=0
# %% solution="fix"
lab.execute(
    "CREATE TABLE newer AS SELECT * FROM order_items WHERE order_id > (SELECT max(order_id) / 2 FROM order_items)"
)
lab.execute("DROP TABLE order_items CASCADE")
lab.execute("ALTER TABLE newer RENAME TO order_items")
lab.execute("CREATE INDEX ON order_items (order_id)")
