"""Orders that the referee places, and what is said of an answer that is not right."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from grader.shop import FRESH_ID, NOW, Order, new_orders, what_is_wrong
from pglab.wire import plain

OLD = plain(new_orders(random.Random(1), 6, 5_000, datetime(2024, 5, 1, tzinfo=UTC)))
FRESH = plain(new_orders(random.Random(2), 3, FRESH_ID, NOW))
WANTED: list[Order] = FRESH + OLD


def test_orders_are_newest_first_and_show_each_case() -> None:
    made = new_orders(random.Random(3), 40, 1_000, NOW)
    assert made == sorted(made, key=lambda order: order["created_at"], reverse=True)
    assert {(3, 2), (0, 0), (2, 0)} <= {(len(o["items"]), len(o["shipments"])) for o in made}
    for part in ("items", "shipments"):
        ids = [row["id"] for order in made for row in order[part]]
        assert len(ids) == len(set(ids))


def change(edit: Callable[[list[Order]], Any]) -> Any:
    found = copy.deepcopy(WANTED)
    edited = edit(found)
    return found if edited is None else edited


def double_items(found: list[Order]) -> None:
    for order in found:
        order["items"] = order["items"] * max(len(order["shipments"]), 1)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda found: found[3:], "3 of 9 orders are missing, those that were placed a moment ago"),
        (lambda found: [o for o in found if o["shipments"]], "without a shipment or without an item"),
        (lambda found: [o for o in found if o["items"]], "without a shipment or without an item"),
        (lambda found: found[:3], "6 of 9 orders are missing"),
        (lambda found: found[::-1], "newest first"),
        (lambda found: found + found[:1], "more than once"),
        (lambda found: [*found, {**found[0], "id": 7}], "1 of the orders are not this user's"),
        (double_items, "a join of both makes a row for each pair"),
        (lambda found: [{"shipping": o.pop("shipments"), **o} for o in found], "has no 'shipments'"),
        (lambda found: {"orders": found}, "a dict, a list is asked for"),
        (lambda found: [None], "an entry is no dict"),
        (lambda found: found[0].update(status="lost"), "'status' of entry 0"),
        (lambda found: [{**o, "id": [o["id"]]} for o in found], "are missing"),
    ],
)
def test_what_is_wrong_is_said(edit: Callable[[list[Order]], Any], said: str) -> None:
    assert said in what_is_wrong(change(edit), WANTED)
