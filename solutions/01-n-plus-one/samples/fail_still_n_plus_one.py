# Prepared, tidy, and still a statement per order.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    def details(order):
        return {
            **order,
            "items": fetch(conn, ITEMS, [order["id"]]),
            "shipments": fetch(conn, SHIPMENTS, [order["id"]]),
        }

    return [details(order) for order in fetch(conn, ORDERS, [user_id])]
