"""How many statements a request took, who sent them, and what they read: counted by the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from grader.application import ONE_CONNECTION, Request, begun
from grader.verdict import Target

SOURCE: Final = "pg_stat_statements"


def by_nobody_else(requests: Sequence[Request]) -> Target:
    """Nothing reached the database but over the connection that the function was given; required."""
    strays = [stray for request in requests for stray in request.others]
    measured, hint = "none", ""
    if strays:
        role, most = max(strays, key=lambda stray: begun([stray[1]]))
        measured = f"{sum(begun([query]) for _, query in strays):,}, such as {short(most.text)} as {role}"
        hint = ONE_CONNECTION
    return Target(
        "statements over another connection", "fail" if strays else "pass", measured, "none", _source(requests),
        hint, required=True,
    )  # fmt: skip


def calls_per_request(requests: Sequence[Request], most: int, points: float) -> Target:
    """Each request sends 1 to `most` statements, and functions in the database run at most `most` for it; required."""
    worst = max(requests, key=lambda request: max(request.calls, request.nested_calls))
    unasked = [request for request in requests if request.calls == 0]
    good = max(worst.calls, worst.nested_calls) <= most and not unasked
    measured = ", ".join(_calls(request) for request in requests)
    hint = ""
    if unasked:
        hint = "an answer came without any query: it is a memory of the past, and orders change"
    elif not good:
        # By text: one statement is several entries where its parameters came as other types of integer.
        times = Counter[tuple[str, bool]]()
        for query in worst.sent:
            times[query.text, query.toplevel] += begun([query])
        (text, toplevel), count = times.most_common(1)[0]
        where = "which line sends it" if toplevel else "which function runs it, and how often"
        hint = f"{short(text, 90)} ran {count:,} times for one request: {where}?"
    return Target(
        "calls per request", "pass" if good else "fail", measured, f"≤ {most}, and at least 1", _source(requests), hint,
        points, required=True,
    )  # fmt: skip


def rows_sent(requests: Sequence[Request], most: int, points: float, hint: str) -> Target:
    """All requests together fetch no more rows than their answers can need; required.

    Together, since in an open transaction the last statement of a request is counted with the next one.

    Args:
        most: the number of rows that is still fine.
    """
    rows = sum(request.rows for request in requests)
    good = rows <= most
    return Target(
        "rows sent", "pass" if good else "fail", f"{rows:,}", f"≤ {most:,}, twice what the answers hold",
        _source(requests), "" if good else hint, points, required=True,
    )  # fmt: skip


def blocks_against(before: int, request: Request, most: float, points: float, hint: str) -> Target:
    """The request reads at most `most` times the blocks of 8 kB that the broken one does; required."""
    limit = round(before * most)
    good = request.shared_blks <= limit
    return Target(
        "blocks per request", "pass" if good else "fail", f"{request.shared_blks:,}",
        f"≤ {limit:,}, {most:g}× those of the incident", f"{SOURCE}, {request.label}", "" if good else hint, points,
        required=True,
    )  # fmt: skip


def short(statement: str, most: int = 60) -> str:
    """A statement's beginning on one line."""
    line = " ".join(statement.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _calls(request: Request) -> str:
    inside = f" with {request.nested_calls:,} inside functions" if request.nested_calls else ""
    return f"{request.calls:,}{inside}"


def _source(requests: Sequence[Request]) -> str:
    labels = list(dict.fromkeys(request.label for request in requests))
    return f"{SOURCE}, {', '.join(labels) if len(labels) <= 4 else f'{len(requests)} requests'}"
