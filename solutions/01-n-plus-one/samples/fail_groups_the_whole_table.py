# One statement and the right rows, and the server groups every item of the shop for it.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    return fetch(
        conn,
        """
        WITH i AS MATERIALIZED (
            SELECT order_id, json_agg(json_build_object('id', id, 'product_id', product_id, 'sku', sku,
                   'quantity', quantity, 'price_cents', price_cents) ORDER BY id) AS items
            FROM order_items GROUP BY order_id),
        s AS MATERIALIZED (
            SELECT order_id, json_agg(json_build_object('id', id, 'carrier', carrier, 'tracking', tracking,
                   'shipped_at', shipped_at, 'delivered_at', delivered_at) ORDER BY id) AS shipments
            FROM shipments GROUP BY order_id)
        SELECT o.id, o.status, o.total_cents, o.created_at,
               coalesce(i.items, '[]') AS items, coalesce(s.shipments, '[]') AS shipments
        FROM orders o LEFT JOIN i ON i.order_id = o.id LEFT JOIN s ON s.order_id = o.id
        WHERE o.user_id = %s ORDER BY o.created_at DESC, o.id DESC""",
        [user_id],
    )
