"""What is made of the statements that the server counted."""

from __future__ import annotations

import pytest

from grader.application import Request
from grader.checks.queries import blocks_against, by_nobody_else, calls_per_request, rows_sent
from pglab.measure import Query


def query(text: str, calls: int, *, rows: int = 0, blocks: int = 0, toplevel: bool = True) -> Query:
    return Query(text, calls, rows, blocks, 0, 0, 1.0, 0, toplevel)


def request(*sent: Query, others: tuple[tuple[str, Query], ...] = (), label: str = "80 orders") -> Request:
    return Request(label, [], 5.0, sent, others)


THREE = request(*(query(f"SELECT {table}", 1, rows=80) for table in ("orders", "items", "shipments")))


@pytest.mark.parametrize(
    ("asked", "status", "hint"),
    [
        (THREE, "pass", ""),
        (request(query("BEGIN", 1), *THREE.sent, query("COMMIT", 1)), "pass", ""),
        (request(query("SELECT summary($1)", 1), query("SELECT all", 3, toplevel=False)), "pass", ""),
        (request(query("SELECT o", 1), query("SELECT i", 80)), "fail", "SELECT i ran 80 times"),
        (request(query("FETCH 1 FROM c", 80)), "fail", "FETCH 1 FROM c ran 80 times"),
        (request(query("SELECT f()", 1), query("SELECT i", 80, toplevel=False)), "fail", "which function"),
        (request(), "fail", "without any query"),
        (request(query("BEGIN", 1)), "fail", "without any query"),
    ],
)
def test_calls_per_request(asked: Request, status: str, hint: str) -> None:
    target = calls_per_request([THREE, asked], 3, 3)
    assert target.status == status
    assert hint in target.hint
    assert target.required


def test_one_statement_counted_in_two_entries_is_one_for_the_hint() -> None:
    asked = request(query("SELECT items", 40), query("SELECT items", 41), query("SELECT shipments", 79))
    assert "SELECT items ran 81 times" in calls_per_request([asked], 3, 3).hint


def test_statements_of_anybody_else_are_named() -> None:
    stray = request(*THREE.sent, others=(("lab_01", query("SELECT items", 80)),))
    target = by_nobody_else([THREE, stray])
    assert by_nobody_else([THREE]).status == "pass"
    assert (target.status, target.required) == ("fail", True)
    assert target.measured == "80, such as SELECT items as lab_01"


def test_rows_count_once_and_together() -> None:
    nested = request(query("SELECT f()", 1, rows=5), query("SELECT items", 1, rows=999, toplevel=False))
    assert rows_sent([THREE, nested], 245, 1, "why?").status == "pass"
    target = rows_sent([THREE, nested], 244, 1, "why?")
    assert (target.status, target.measured, target.hint) == ("fail", "245", "why?")


def test_blocks_against_those_of_the_incident() -> None:
    asked = request(query("SELECT f()", 1, blocks=100), query("SELECT items", 1, blocks=90, toplevel=False))
    assert blocks_against(25, asked, 4, 1, "why?").status == "pass"
    target = blocks_against(24, asked, 4, 1, "why?")
    assert (target.status, target.measured, target.hint, target.required) == ("fail", "100", "why?", True)
