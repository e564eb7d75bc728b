"""Strips: small charts below each other over one axis of seconds, as SVG written by hand.

matplotlib takes some 100 ms for such a picture and holds Python's lock all that time: drawn beside a load it would be
what the load measures. This takes 1 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

from pglab.show import style

Point = tuple[float, float]  # seconds, value; a value of nan is a gap
WIDTH, LEFT, RIGHT, STRIP, TITLE, FOOT = 760, 58, 202, 72, 24, 34
MOST_POINTS = 200  # a line: more would not be seen
_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Line:
    """One series with its name; filled ones are stacked on each other in the order in which they come."""

    name: str
    points: Sequence[Point]
    colour: str
    filled: bool = False


@dataclass(frozen=True)
class Strip:
    """One small chart."""

    title: str
    lines: Sequence[Line] = field(default_factory=list)


def height(strips: Sequence[Strip]) -> int:
    return len(strips) * (STRIP + TITLE) + FOOT


def svg(strips: Sequence[Strip], until_s: float, *, most: bool = False) -> str:
    """The picture, on no background.

    Args:
        until_s: how far the axis goes, in seconds; most: say each line's greatest value beside it, and not its last.
    """
    until_s = max(until_s, 1e-9)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height(strips)}" '
        f'viewBox="0 0 {WIDTH} {height(strips)}" font-family="{_FONT}" font-size="13">'
    ]
    for number, strip in enumerate(strips):
        parts.append(_strip(strip, number * (STRIP + TITLE) + TITLE, until_s, most))
    parts.append(_seconds(height(strips) - FOOT, until_s))
    return "".join([*parts, "</svg>"])


def _strip(strip: Strip, top: float, until_s: float, most_said: bool) -> str:
    stacked = _stack([line for line in strip.lines if line.filled])
    lines = [line for line in strip.lines if not line.filled]
    seen = [value for line in [*stacked, *lines] for _, value in line.points if math.isfinite(value)]
    most = nice(max(seen, default=0.0), (1, 1.5, 2, 3, 4, 5, 6, 8, 10))
    bottom, right = top + STRIP, WIDTH - RIGHT

    def place(point: Point) -> Point:
        return LEFT + (right - LEFT) * min(point[0] / until_s, 1), bottom - STRIP * min(point[1] / most, 1)

    parts = [_text(LEFT, top - 7, strip.title, style.GREY, weight=600)]
    for share in (0.0, 0.5, 1.0):
        y = bottom - STRIP * share
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{style.GREY}" stroke-opacity="{0.8 if not share else 0.25}"/>'
        )
        if share != 0.5:
            parts.append(_text(LEFT - 6, y + 4, style.number(most * share), style.GREY, "end"))
    # From the top down: where a layer is empty, the edge of the one below it is seen.
    for line, below in reversed([*zip(stacked, [Line("", [], ""), *stacked], strict=False)]):
        parts.append(
            _area(list(map(place, line.points)), list(map(place, below.points)), line.colour, bottom)
        )
    parts += [_path(line, place) for line in lines]
    parts += _names([line for line in strip.lines if line.points], top, right, most_said)
    return "".join(parts)


def _stack(lines: Sequence[Line]) -> list[Line]:
    """The lines with all before them added; they share their seconds."""
    stacked: list[Line] = []
    for line in lines:
        points = thin(line.points)
        if stacked:
            points = [
                (at, value + under)
                for (at, value), (_, under) in zip(points, stacked[-1].points, strict=True)
            ]
        stacked.append(Line(line.name, points, line.colour, True))
    return stacked


def thin(points: Sequence[Point]) -> list[Point]:
    """At most MOST_POINTS of them, each the highest of its stretch: a peak must not be lost."""
    step = math.ceil(len(points) / MOST_POINTS) or 1
    if step == 1:
        return list(points)
    stretches = (points[start : start + step] for start in range(0, len(points), step))
    return [
        (stretch[-1][0], max((value for _, value in stretch if math.isfinite(value)), default=math.nan))
        for stretch in stretches
    ]


def _area(upper: Sequence[Point], lower: Sequence[Point], colour: str, bottom: float) -> str:
    if not upper:
        return ""
    back = list(reversed(lower)) or [(upper[-1][0], bottom), (upper[0][0], bottom)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in [*upper, *back]) + "Z"
    edge = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in upper)
    return f'<path d="{path}" fill="{colour}" fill-opacity="0.45"/><path d="{edge}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _path(line: Line, place: Callable[[Point], Point]) -> str:
    pieces: list[list[str]] = [[]]
    for point in thin(line.points):
        if math.isfinite(point[1]):
            x, y = place(point)
            pieces[-1].append(f"{x:.1f} {y:.1f}")
        elif pieces[-1]:
            pieces.append([])
    drawn = "".join("M" + "L".join(piece if len(piece) > 1 else piece * 2) for piece in pieces if piece)
    if not drawn:
        return ""
    return f'<path d="{drawn}" fill="none" stroke="{line.colour}" stroke-width="2" stroke-linejoin="round" stroke-linecap="round"/>'


def _names(lines: Sequence[Line], top: float, right: float, most: bool) -> list[str]:
    """Each line's name and last or greatest value, to the right of the strip."""
    rows = []
    gap = min(17.0, STRIP / max(len(lines), 1) + 2)
    for number, line in enumerate(reversed(lines)):
        y = top + 11 + number * gap
        values = [value for _, value in line.points if math.isfinite(value)] or [math.nan]
        said = shortened(max(values) if most else values[-1])
        rows.append(
            f'<rect x="{right + 10}" y="{y - 9:.1f}" width="10" height="10" rx="2" fill="{line.colour}"/>'
        )
        rows.append(
            _text(right + 26, y, f"{line.name} {'up to ' if most else ''}{style.number(said)}", line.colour)
        )
    return rows


def _seconds(top: float, until_s: float) -> str:
    step = nice(until_s / 6)
    marks = [step * number for number in range(int(until_s / step + 1e-9) + 1)]
    scale = (WIDTH - RIGHT - LEFT) / until_s
    return "".join(
        _text(LEFT + at * scale, top + 18, f"{at:,.10g}" + (" s" if not at else ""), style.GREY, "middle")
        for at in marks
    )


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start", weight: int = 400) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def nice(value: float, steps: Sequence[float] = (1, 2, 5, 10)) -> float:
    """The next of 1, 2, 5, 10, 20 … from a value on; 1 for nothing."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in steps if step * power >= value * (1 - 1e-9))


def shortened(value: float) -> float:
    """Three figures: a number that changes twice a second is not read to the last one."""
    if not math.isfinite(value) or value == 0:
        return value
    return round(value, 2 - math.floor(math.log10(abs(value)))) if abs(value) < 100 else float(round(value))
