# Three statements, and Python does the rest.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    orders = fetch(conn, ORDERS, [user_id])
    by_id = {order["id"]: order for order in orders}
    for order in orders:
        order["items"], order["shipments"] = [], []
    for part, query in (
        ("items", "SELECT order_id, id, product_id, sku, quantity, price_cents FROM order_items ORDER BY id"),
        (
            "shipments",
            "SELECT order_id, id, carrier, tracking, shipped_at, delivered_at FROM shipments ORDER BY id",
        ),
    ):
        for row in fetch(conn, query, []):
            order_id = row.pop("order_id")
            if order_id in by_id:
                by_id[order_id][part].append(row)
    return orders
