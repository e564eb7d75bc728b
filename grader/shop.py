"""The shop while it is open: users drawn by how much they bought, orders that the referee places, lists of orders
compared."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from grader.checks.structure import first_difference

FRESH_ID: Final = 10**12  # and above: ids of rows that the referee inserts while it judges
NOW: Final = datetime(2025, 1, 1, tzinfo=UTC)  # the dataset's
MOST_DRAWN: Final = 3000  # one user in a hundred has 300 orders

Order = dict[str, Any]  # with "items" and "shipments", lists of dicts


def users_by_orders(
    conn: psycopg.Connection[Any],
    rng: random.Random,
    users: int,
    sizes: Sequence[int],
    each: int,
    but: Sequence[int] = (),
) -> dict[int, list[int]]:
    """Number of orders → so many users that have it, drawn.

    Args:
        conn: to a database with the dataset, such as the oracle's; users: how many there are; each: users for each
        size; but: those not to draw.
    """
    drawn = [user for user in rng.sample(range(1, users + 1), min(users, MOST_DRAWN)) if user not in but]
    counts = dict(
        conn.execute(
            "SELECT user_id, count(*) FROM orders WHERE user_id = ANY(%s) GROUP BY user_id", [drawn]
        ).fetchall()
    )
    return {size: [user for user in drawn if counts.get(user) == size][:each] for size in sizes}


def new_orders(rng: random.Random, count: int, first_id: int, since: datetime) -> list[Order]:
    """Orders, newest first: with no to five items, and none, one or two parcels; the first three show each case."""
    shapes = [(3, 2), (0, 0), (2, 0)]
    shapes += [(rng.randrange(1, 6), rng.choice([0, 1, 1, 1, 2])) for _ in range(count)]
    made = []
    for number, (items, parcels) in enumerate(shapes[:count]):
        at = since + timedelta(minutes=7 * number)
        order = {
            "id": first_id + number,
            "status": "shipped" if parcels else "paid",
            "total_cents": rng.randrange(100, 99_999),
            "created_at": at,
            "items": [
                {
                    "id": first_id + 8 * number + item,
                    "product_id": rng.randrange(1, 100),
                    "sku": f"SKU-{rng.randrange(10**6)}",
                    "quantity": rng.randrange(1, 5),
                    "price_cents": rng.randrange(100, 9_999),
                }
                for item in range(items)
            ],
            "shipments": [
                {
                    "id": first_id + 8 * number + parcel,
                    "carrier": rng.choice(["DHL", "UPS", "GLS"]),
                    "tracking": f"JD{rng.randrange(10**12, 10**13)}",
                    "shipped_at": at + timedelta(hours=3 + parcel),
                    "delivered_at": None,
                }
                for parcel in range(parcels)
            ],
        }
        made.append(order)
    return made[::-1]


def place(conn: psycopg.Connection[Any], user: int, orders: Sequence[Order]) -> None:
    """Write such orders for a user."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO public.orders (id, user_id, status, total_cents, created_at, updated_at, payment_method, "
            "shipping_address, billing_address) VALUES (%(id)s, %(user)s, %(status)s, %(total_cents)s, %(created_at)s, "
            "%(created_at)s, 'card', '1 Mill Lane', '1 Mill Lane')",
            [
                {"user": user, **{key: order[key] for key in ("id", "status", "total_cents", "created_at")}}
                for order in orders
            ],
        )
        cursor.executemany(
            "INSERT INTO public.order_items (id, order_id, product_id, sku, quantity, price_cents) "
            "VALUES (%(id)s, %(order)s, %(product_id)s, %(sku)s, %(quantity)s, %(price_cents)s)",
            [{"order": order["id"], **item} for order in orders for item in order["items"]],
        )
        cursor.executemany(
            "INSERT INTO public.shipments (id, order_id, carrier, tracking, shipped_at, delivered_at, service, "
            "tracking_url) VALUES (%(id)s, %(order)s, %(carrier)s, %(tracking)s, %(shipped_at)s, %(delivered_at)s, "
            "'standard', 'https://tracking.example.com')",
            [{"order": order["id"], **parcel} for order in orders for parcel in order["shipments"]],
        )


