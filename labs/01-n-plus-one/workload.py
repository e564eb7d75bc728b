"""The order summary: what the application sends when a customer opens "My orders"."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

ORDERS = "SELECT id, status, total_cents, created_at FROM orders WHERE user_id = %s ORDER BY created_at DESC, id DESC"
ITEMS = "SELECT id, product_id, sku, quantity, price_cents FROM order_items WHERE order_id = %s ORDER BY id"
SHIPMENTS = (
    "SELECT id, carrier, tracking, shipped_at, delivered_at FROM shipments WHERE order_id = %s ORDER BY id"
)


def fetch(conn: psycopg.Connection[Any], query: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    """Send one query and return its rows as dicts."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


def get_order_summary(conn: psycopg.Connection[Any], user_id: int) -> list[dict[str, Any]]:
    """A user's orders, newest first, as the release of Monday evening has it."""
    orders = fetch(conn, ORDERS, [user_id])
    for order in orders:
        order["items"] = fetch(conn, ITEMS, [order["id"]])
        order["shipments"] = fetch(conn, SHIPMENTS, [order["id"]])
    return orders
