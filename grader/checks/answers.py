"""Answers of a student against what the referee knows: diagnoses, and rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from grader.verdict import Target


def number(
    name: str,
    answer: Any,
    truth: float,
    points: float,
    *,
    source: str,
    within: float = 0.001,
    hint: str = "",
    traps: Iterable[tuple[float, str]] = (),
) -> Target:
    """A number, right within a share of the truth.

    Args:
        traps: wrong numbers that people come to, each with the hint that leads on.
    """
    wanted = "what your database shows"
    if answer is None:
        return Target(name, "fail", "no answer yet", wanted, source, hint, points)
    if isinstance(answer, bool) or not isinstance(answer, (int, float)) or not _finite(answer):
        return Target(
            name,
            "fail",
            f"{_short(answer)} is no number",
            wanted,
            source,
            "answer with a plain number, such as 1234",
            points,
        )
    if close(answer, truth, within):
        return Target(name, "pass", f"{answer:,}", wanted, source, max_points=points)
    trapped = next((text for wrong, text in traps if close(answer, wrong, within)), hint)
    return Target(name, "fail", f"{answer:,}", wanted, source, trapped, points)


def text(
    name: str, answer: Any, accepted: Iterable[str], points: float, *, source: str, hint: str = ""
) -> Target:
    """One of the accepted words, whatever its case and spacing."""
    wanted = "what your plan shows"
    if answer is None:
        return Target(name, "fail", "no answer yet", wanted, source, hint, points)
    if not isinstance(answer, str):
        return Target(
            name,
            "fail",
            f"{_short(answer)} is no text",
            wanted,
            source,
            'answer with text, such as "orders"',
            points,
        )
    good = " ".join(answer.split()).casefold() in {word.casefold() for word in accepted}
    return Target(
        name, "pass" if good else "fail", _short(answer), wanted, source, "" if good else hint, points
    )


def same_rows(name: str, pairs: Sequence[tuple[list[Any], list[Any]]], source: str, hint: str) -> Target:
    """Found and expected rows are equal, whatever their order; nothing else counts when they are not."""
    wrong = [
        (found, wanted) for found, wanted in pairs if sorted(map(repr, found)) != sorted(map(repr, wanted))
    ]
    measured = f"{len(pairs) - len(wrong)} of {len(pairs)}"
    if wrong:
        found, wanted = wrong[0]
        hint = (
            f"{hint}: one came back with {len(found)} rows, and it has {len(wanted)}"
            if len(found) != len(wanted)
            else hint
        )
    return Target(
        name,
        "fail" if wrong else "pass",
        measured,
        f"{len(pairs)} of {len(pairs)}",
        source,
        hint if wrong else "",
        required=True,
    )


def _finite(answer: float) -> bool:
    try:
        return math.isfinite(answer)
    except OverflowError:  # a whole number with hundreds of digits
        return False


def close(value: float, truth: float, within: float) -> bool:
    """Whether value is within a share of truth."""
    return abs(value - truth) <= within * abs(truth)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
