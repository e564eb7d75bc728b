"""The live view: connections, clients waiting, tps and p99 while a load runs, one chart that is renewed in place.

    with show.live(show.activity(node.connect), pools=pooler.connections) as view:
        result = load.closed_loop(request, connect=…, clients=50, seconds=20, on_progress=view)

A thread samples the server and renews the chart, so the view moves also while nothing reports progress. Where outputs
are stored (JupyterLab, nbgrader) the last chart alone is; outside a notebook it is printed as text, once.
"""

from __future__ import annotations

import base64
import contextvars
import math
import threading
import time
from collections.abc import Callable, Mapping
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg
from psycopg.rows import tuple_row

from pglab.show import strips, style
from pglab.show.strips import Line, Strip
from pglab.show.style import Shown

if TYPE_CHECKING:
    from pglab.load.result import Snapshot

EVERY_S: Final = 0.5
LONG_S: Final = 120.0
_NAN: Final = float("nan")
_STATES: Final = {  # from the bottom of the stack up
    "active": style.BLUE,
    "idle in transaction": style.ORANGE,
    "idle": style.GREY,
}
_ACTIVITY: Final = """
SELECT CASE WHEN state LIKE 'idle in transaction%%' THEN 'idle in transaction'
            WHEN state = 'idle' THEN 'idle' ELSE 'active' END, count(*)
  FROM pg_catalog.pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
   AND (%(dbname)s::text IS NULL OR datname = %(dbname)s)
 GROUP BY 1
"""

Sampler = Callable[[], Mapping[str, float]]


