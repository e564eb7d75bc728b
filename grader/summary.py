"""What a class earned, for the instructor's terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from grader.autograde import Outcome, changes
from grader.spec import Spec


def summary(spec: Spec, outcomes: Sequence[Outcome]) -> RenderableType:
    """Students × checks, the class by check, what a regrade changed, and the errors apart."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.student)
    scored = [outcome for outcome in ordered if outcome.state != "error"]
    parts: list[RenderableType] = []
    if scored:
        parts.append(_students(spec, scored))
    parts += _lines("Notes", [f"{o.student}: {note}" for o in ordered for note in o.notes])
    parts += _lines(
        "Changed", [f"{o.student}: {', '.join(told)}" for o in scored if o.state == "graded" and (told := changes(o))]
    )  # fmt: skip
    parts += _lines("Not graded, no score was changed", [f"{o.student}: {o.why}" for o in ordered if o.state == "error"])  # fmt: skip
    counts = [sum(o.state == state for o in ordered) for state in ("graded", "unchanged", "error")]
    parts.append(
        Text(f"{counts[0]} graded, {counts[1]} graded before and unchanged, {counts[2]} not graded.")
    )
    return Group(*parts)


def _students(spec: Spec, outcomes: Sequence[Outcome]) -> Table:
    checks = [check for check in spec.checks.values() if not check.manual]
    table = Table(title=f"{spec.id}: {spec.title}", title_justify="left", show_footer=False)
    table.add_column("student", overflow="fold")
    for check in checks:
        table.add_column(f"{check.name}\nof {check.points:g}", justify="right", overflow="fold")
    table.add_column(f"sum\nof {sum(check.points for check in checks):g}", justify="right")
    for outcome in outcomes:
        points = [outcome.scores.get(check.name) for check in checks]
        table.add_row(
            Text(outcome.student), *map(_shown, points), _shown(sum(p for p in points if p is not None))
        )
    table.add_section()
    for name, of in (("mean", statistics.mean), ("median", statistics.median)):
        row = [_column(outcomes, check.name) for check in checks]
        sums = [sum(o.scores.get(check.name) or 0.0 for check in checks) for o in outcomes]
        table.add_row(name, *(_shown(of(values) if values else None) for values in row), _shown(of(sums)))
    full = [
        sum(value == check.points for value in _column(outcomes, check.name)) / len(outcomes)
        for check in checks
    ]
    table.add_row("full points", *(f"{share:.0%}" for share in full), "")
    return table


def _column(outcomes: Sequence[Outcome], check: str) -> list[float]:
    return [points for outcome in outcomes if (points := outcome.scores.get(check)) is not None]


def _shown(points: float | None) -> str:
    return "–" if points is None else f"{points:.2f}".rstrip("0").rstrip(".")


def _lines(title: str, lines: Sequence[str]) -> list[RenderableType]:
    return [Text(f"\n{title}", style="bold"), *(Text(f"  {line}") for line in lines)] if lines else []


def show(console: Console, spec: Spec, outcomes: Sequence[Outcome]) -> None:
    """Print the summary."""
    console.print(summary(spec, outcomes))
