# One statement, one row: the server builds the document.
# %% solution="fix"
def get_order_summary(conn, user_id):
    rows = conn.execute(
        """
        SELECT coalesce(json_agg(json_build_object(
            'id', o.id, 'status', o.status, 'total_cents', o.total_cents, 'created_at', o.created_at,
            'items', (SELECT coalesce(json_agg(json_build_object('id', i.id, 'product_id', i.product_id, 'sku', i.sku,
                        'quantity', i.quantity, 'price_cents', i.price_cents) ORDER BY i.id), '[]')
                      FROM order_items i WHERE i.order_id = o.id),
            'shipments', (SELECT coalesce(json_agg(json_build_object('id', s.id, 'carrier', s.carrier, 'tracking', s.tracking,
                        'shipped_at', s.shipped_at, 'delivered_at', s.delivered_at) ORDER BY s.id), '[]')
                      FROM shipments s WHERE s.order_id = o.id)
            ) ORDER BY o.created_at DESC, o.id DESC), '[]')
        FROM orders o WHERE o.user_id = %s""",
        [user_id],
    )
    return rows.fetchone()[0]