class Activity:
    """Counts connections by state over a connection of its own, which it opens before the load takes them all."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], dbname: str | None) -> None:
        self._connect, self._dbname = connect, dbname
        self._conn: psycopg.Connection[Any] | None = None

    def __call__(self) -> dict[str, float]:
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
            self._conn.autocommit = True
        with self._conn.cursor(row_factory=tuple_row) as cursor:
            return dict(cursor.execute(_ACTIVITY, {"dbname": self._dbname}).fetchall())

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()


def activity(connect: Callable[[], psycopg.Connection[Any]], dbname: str | None = None) -> Activity:
    """A sampler of pg_stat_activity: connections of a database, or of all, by state. Its own is left out.

    connect: a role that may see others' sessions (pg_read_all_stats), best one whose statements nobody counts.
    """
    return Activity(connect, dbname)


class Live(Shown):
    """The view. Given to a load as on_progress, it shows the load too."""

    def __init__(self, sampler: Sampler | None, pools: Callable[[], Any] | None, title: str) -> None:
        self.title = title
        self._sampler, self._pools = sampler, pools
        self._began: float | None = None
        self._until_s = 0.0
        self._states: list[tuple[float, Mapping[str, float]]] = []
        self._pooled: list[tuple[float, Mapping[str, float]]] = []
        self._load: list[tuple[float, Snapshot]] = []
        self._trouble = ""  # why the last sample could not be taken
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._handle: Any = None

    # -- while it runs ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._sample()
        if _in_notebook():
            from IPython.display import display

            self._handle = display(self, display_id=True)
        # In a copy of this context, so that the kernel knows which cell the thread's output belongs to.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._watch,), name="pglab-live", daemon=True
        )
        self._thread.start()
        return self

    def __call__(self, snapshot: Snapshot) -> None:
        """Take note of a load's progress; the next picture shows it."""
        self._load.append((self._now(), snapshot))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
        for source in (self._sampler, self._pools):
            getattr(source, "close", lambda: None)()
        if self._handle is not None:
            self._handle.update(self)
        else:
            print(self.text())

    def _watch(self) -> None:
        # A long view has more to draw, and shows less of the last half second.
        while not self._stop.wait(EVERY_S if self._until_s < LONG_S else 2 * EVERY_S):
            self._sample()
            if self._handle is not None and not self._stop.is_set():
                self._handle.update(self)

    def _sample(self) -> None:
        """What cannot be asked is a gap in the chart: the load goes on, and a dead server is what a lab may be about."""
        self._trouble = ""
        for source, points in ((self._sampler, self._states), (self._pools, self._pooled)):
            if source is None:
                continue
            found: Any = {}
            try:
                found = source()
            except Exception as error:
                said = str(error).strip().splitlines()
                self._trouble = f"not sampled: {said[-1] if said else type(error).__name__}"
            points.append((self._now(), found._asdict() if hasattr(found, "_asdict") else dict(found)))

    def _now(self) -> float:
        if self._began is None:
            self._began = time.monotonic()
        self._until_s = time.monotonic() - self._began
        return self._until_s

    # -- what it shows ------------------------------------------------------------------------------------------------

    def text(self) -> str:
        return "\n".join(part for part in (f"{self.title}: {self._head()}", *self._notes()) if part)

    def html(self) -> str:
        drawn = self._strips()
        # When all is over, the last value is that of an end: connections that close, a load that trickles out.
        picture = strips.svg(drawn, max(self._until_s, 5.0), most=self._stop.is_set())
        source = "data:image/svg+xml;base64," + base64.b64encode(picture.encode()).decode()
        # A stated size and decoding at once: the page must not jump each time the picture is renewed.
        image = (
            f'<img src="{source}" alt="{escape(self.text())}" width="{strips.WIDTH}" height="{strips.height(drawn)}" '
            'decoding="sync" style="max-width:100%;height:auto;background:none;">'
        )
        head = style.span(escape(self.title), "font-weight:600;") + escape(f" {style.DASH} {self._head()}")
        notes = "".join(
            style.div(escape(note), f"color:{style.ORANGE};font-weight:600;") for note in self._notes()
        )
        return style.div(style.div(head) + notes + image, style.BASE + "margin:.4em 0;")

    def _head(self) -> str:
        said = [f"{self._until_s:.0f} s"]
        totals = [sum(states.values()) for _, states in self._states if states]
        if totals:
            said.append(f"up to {style.plural(max(totals), 'connection')}")
        waiting = [value for line in self._waiting() for _, value in line.points if math.isfinite(value)]
        if waiting:
            said.append(
                f"up to {style.plural(max(waiting), 'client')} waiting" if max(waiting) else "nobody waiting"
            )
        if self._load:
            last = self._load[-1][1]
            said.append(style.plural(last.requests, "request"))
        return " · ".join(said)

    def _notes(self) -> list[str]:
        notes = []
        if self._load and (failed := self._load[-1][1].failed):
            errors = self._load[-1][1].errors
            most = max(errors, key=lambda text: errors[text], default="")
            notes.append(
                f"{failed:,} failed: {most}"
                + (f" and {style.plural(len(errors) - 1, 'more kind')}" if len(errors) > 1 else "")
            )
        if self._load and (dropped := self._load[-1][1].dropped):
            notes.append(f"{dropped:,} dropped: too many were waiting")
        return [*notes, self._trouble] if self._trouble else notes

    def _strips(self) -> list[Strip]:
        load = list(self._load)  # the load's thread may add to it
        drawn = []
        if self._sampler is not None:
            drawn.append(Strip("connections by state", self._connections()))
        drawn.append(Strip("clients waiting", self._waiting()))
        tps = Line("tps", [(at, one.tps) for at, one in load], style.BLUE)
        failed = [(at, one.failed_per_s) for at, one in load]
        lines = (
            [tps, Line("failed/s", failed, style.ORANGE)] if any(value > 0 for _, value in failed) else [tps]
        )
        drawn.append(Strip("requests per second", lines))
        known = any(math.isfinite(one.p99_ms) for _, one in load) or not load
        latency = [(at, one.p99_ms if known else one.mean_ms) for at, one in load]
        name = "p99" if known else "mean"
        return [*drawn, Strip(f"{name} latency, ms", [Line(f"{name} ms", latency, style.BLUE)])]

    def _connections(self) -> list[Line]:
        states = list(self._states)
        seen = {name for _, found in states for name, count in found.items() if count}
        return [
            Line(name, [(at, found.get(name, 0)) for at, found in states], colour, filled=True)
            for name, colour in _STATES.items()
            if name in seen
        ]

    def _waiting(self) -> list[Line]:
        lines = []
        if self._load:
            lines.append(Line("in the load", [(at, one.waiting) for at, one in list(self._load)], style.BLUE))
        if self._pools is not None:
            found = [(at, one.get("cl_waiting", _NAN)) for at, one in list(self._pooled)]
            lines.append(Line("cl_waiting", found, style.ORANGE))
        return lines


def live(
    sampler: Sampler | None = None, *, pools: Callable[[], Any] | None = None, title: str = "Live"
) -> Live:
    """A view to be used as `with live(…) as view:`.

    Args:
        sampler: connections by state, such as activity(node.connect);
        pools: a pooler's figures, with cl_waiting among them, such as pooler.connections. Both are called by the
            view's own thread, every 0.5 s, and their close() at the end where they have one.
    """
    return Live(sampler, pools, title)


def _in_notebook() -> bool:
    """Whether outputs go to a front end that can renew them; a terminal would print every one."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
