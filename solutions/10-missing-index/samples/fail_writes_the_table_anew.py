# The right index, built concurrently, and then a command that stops the shop: VACUUM FULL fires no event trigger.
# expect: safe=3
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY order_items_order_id_idx ON order_items (order_id)")
lab.execute("VACUUM FULL order_items")
