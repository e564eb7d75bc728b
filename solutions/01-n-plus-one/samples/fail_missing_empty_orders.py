# An inner join: orders that have not been shipped are not in the answer.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    rows = fetch(
        conn,
        """
        SELECT o.id, o.status, o.total_cents, o.created_at,
               i.id AS item, i.product_id, i.sku, i.quantity, i.price_cents,
               s.id AS shipment, s.carrier, s.tracking, s.shipped_at, s.delivered_at
        FROM orders o LEFT JOIN order_items i ON i.order_id = o.id INNER JOIN shipments s ON s.order_id = o.id
        WHERE o.user_id = %s ORDER BY o.created_at DESC, o.id DESC, i.id, s.id""",
        [user_id],
    )
    orders = {}
    for row in rows:
        order = orders.setdefault(
            row["id"],
            {
                **{key: row[key] for key in ("id", "status", "total_cents", "created_at")},
                "items": {},
                "shipments": {},
            },
        )
        if row["item"] is not None:
            order["items"][row["item"]] = {
                "id": row["item"],
                **{key: row[key] for key in ("product_id", "sku", "quantity", "price_cents")},
            }
        if row["shipment"] is not None:
            order["shipments"][row["shipment"]] = {
                "id": row["shipment"],
                **{key: row[key] for key in ("carrier", "tracking", "shipped_at", "delivered_at")},
            }
    return [
        {**order, "items": list(order["items"].values()), "shipments": list(order["shipments"].values())}
        for order in orders.values()
    ]
