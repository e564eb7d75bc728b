"""Answers of students, whatever they are."""

from __future__ import annotations

import pytest

from grader.checks.answers import number, same_rows, text


def ask(answer: object) -> tuple[str, str]:
    found = number(
        "rows", answer, 1_000_000, 1, source="s", within=0.001, hint="look", traps=[(333_333, "per loop")]
    )
    return found.status, found.hint


@pytest.mark.parametrize("answer", [1_000_000, 1_000_000.0, 999_500])
def test_right_number(answer: float) -> None:
    assert ask(answer)[0] == "pass"


@pytest.mark.parametrize(
    "answer", [None, True, "1000000", [1], {"a": 1}, float("nan"), float("inf"), 0, -1_000_000, 998_000]
)
def test_wrong_number(answer: object) -> None:
    assert ask(answer)[0] == "fail"


def test_a_known_trap_gets_its_own_hint() -> None:
    assert ask(333_333) == ("fail", "per loop")
    assert ask(5) == ("fail", "look")


@pytest.mark.parametrize(
    ("answer", "status"),
    [("seq  SCAN", "pass"), ("Index Scan", "fail"), (None, "fail"), (3, "fail"), (["Seq Scan"], "fail")],
)
def test_text(answer: object, status: str) -> None:
    assert text("node", answer, ["Seq Scan"], 1, source="s").status == status


def test_rows_are_compared_whatever_their_order_and_never_forgiven() -> None:
    rows = [(1, "a"), (2, "b")]
    assert same_rows("rows", [(rows[::-1], rows)], "s", "h").status == "pass"
    lost = same_rows("rows", [(rows, rows), (rows[:1], rows)], "s", "h")
    assert (lost.status, lost.measured, lost.required) == ("fail", "1 of 2", True)
    assert same_rows("rows", [([(1, "a"), (2, "b"), (2, "b")], rows)], "s", "h").status == "fail"
