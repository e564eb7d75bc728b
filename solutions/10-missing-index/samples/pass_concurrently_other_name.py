# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY items_by_order ON order_items USING btree (order_id)")
