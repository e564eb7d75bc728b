"""A small table: numbers to the right with thousands separators, text to the left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from numbers import Integral, Real
from typing import Any

from pglab.show import style
from pglab.show.style import Shown, tag

MOST_ROWS = 50
MOST_CHARACTERS = 120  # of a cell


class Table(Shown):
    """The first 50 rows, and how many more there are."""

    def __init__(self, heads: list[str], body: list[list[Any]], title: str = "") -> None:
        self.heads, self.body, self.title = heads, body, title

    def text(self) -> str:
        return _text(self.heads, self.body, self.title)

    def html(self) -> str:
        return _html(self.heads, self.body, self.title)


def table(rows: Any, columns: Sequence[str] | None = None, title: str = "") -> Table:
    """rows: dicts, sequences (with columns to name them) or a DataFrame."""
    return Table(*_read(rows, columns), title)


def _read(rows: Any, columns: Sequence[str] | None) -> tuple[list[str], list[list[Any]]]:
    if hasattr(rows, "itertuples") and hasattr(rows, "columns"):
        return [str(c) for c in rows.columns], [list(row) for row in rows.itertuples(index=False)]
    found: list[Any] = list(rows)
    if found and isinstance(found[0], Mapping):
        heads = list(columns or found[0])
        return heads, [[row.get(head) for head in heads] for row in found]
    body = [list(row) if isinstance(row, Iterable) and not isinstance(row, str) else [row] for row in found]
    width = max((len(row) for row in body), default=0)
    return list(columns or [f"column {i + 1}" for i in range(width)]), body


class Figure(str):
    """A number that is text already: it goes to the right as it is."""

    __slots__ = ()


def _is_number(value: Any) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(value, bool)


def _cell(head: str, value: Any) -> str:
    if value is None:
        return "NULL"
    if not _is_number(value):
        said = str(value).replace("\n", " ")
        return said if len(said) <= MOST_CHARACTERS else said[: MOST_CHARACTERS - 1] + "…"
    if isinstance(value, Integral):
        # An id is a name made of digits: 1,204 could not be pasted into a query.
        return str(value) if head == "id" or head.endswith("_id") else f"{int(value):,}"
    if not math.isfinite(value):
        return style.DASH if math.isnan(value) else str(value)
    if isinstance(value, Decimal):  # money: never rounded here
        return f"{value:,f}"
    return f"{float(value):,.3f}".rstrip("0").rstrip(".") if abs(value) >= 0.001 else f"{float(value):.3g}"


def _right(body: list[list[Any]], column: int) -> bool:
    values = [row[column] for row in body if column < len(row) and row[column] is not None]
    return bool(values) and all(_is_number(value) or isinstance(value, Figure) for value in values)


def _cells(heads: list[str], body: list[list[Any]]) -> list[list[str]]:
    return [[_cell(head, value) for head, value in zip(heads, row, strict=False)] for row in body[:MOST_ROWS]]


def _more(body: list[list[Any]]) -> str:
    return f"… {len(body) - MOST_ROWS:,} more rows" if len(body) > MOST_ROWS else ""


def _text(heads: list[str], body: list[list[Any]], title: str) -> str:
    cells = _cells(heads, body)
    right = [_right(body, i) for i in range(len(heads))]
    widths = [
        max([len(head), *(len(row[i]) for row in cells if i < len(row))]) for i, head in enumerate(heads)
    ]
    lines = [
        "  ".join(
            c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=False)
        ).rstrip()
        for row in [heads, ["─" * width for width in widths], *cells]
    ]
    return "\n".join(line for line in [title, *lines, _more(body)] if line)


def _html(heads: list[str], body: list[list[Any]], title: str) -> str:
    right = [_right(body, i) for i in range(len(heads))]

    def row(name: str, cells: Sequence[str], more: str) -> str:
        return "".join(
            tag(name, escape(c), f"text-align:{'right' if r else 'left'};padding:.25em .8em;{more}")
            for c, r in zip(cells, right, strict=False)
        )

    head = tag(
        "tr", row("th", heads, f"font-weight:600;border-bottom:1px solid {style.LINE};"), "background:none;"
    )
    figures = "font-variant-numeric:tabular-nums;white-space:pre-wrap;"
    lines = "".join(
        tag("tr", row("td", cells, figures + f"border-bottom:1px solid {style.HAIR};"), "background:none;")
        for cells in _cells(heads, body)
    )
    caption = style.div(escape(title), "font-weight:600;margin-bottom:.3em;") if title else ""
    more = style.div(escape(_more(body)), f"color:{style.FAINT};padding:.25em .8em;") if _more(body) else ""
    look = "border-collapse:collapse;border:none;margin:0;font-size:inherit;color:inherit;"
    return style.div(
        caption + tag("table", tag("thead", head, "background:none;") + tag("tbody", lines), look) + more,
        style.BASE + "overflow-x:auto;margin:.4em 0;",
    )
