"""The order page: what the application asks the database on each request."""

from typing import Any

import psycopg

ORDER = "SELECT id, user_id, status, total_cents, created_at FROM orders WHERE id = %s"
ITEMS = "SELECT id, product_id, sku, quantity, price_cents FROM order_items WHERE order_id = %s ORDER BY id"
SHIPMENTS = "SELECT id, carrier, tracking, shipped_at FROM shipments WHERE order_id = %s ORDER BY id"


def order_page(conn: psycopg.Connection[Any], order_id: int) -> dict[str, Any]:
    """One request: an order, its items and its shipments."""
    return {
        "order": conn.execute(ORDER, [order_id]).fetchone(),
        "items": conn.execute(ITEMS, [order_id]).fetchall(),
        "shipments": conn.execute(SHIPMENTS, [order_id]).fetchall(),
    }
