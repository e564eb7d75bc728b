# All statements in one go: few round trips, and all the work as before.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    from psycopg.rows import dict_row

    orders = fetch(conn, ORDERS, [user_id])
    with conn.pipeline():
        sent = [
            (
                order,
                conn.cursor(row_factory=dict_row).execute(ITEMS, [order["id"]]),
                conn.cursor(row_factory=dict_row).execute(SHIPMENTS, [order["id"]]),
            )
            for order in orders
        ]
    for order, items, shipments in sent:
        order["items"], order["shipments"] = items.fetchall(), shipments.fetchall()
    return orders
