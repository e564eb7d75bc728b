# lab: 01-n-plus-one
# tries: a comment within a comment, so that each statement looks as if it began with BEGIN.
# expect: fix=0 safe=0
# %% solution="fix"
MARK = "/* /* */ begin */ "


def get_order_summary(conn, user_id):
    conn.execute("SELECT 1")
    orders = fetch(conn, MARK + ORDERS, [user_id])
    for order in orders:
        order["items"] = fetch(conn, MARK + ITEMS, [order["id"]])
        order["shipments"] = fetch(conn, MARK + SHIPMENTS, [order["id"]])
    return orders
