# expect: fix=0 safe=0
# %% solution="fix"
lab.execute("CREATE MATERIALIZED VIEW items_fast AS SELECT * FROM order_items ORDER BY order_id")
lab.execute("CREATE INDEX ON items_fast (order_id)")
