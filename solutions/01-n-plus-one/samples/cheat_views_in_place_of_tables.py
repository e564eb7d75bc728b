# Views over smaller tables answer under the tables' names.
# expect: fix=0 safe=0
# %% solution="fix"
lab.execute("ALTER TABLE order_items RENAME TO all_items")
lab.execute("CREATE VIEW order_items AS SELECT * FROM all_items WHERE false")
lab.execute("ALTER TABLE shipments RENAME TO all_shipments")
lab.execute("CREATE VIEW shipments AS SELECT * FROM all_shipments WHERE false")


def get_order_summary(conn, user_id):
    return [{**order, "items": [], "shipments": []} for order in fetch(conn, ORDERS, [user_id])]
