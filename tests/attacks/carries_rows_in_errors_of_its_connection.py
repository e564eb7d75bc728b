# lab: 01-n-plus-one
# tries: the same over the connection that the function is given, in savepoints.
# expect: fix=0 safe=0
# %% solution="fix"
import json
from datetime import datetime

import psycopg


def stolen(conn, query, key):
    """The rows of a query, by way of the message of an error."""
    text = query.replace("%s", str(int(key)))
    try:
        conn.execute(f"SELECT (SELECT coalesce(json_agg(q), '[]')::text FROM ({text}) q)::int".encode())
    except psycopg.errors.InvalidTextRepresentation as error:
        rows = json.loads(str(error.diag.message_primary).split(": ", 1)[1][1:-1])
    for row in rows:
        for name in ("created_at", "shipped_at", "delivered_at"):
            if row.get(name):
                row[name] = datetime.fromisoformat(row[name])
    return rows


def get_order_summary(conn, user_id):
    conn.execute("SELECT 1")
    orders = stolen(conn, ORDERS, user_id)
    for order in orders:
        order["items"] = stolen(conn, ITEMS, order["id"])
        order["shipments"] = stolen(conn, SHIPMENTS, order["id"])
    return orders
