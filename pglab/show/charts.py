"""Charts of request times: SVG pictures on no background, readable on a white and on a black page.

They are drawn with matplotlib's objects, never pyplot, whose backend and settings are the notebook's user's.
A picture goes in as <img>, which survives JupyterLab's sanitiser; <svg> does not in a notebook of another's.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from pglab.measure import Measurement
from pglab.show import style, tables
from pglab.show.style import Shown
from pglab.show.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_SIZE = 11.0  # points of text
_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_LOG_FROM = 30.0  # slowest ÷ fastest from which a linear axis would hide one of them


class RequestsChart(Shown):
    """One dot a request, in the order they ran, with lines at p50 and p95."""

    def __init__(self, measured: Measurement, title: str) -> None:
        self.measured, self.title = measured, title

    def text(self) -> str:
        measured = self.measured
        if not measured.requests:
            return f"{self.title}: no requests"
        points = " · ".join(f"p{p} {style.ms(measured.percentile(p))} ms" for p in (50, 95, 99))
        return f"{self.title}: {style.plural(measured.requests, 'request')} · {points}"

    def html(self) -> str:
        return _image(lambda: _draw_requests(self.measured), self.text())


class BeforeAfter(Shown):
    """One chart (ms, log scale, ratio of the medians) and one table of the same two measurements."""

    def __init__(self, before: Measurement, after: Measurement, title: str) -> None:
        self.before, self.after, self.title = before, after, title

    @property
    def ratio(self) -> float:
        """p50 before by p50 after."""
        return self.before.p50_ms / self.after.p50_ms

    def text(self) -> str:
        return f"{self._head()}\n{self._table().text()}"

    def html(self) -> str:
        picture = _image(lambda: _draw_before_after(self.before, self.after), self._head())
        return picture + self._table().html()

    def _head(self) -> str:
        return f"{self.title}: {_ratio(self.before, self.after)}"

    def _table(self) -> Table:
        return Table(["", "before", "after", "before ÷ after"], _compared(self.before, self.after))


def chart_requests(measured: Measurement, title: str = "Time of each request") -> RequestsChart:
    return RequestsChart(measured, title)


def before_after(before: Measurement, after: Measurement, title: str = "Before and after") -> BeforeAfter:
    return BeforeAfter(before, after, title)


def _compared(before: Measurement, after: Measurement) -> list[list[Any]]:
    def row(name: str, was: float, now: float, show: Any) -> list[str]:
        ratio = style.times(was / now) if now > 0 and np.isfinite([was, now]).all() else style.DASH
        return [name, *map(tables.Figure, (show(was), show(now), ratio))]

    return [
        row("calls per request", before.calls_per_request, after.calls_per_request, style.number),
        row("blocks per request", before.blks_per_request, after.blks_per_request, style.number),
        row("p50 ms", before.p50_ms, after.p50_ms, style.ms),
        row("p95 ms", before.p95_ms, after.p95_ms, style.ms),
    ]


def _ratio(before: Measurement, after: Measurement) -> str:
    was, now = before.p50_ms, after.p50_ms
    if not (was > 0 and now > 0):
        return "nothing to compare"
    if max(was / now, now / was) < 1.05:
        return "as fast as before"
    return f"{style.times(was / now)} faster" if was > now else f"{style.times(now / was)} slower"


def _draw_requests(measured: Measurement) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, axes = _axes(7.2, 2.9)
    times = np.asarray(measured.elapsed_ms, dtype=float)
    order = np.arange(1, len(times) + 1)
    axes.plot(order, times, linestyle="none", marker="o", markersize=5, color=style.BLUE, alpha=0.85)
    wide = len(times) > 0 and times.min() > 0 and times.max() / times.min() > _LOG_FROM
    if wide:
        _log_scale(axes.yaxis, axes.set_yscale)
    else:
        axes.set_ylim(0, max(times.max() * 1.15, 1e-3) if len(times) else 1)
    if len(times):
        _percentile_lines(axes, measured, wide)
    axes.set_xlim(0.4, max(len(times), 1) + 0.6)
    axes.set_xlabel("request")
    axes.set_ylabel("ms, log scale" if wide else "ms")
    axes.yaxis.set_major_formatter(_thousands)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    return figure


def _percentile_lines(axes: Axes, measured: Measurement, log: bool) -> None:
    """Lines across the chart, named at its right edge; close ones share a line of text."""
    p50, p95 = measured.p50_ms, measured.p95_ms
    low, high = axes.get_ylim()
    apart = (np.log(p95 / p50) / np.log(high / low)) if log else (p95 - p50) / (high - low)
    named = [(p50, f"p50  {style.ms(p50)} ms", "-"), (p95, f"p95  {style.ms(p95)} ms", "--")]
    for value, _, dashes in named:
        axes.axhline(value, color=style.ORANGE, linewidth=1.4, linestyle=dashes, zorder=1)
    if apart < 0.09:
        named = [(p95, f"p50  {style.ms(p50)} ms\np95  {style.ms(p95)} ms", "")]
    for value, name, _ in named:
        axes.annotate(
            name, (1, value), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            va="center", color=style.ORANGE, fontsize=_SIZE, annotation_clip=False,
        )  # fmt: skip


def _draw_before_after(before: Measurement, after: Measurement) -> Figure:
    """Before on the upper line, after on the lower, the ratio of their medians on an arrow between them."""
    figure, axes = _axes(7.2, 2.7)
    for y, measured, colour, marker, up in (
        (2, before, style.ORANGE, "o", 1),
        (0, after, style.BLUE, "D", -1),
    ):
        times = np.asarray([t for t in measured.elapsed_ms if t > 0], dtype=float)
        if not len(times):
            continue
        # The dots are spread by their position, not at random: the same figures give the same picture.
        spread = ((np.arange(len(times)) * 0.618034) % 1 - 0.5) * (0.5 if len(times) > 1 else 0)
        axes.plot(times, y + spread, linestyle="none", marker=marker, markersize=5, color=colour, alpha=0.7)
        middle = measured.p50_ms
        axes.plot([middle, middle], [y - 0.42, y + 0.42], color=colour, linewidth=2.5)
        axes.annotate(
            f"p50 {style.ms(middle)} ms", (middle, y + up * 0.42),
            xytext=(0, up * 3), textcoords="offset points", ha="center", va="bottom" if up > 0 else "top",
            color=colour, fontsize=_SIZE, fontweight="bold",
        )  # fmt: skip
    was, now = before.p50_ms, after.p50_ms
    if was > 0 and now > 0:
        _log_scale(axes.xaxis, axes.set_xscale)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, was / 3, now / 3), max(high, was * 3, now * 3))
        arrow = {"arrowstyle": "-|>", "color": style.GREY, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (now, 0.85), xytext=(was, 0.85), arrowprops=arrow)
        axes.annotate(
            _ratio(before, after), ((was * now) ** 0.5, 0.85), xytext=(0, 4), textcoords="offset points",
            ha="center", va="bottom", color=style.GREY, fontsize=_SIZE + 2, fontweight="bold",
        )  # fmt: skip
    axes.set_ylim(-1.15, 3.05)
    axes.set_yticks([2, 0], ["before", "after"])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("ms per request, log scale")
    return figure


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty chart; width and height in inches of 72 points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(style.GREY)
    axes.tick_params(colors=style.GREY, which="both", labelsize=_SIZE)
    axes.xaxis.label.set(color=style.GREY, fontsize=_SIZE)
    axes.yaxis.label.set(color=style.GREY, fontsize=_SIZE)
    axes.grid(visible=True, color=style.GREY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _log_scale(axis: Axis, set_scale: Callable[[str], None]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    set_scale("log")
    low, high = axis.get_data_interval()
    few = high / low < 100  # powers of ten alone would leave one or two marks
    axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=12))
    axis.set_major_formatter(_thousands)
    axis.set_minor_locator(LogLocator(10, subs="auto"))
    axis.set_minor_formatter(NullFormatter())


def _thousands(value: float, _: object = None) -> str:
    return f"{value:,.10g}"


def _image(draw: Callable[[], Figure], said: str) -> str:
    """The picture as HTML below its text, which is its alternative text too."""
    with _quiet():
        svg = _svg(draw())
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    picture = f'<img src="{source}" alt="{escape(said)}" style="max-width:100%;height:auto;background:none;">'
    return style.div(style.div(escape(said), "font-weight:600;") + picture, style.BASE + "margin:.4em 0;")


def _svg(figure: Figure) -> str:
    import matplotlib

    out = io.StringIO()
    # Text stays text, in the reader's font; ids and metadata are the same for the same figures.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "pglab"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return out.getvalue().replace("'DejaVu Sans', 'Bitstream Vera Sans'", _FONT)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps matplotlib's notes on its font cache off stderr: nbgrader gives 0 for any output there."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
