# One honest statement over the connection that counts, the rest over another.
# expect: fix=0 safe=0
# %% solution="fix"
elsewhere = lab.connect()


def get_order_summary(conn, user_id):
    conn.execute("SELECT 1")
    orders = fetch(elsewhere, ORDERS, [user_id])
    for order in orders:
        order["items"] = fetch(elsewhere, ITEMS, [order["id"]])
        order["shipments"] = fetch(elsewhere, SHIPMENTS, [order["id"]])
    return orders
