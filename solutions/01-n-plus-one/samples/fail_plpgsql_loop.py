# One statement from the application, and the loop in the database.
# expect: fix=0 safe=0
# %% solution="fix"
lab.execute("""
CREATE FUNCTION order_summary(wanted bigint) RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    one record;
    items json;
    parcels json;
    found json[] := '{}';
BEGIN
    FOR one IN SELECT id, status, total_cents, created_at FROM orders WHERE user_id = wanted ORDER BY created_at DESC, id DESC LOOP
        SELECT coalesce(json_agg(json_build_object('id', i.id, 'product_id', i.product_id, 'sku', i.sku,
            'quantity', i.quantity, 'price_cents', i.price_cents) ORDER BY i.id), '[]')
        INTO items FROM order_items i WHERE i.order_id = one.id;
        SELECT coalesce(json_agg(json_build_object('id', s.id, 'carrier', s.carrier, 'tracking', s.tracking,
            'shipped_at', s.shipped_at, 'delivered_at', s.delivered_at) ORDER BY s.id), '[]')
        INTO parcels FROM shipments s WHERE s.order_id = one.id;
        found := found || json_build_object('id', one.id, 'status', one.status, 'total_cents', one.total_cents,
            'created_at', one.created_at, 'items', items, 'shipments', parcels);
    END LOOP;
    RETURN array_to_json(found);
END $$""")


def get_order_summary(conn, user_id):
    return conn.execute("SELECT order_summary(%s)", [user_id]).fetchone()[0]
