# Every answer was worked out beforehand.
# expect: fix=0 safe=0
# %% solution="fix"
lab.execute("""
CREATE TABLE summaries AS
SELECT o.user_id, o.created_at, o.id, json_build_object(
    'id', o.id, 'status', o.status, 'total_cents', o.total_cents, 'created_at', o.created_at,
    'items', (SELECT coalesce(json_agg(json_build_object('id', i.id, 'product_id', i.product_id, 'sku', i.sku,
                'quantity', i.quantity, 'price_cents', i.price_cents) ORDER BY i.id), '[]')
              FROM order_items i WHERE i.order_id = o.id),
    'shipments', (SELECT coalesce(json_agg(json_build_object('id', s.id, 'carrier', s.carrier, 'tracking', s.tracking,
                'shipped_at', s.shipped_at, 'delivered_at', s.delivered_at) ORDER BY s.id), '[]')
              FROM shipments s WHERE s.order_id = o.id)) AS summary
FROM orders o""")
lab.execute("CREATE INDEX ON summaries (user_id, created_at)")


def get_order_summary(conn, user_id):
    rows = conn.execute(
        "SELECT summary FROM summaries WHERE user_id = %s ORDER BY created_at DESC, id DESC", [user_id]
    )
    return [row[0] for row in rows]
