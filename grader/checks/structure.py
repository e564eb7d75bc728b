"""Where a nested answer (lists and dicts, as JSON has them) differs from the one that is wanted."""

from __future__ import annotations

from typing import Any

_LONGEST = 40


def first_difference(found: Any, wanted: Any, where: str = "the answer") -> str:
    """The first difference as a sentence for a person; empty when there is none.

    1 and 1.0 are equal, 1 and "1" are not; a dict's keys may stand in any order.
    """
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return f"{where} is {_kind(found)}, a dict is asked for"
        for key in wanted:
            if key not in found:
                return f"{where} has no {key!r}"
        for key in found:
            if key not in wanted:
                return f"{where} has {key!r}, which is not asked for"
        pairs = [(found[key], wanted[key], f"{key!r} of {where}") for key in wanted]
    elif isinstance(wanted, list):
        if not isinstance(found, list):
            return f"{where} is {_kind(found)}, a list is asked for"
        if len(found) != len(wanted):
            return f"{where} has {len(found)} entries, and there are {len(wanted)}"
        pairs = [
            (one, other, f"entry {number} of {where}")
            for number, (one, other) in enumerate(zip(found, wanted, strict=True))
        ]
    else:
        same = found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
        return "" if same else f"{where} is {_short(found)}, and should be {_short(wanted)}"
    return next((text for text in (first_difference(*pair) for pair in pairs) if text), "")


def _kind(value: Any) -> str:
    return {dict: "a dict", list: "a list", str: "text", type(None): "None"}.get(
        type(value), f"a {type(value).__name__}"
    )


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."
