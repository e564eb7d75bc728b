# Items in one batch, shipments one by one.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    orders = fetch(conn, ORDERS, [user_id])
    by_id = {order["id"]: order for order in orders}
    for order in orders:
        order["items"], order["shipments"] = [], []
    for row in fetch(
        conn,
        "SELECT order_id, id, product_id, sku, quantity, price_cents FROM order_items WHERE order_id = ANY(%s) ORDER BY id",
        [list(by_id)],
    ):
        by_id[row.pop("order_id")]["items"].append(row)
    for order in orders:
        order["shipments"] = fetch(conn, SHIPMENTS, [order["id"]])
    return orders
