# The right statements, with row locks that a page has no use for.
# expect: safe=2
# %% solution="fix"
def get_order_summary(conn, user_id):
    orders = fetch(conn, ORDERS, [user_id])
    by_id = {order["id"]: order for order in orders}
    for order in orders:
        order["items"], order["shipments"] = [], []
    for part, query in (
        (
            "items",
            "SELECT order_id, id, product_id, sku, quantity, price_cents FROM order_items WHERE order_id = ANY(%s) ORDER BY id FOR SHARE",
        ),
        (
            "shipments",
            "SELECT order_id, id, carrier, tracking, shipped_at, delivered_at FROM shipments WHERE order_id = ANY(%s) ORDER BY id FOR SHARE",
        ),
    ):
        for row in fetch(conn, query, [list(by_id)]):
            by_id[row.pop("order_id")][part].append(row)
    return orders
