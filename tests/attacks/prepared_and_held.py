# lab: 01-n-plus-one
# tries: prepared statements and cursors that are held, whose work was done before.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    conn.execute("DEALLOCATE ALL")
    conn.execute(
        "PREPARE its (bigint) AS SELECT id, product_id, sku, quantity, price_cents FROM order_items WHERE order_id = $1 ORDER BY id"
    )
    conn.execute(
        "PREPARE shs (bigint) AS SELECT id, carrier, tracking, shipped_at, delivered_at FROM shipments WHERE order_id = $1 ORDER BY id"
    )
    orders = fetch(conn, ORDERS, [user_id])
    for order in orders:
        order["items"] = fetch(conn, f"EXECUTE its({int(order['id'])})", None)
        order["shipments"] = fetch(conn, f"EXECUTE shs({int(order['id'])})", None)
    return orders
