# Three statements, the later two joined with orders: none needs the answer of the one before.
# %% solution="fix"
def get_order_summary(conn, user_id):
    orders = fetch(conn, ORDERS, [user_id])
    by_id = {order["id"]: order for order in orders}
    for order in orders:
        order["items"], order["shipments"] = [], []
    items = fetch(
        conn,
        "SELECT i.order_id, i.id, product_id, sku, quantity, price_cents FROM order_items i JOIN orders o ON o.id = i.order_id WHERE o.user_id = %s ORDER BY i.id",
        [user_id],
    )
    shipments = fetch(
        conn,
        "SELECT s.order_id, s.id, carrier, tracking, shipped_at, delivered_at FROM shipments s JOIN orders o ON o.id = s.order_id WHERE o.user_id = %s ORDER BY s.id",
        [user_id],
    )
    for part, rows in (("items", items), ("shipments", shipments)):
        for row in rows:
            by_id[row.pop("order_id")][part].append(row)
    return orders