def sweep(conn: psycopg.Connection[Any]) -> None:
    """Remove what a referee placed while it judged, also one that was killed."""
    for table in ("order_items", "shipments", "orders"):
        conn.execute(f"DELETE FROM public.{table} WHERE id >= %s", [FRESH_ID])  # noqa: S608


Change = tuple[str, str, int, Any, Any]  # table, column, id, as it is, as it becomes


def draw_changes(rng: random.Random, orders: Sequence[Order]) -> list[Change]:
    """What happens to orders that have been there for long: one's total, an item's quantity, a parcel's number."""
    drawn: list[Change] = []
    order = rng.choice(orders)
    drawn.append(("orders", "total_cents", order["id"], order["total_cents"], order["total_cents"] + rng.randrange(1, 900)))  # fmt: skip
    for table, part, column in (("order_items", "items", "quantity"), ("shipments", "shipments", "tracking")):
        rows = [row for order in orders for row in order[part]]
        if rows:
            row = rng.choice(rows)
            other = (
                row[column] + rng.randrange(1, 5)
                if column == "quantity"
                else f"JD{rng.randrange(10**12, 10**13)}"
            )
            drawn.append((table, column, row["id"], row[column], other))
    return drawn


def changed(orders: Sequence[Order], changes: Sequence[Change]) -> list[Order]:
    """Such orders after the changes."""
    after = copy.deepcopy(list(orders))
    parts = {"orders": after, "order_items": [i for o in after for i in o["items"]]}
    parts["shipments"] = [shipment for order in after for shipment in order["shipments"]]
    for table, column, number, _, value in changes:
        for row in parts[table]:
            if row["id"] == number:
                row[column] = value
    return after


def change(conn: psycopg.Connection[Any], changes: Sequence[Change], *, back: bool = False) -> None:
    """Write the changes, or put back what was there before."""
    for table, column, number, before, after in changes:
        statement = sql.SQL("UPDATE public.{} SET {} = %s WHERE id = %s")
        conn.execute(
            statement.format(sql.Identifier(table), sql.Identifier(column)),
            [before if back else after, number],
        )


def what_is_wrong(found: Any, wanted: list[Order]) -> str:
    """How a list of orders differs from the one that is wanted: the commonest faults by name, others by their place."""
    if not isinstance(found, list):
        return f"{first_difference(found, wanted)}; the docstring says what it looks like"
    if not all(isinstance(order, dict) and "id" in order for order in found):
        return "an entry is no dict with an 'id'; the docstring says what it looks like"
    by_id = {repr(order["id"]): order for order in wanted}
    ids = [repr(order["id"]) for order in found]
    missing = [order for name, order in by_id.items() if name not in ids]
    are = f"{len(missing)} of {len(wanted)} orders are missing"
    if missing and missing == [order for order in wanted if order["id"] >= FRESH_ID]:
        return f"{are}, those that were placed a moment ago: how old is what you answer with?"
    if missing and all(not order["shipments"] or not order["items"] for order in missing):
        return f"{are}, those without a shipment or without an item: what does a join do with them?"
    if missing:
        return are
    if len(ids) > len(set(ids)):
        return "an order comes more than once: a join gives a row for each item"
    if foreign := [name for name in ids if name not in by_id]:
        return f"{len(foreign)} of the orders are not this user's"
    if ids != list(by_id):
        return "the orders are right, their order is not: newest first"
    for order, right in zip(found, wanted, strict=True):
        for part in ("items", "shipments"):
            if isinstance(order.get(part), list) and len(order[part]) > len(right[part]) > 0:
                return (
                    f"an order with {len(right['items'])} items in {len(right['shipments'])} parcels "
                    f"shows {len(order[part])} {part}: a join of both makes a row for each pair"
                )
    return f"{first_difference(found, wanted)}; the docstring says what it looks like"
