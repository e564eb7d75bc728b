# lab: 01-n-plus-one
# tries: load all tables into the kernel beforehand, and only ask for rows with greater ids than it knows.
# expect: fix=0 safe=0
# %% solution="fix"
from collections import defaultdict

from psycopg.rows import dict_row

with lab.connect(row_factory=dict_row) as own:
    own.execute("SET work_mem = '64MB'")
    every = {
        t: own.execute(f"SELECT * FROM {t} ORDER BY id").fetchall()
        for t in ("orders", "order_items", "shipments")
    }
most = {table: rows[-1]["id"] for table, rows in every.items()}
FIELDS = {
    "orders": ("id", "status", "total_cents", "created_at"),
    "order_items": ("id", "product_id", "sku", "quantity", "price_cents"),
    "shipments": ("id", "carrier", "tracking", "shipped_at", "delivered_at"),
}


def grouped(rows, table, by):
    found = defaultdict(list)
    for row in rows:
        found[row[by]].append({field: row[field] for field in FIELDS[table]})
    return found


old = [
    grouped(every["orders"], "orders", "user_id"),
    grouped(every["order_items"], "order_items", "order_id"),
    grouped(every["shipments"], "shipments", "order_id"),
]
del every


def get_order_summary(conn, user_id):
    new = [
        grouped(fetch(conn, f"SELECT * FROM {t} WHERE id > %s", [most[t]]), t, by)
        for t, by in (("orders", "user_id"), ("order_items", "order_id"), ("shipments", "order_id"))
    ]
    orders = [dict(order) for order in old[0][user_id] + new[0][user_id]]
    for order in orders:
        order["items"] = old[1][order["id"]] + new[1][order["id"]]
        order["shipments"] = old[2][order["id"]] + new[2][order["id"]]
    return sorted(orders, key=lambda order: (order["created_at"], order["id"]), reverse=True)
