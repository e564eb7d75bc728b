"""What a submission may say and do to the referee: whose doing an error is, and texts, numbers and comments that mislead."""

from __future__ import annotations

import json
import socket
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from grader.application import begun
from grader.blame import students_own
from grader.checks import answers
from grader.verdict import LONGEST_TEXT, Target, Verdict, harmless
from pglab.errors import RefereeError
from pglab.measure import Query
from pglab.wire import DEEPEST, Channel


class Said(psycopg.Error):
    """An error as the server tells it."""

    def __init__(self, code: str | None, context: str | None = None) -> None:
        super().__init__("told")
        self.sqlstate = code
        self._context = context

    @property
    def diag(self) -> Any:
        return SimpleNamespace(context=self._context)


@pytest.mark.parametrize(
    ("code", "context", "theirs"),
    [
        ("42P01", None, True), ("23514", None, True), ("54000", None, True), ("25006", None, True),
        ("53100", None, False), ("57P01", None, False), ("58030", None, False), ("XX000", None, False), ("08006", None, False), (None, None, False),
        ("53100", 'PL/pgSQL function sting() line 3 at RAISE', True), ("57P01", 'SQL statement "…"\nPL/pgSQL function sting() line 3 at PERFORM', True),
        ("XX000", 'SQL function "wide" statement 1', True),
        # a foreign key's own query, which the server runs in its own right
        ("53100", 'SQL statement "SELECT 1 FROM ONLY "public"."orders" x WHERE "id" = $1"', False),
    ],
)  # fmt: skip
def test_an_error_is_the_submissions_where_the_server_shows_it(
    code: str | None, context: str | None, theirs: bool
) -> None:
    assert students_own(Said(code, context)) == theirs


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("BEGIN", True), ("/* a */ -- b\n set x = 1", True), ("/* /* */ */ commit", True), ("-- x", False),
        ("/* /* */ begin */ SELECT 1", False), ("/* begin", False), ("-- begin\nSELECT 1", False), ("settle()", False), ("SELECT 'begin'", False),
    ],
)  # fmt: skip
def test_comments_hide_no_statement(text: str, control: bool) -> None:
    assert Query(text, 1, 0, 0, 0, 0, 0.0).control == control


def test_what_failed_was_begun_too() -> None:
    failed, ran, prepared = (
        Query("SELECT", calls, 0, 0, 0, 0, 0.0, plans) for calls, plans in ((0, 7), (3, 3), (9, 0))
    )
    assert begun([failed]) == 7
    assert begun([ran]) == 3
    assert begun([prepared]) == 9
    assert begun([failed, ran]) == 10
    assert begun([]) == 0


def test_text_of_a_students_can_be_written_anywhere() -> None:
    assert harmless("≤ 3, 10 µs\n") == "≤ 3, 10 µs\n"
    assert harmless("\x1b[31m\x00\ud800") == "\N{REPLACEMENT CHARACTER}[31m" + 2 * "\N{REPLACEMENT CHARACTER}"
    assert harmless(5) == 5
    assert len(harmless("x" * 10**6)) == LONGEST_TEXT
    target = Target("a", "fail", "\ud800" * 5000, "b", "c", "d")
    json.dumps(Verdict("fix", "fix", "", 1, [target]).as_dict(), ensure_ascii=False).encode()


@pytest.mark.parametrize("answer", [10**400, -(10**400), float("nan"), float("inf"), True, "5", [5]])
def test_what_is_no_number_is_a_fail(answer: Any) -> None:
    assert answers.number("n", answer, 5, 1, source="s", traps=[(7, "t")]).status == "fail"


@pytest.mark.parametrize(("levels", "taken"), [(DEEPEST - 1, True), (DEEPEST + 1, False), (900, False)])
def test_a_message_may_not_be_nested_deep(levels: int, taken: bool) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b'{"answer": ' + b"[" * levels + b"]" * levels + b"}\n")
        if taken:
            assert Channel(other).receive() is not None
        else:
            with pytest.raises(RefereeError, match="nested too deep"):
                Channel(other).receive()
