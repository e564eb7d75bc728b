"""Two charts of what happened when: lines over seconds, and dots on lanes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from pglab.show import strips, style
from pglab.show.charts import _SIZE, _axes, _image, _thousands
from pglab.show.strips import Line, Point, Strip
from pglab.show.style import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Mapping[str, Sequence[Point]]  # name → (seconds, value), in order
Dots = Mapping[str, Sequence[float]]  # name → where its dots are
_COLOURS = (style.BLUE, style.ORANGE, style.GREY)
_MARKERS = ("o", "X", "D")


class Timeline(Shown):
    """Small charts below each other over one axis of seconds."""

    def __init__(self, charts: Mapping[str, Lines], title: str) -> None:
        self.charts, self.title = charts, title

    def text(self) -> str:
        said = [
            f"{chart}: {name} {style.number(min(values))} to {style.number(max(values))}"
            for chart, lines in self.charts.items()
            for name, points in lines.items()
            if (values := [value for _, value in points])
        ]
        return f"{self.title}: {'; '.join(said) or 'nothing was measured'}"

    def html(self) -> str:
        drawn = [
            Strip(chart, [Line(name, points, colour) for (name, points), colour in zip(lines.items(), _COLOURS, strict=False)])
            for chart, lines in self.charts.items()
        ]  # fmt: skip
        until_s = max(
            (line.points[-1][0] for strip in drawn for line in strip.lines if line.points), default=1
        )
        source = base64.b64encode(strips.svg(drawn, until_s).encode()).decode()
        image = (
            f'<img src="data:image/svg+xml;base64,{source}" alt="{escape(self.text())}" '
            'style="max-width:100%;height:auto;background:none;">'
        )
        head = style.div(escape(self.title), "font-weight:600;")
        return style.div(head + image, style.BASE + "margin:.4em 0;")


class Lanes(Shown):
    """Dots along one axis, in a lane of their own for each group and kind, with their number at the right."""

    def __init__(
        self, groups: Mapping[str, Dots], axis: str, title: str, mark: tuple[float, str] | None
    ) -> None:
        self.groups, self.axis, self.title, self.mark = groups, axis, title, mark

    def text(self) -> str:
        said = [
            f"{group}: " + ", ".join(f"{len(dots):,} {kind}" for kind, dots in kinds.items())
            for group, kinds in self.groups.items()
        ]
        return f"{self.title} {style.DASH} {'; '.join(said)}"

    def html(self) -> str:
        return _image(lambda: _draw(self), self.text())


def timeline(charts: Mapping[str, Lines], title: str) -> Timeline:
    """charts: title of each small chart → its lines, three at most."""
    return Timeline(charts, title)


def lanes(groups: Mapping[str, Dots], axis: str, title: str, mark: tuple[float, str] | None = None) -> Lanes:
    """
    Args:
        groups: such as "before" → kind → positions; the same kinds, three at most, in each group;
        axis: what the positions are, with their unit; mark: a position to draw a line at, and its name.
    """
    return Lanes(groups, axis, title, mark)


def _draw(shown: Lanes) -> Figure:
    lane_names, y = [], 0.0
    figure, axes = _axes(7.6, 0.9 + 0.42 * sum(len(kinds) + 0.6 for kinds in shown.groups.values()))
    for group, kinds in shown.groups.items():
        for (kind, dots), colour, marker in zip(kinds.items(), _COLOURS, _MARKERS, strict=False):
            found = np.asarray(dots, dtype=float)
            # Spread by their position, not at random: the same figures give the same picture.
            spread = ((np.arange(len(found)) * 0.618034) % 1 - 0.5) * 0.55
            axes.plot(
                found, y + spread, linestyle="none", marker=marker, markersize=5, markeredgewidth=0, color=colour, alpha=0.75
            )  # fmt: skip
            axes.annotate(
                f"{len(found):,}", (1, y), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
                va="center", color=colour, fontsize=_SIZE, fontweight="bold", annotation_clip=False,
            )  # fmt: skip
            lane_names.append((y, f"{group}: {kind}"))
            y -= 1
        y -= 0.6
    axes.set_yticks([at for at, _ in lane_names], [name for _, name in lane_names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y + 0.9, 0.7 + (0.5 if shown.mark else 0))
    axes.grid(visible=False, axis="y")
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.xaxis.set_major_formatter(_thousands)
    axes.set_xlabel(shown.axis)
    if shown.mark:
        axes.axvline(shown.mark[0], color=style.ORANGE, linewidth=1.4, linestyle="--", zorder=1)
        axes.annotate(
            shown.mark[1], (shown.mark[0], 1), xycoords=("data", "axes fraction"), xytext=(6, -4), textcoords="offset points",
            va="top", color=style.ORANGE, fontsize=_SIZE,
        )  # fmt: skip
    return figure
