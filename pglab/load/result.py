"""What a load saw: recorded exactly, one number a request.

Every latency is kept (8 bytes each), so percentiles are the requests' own and not a histogram's buckets. Times in
ms, tps is of requests that ended well, per second.
"""

from __future__ import annotations

import math
import re
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import psycopg
from numpy.typing import NDArray

MOST_REQUESTS = 10_000_000  # kept: 160 MB
MOST_ERRORS = 50  # of different texts; what comes after counts as OTHER
OTHER = "other errors"
NAN = float("nan")
SHORTEST_S = 0.2  # less time than that gives no rate


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A load while it runs: rates and percentiles of the time since the snapshot before, counts since the start."""

    at_s: float
    tps: float  # as the next one nan when that time was too short for a rate
    failed_per_s: float
    p50_ms: float  # nan when nothing ended, and all three where only the mean is known
    p95_ms: float
    p99_ms: float
    mean_ms: float
    requests: int  # ended well
    failed: int
    waiting: int  # for a client or a connection
    in_flight: int
    dropped: int
    errors: Mapping[str, int]


@dataclass(frozen=True, slots=True, repr=False)
class LoadResult:
    """A load that has ended."""

    requests: int  # ended well
    failed: int
    dropped: int  # never begun: too many were waiting
    unfinished: int  # still waiting or at work when the load had ended, and given up
    seconds: float
    tps: float
    errors: dict[str, int]  # the error's own text, with its SQLSTATE where there is one: how many
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    late_p99_ms: float = (
        NAN  # open loop: how late this machine was in sending; much of it, and it was the bottleneck
    )
    series: list[dict[str, float]] = field(
        default_factory=list
    )  # a row a second: tps, failed_per_s, p50_ms …
    latencies_ms: NDArray[np.float64] = field(
        default_factory=lambda: np.empty(0), compare=False
    )  # of requests that ended well, in the order in which they ended

    @property
    def sent(self) -> int:
        """All that should have been answered."""
        return self.requests + self.failed + self.dropped + self.unfinished

    def percentile(self, percent: float) -> float:
        """Latency in ms that so many per cent of the requests stayed within; nan without requests."""
        return _percentile(self.latencies_ms, percent)

    def __repr__(self) -> str:
        said = [f"{self.requests:,} requests in {self.seconds:.1f} s", f"{self.tps:,.0f} tps"]
        if math.isfinite(self.p50_ms):
            said += [f"p50 {self.p50_ms:,.2f} ms", f"p99 {self.p99_ms:,.2f} ms"]
        for count, word in (
            (self.failed, "failed"),
            (self.dropped, "dropped"),
            (self.unfinished, "unfinished"),
        ):
            said += [f"{count:,} {word}"] if count else []
        return " · ".join(said) + "".join(f"\n  {count:,} × {text}" for text, count in self.errors.items())


class Errors:
    """Counts errors by their text. Texts that differ in numbers alone (ports, row numbers) count as the first of them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, text: str, count: int = 1) -> None:
        kind = re.sub(r"\d+", "#", text)
        if kind not in self._first:
            self._first[kind] = text if len(self._first) < MOST_ERRORS else OTHER
        self._counts[self._first[kind]] += count

    def counts(self) -> dict[str, int]:
        """The most frequent first."""
        return dict(self._counts.most_common())

    def total(self) -> int:
        return self._counts.total()


class Recorder:
    """Takes note of each request while a load runs. Used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.started = clock()
        self.waiting = self.in_flight = self.dropped = self.unfinished = self.failed = 0
        self.errors = Errors()
        self._ended, self._took = array("d"), array("d")  # s since the start, ms
        self._failed_at, self._late = array("d"), array("d")
        self._seen = (self.started, 0, 0)  # at the last snapshot: when, requests, failed

    @property
    def full(self) -> bool:
        """Whether as much has been recorded as may be."""
        return len(self._took) + self.failed >= MOST_REQUESTS

    def start(self) -> None:
        """The clock counts from here on."""
        self.started = self._clock()
        self._seen = (self.started, len(self._took), self.failed)

    def ended(self, since: float) -> None:
        """A request ended well; since: when its latency began, on the clock."""
        now = self._clock()
        self._ended.append(now - self.started)
        self._took.append((now - since) * 1000)

    def fail(self, error: BaseException) -> None:
        self.errors.add(told(error))
        self.failed += 1
        self._failed_at.append(self._clock() - self.started)

    def sent_late(self, seconds: float) -> None:
        self._late.append(seconds * 1000)

    def snapshot(self) -> Snapshot:
        now = self._clock()
        when, requests, failed = self._seen
        self._seen = (now, len(self._took), self.failed)
        passed = now - when if now - when > SHORTEST_S else NAN
        took = np.array(self._took[requests:])
        return Snapshot(
            at_s=now - self.started,
            tps=len(took) / passed,
            failed_per_s=(self.failed - failed) / passed,
            p50_ms=_percentile(took, 50), p95_ms=_percentile(took, 95), p99_ms=_percentile(took, 99),
            mean_ms=float(took.mean()) if len(took) else NAN,
            requests=len(self._took), failed=self.failed, waiting=self.waiting, in_flight=self.in_flight,
            dropped=self.dropped, errors=self.errors.counts(),
        )  # fmt: skip

    def result(self, seconds: float) -> LoadResult:
        """The whole; seconds: how long requests were sent. tps counts what ended within that time."""
        took, ended = np.array(self._took), np.array(self._ended)
        seconds = max(seconds, 1e-9)
        return LoadResult(
            requests=len(took), failed=self.failed, dropped=self.dropped, unfinished=self.unfinished,
            seconds=seconds,
            tps=float(np.count_nonzero(ended <= seconds)) / seconds,
            errors=self.errors.counts(),
            p50_ms=_percentile(took, 50), p95_ms=_percentile(took, 95), p99_ms=_percentile(took, 99),
            max_ms=float(took.max()) if len(took) else NAN,
            mean_ms=float(took.mean()) if len(took) else NAN,
            late_p99_ms=_percentile(np.array(self._late), 99),
            series=series(ended, took, np.array(self._failed_at), seconds),
            latencies_ms=took,
        )  # fmt: skip


def series(
    ended: NDArray[np.float64], took: NDArray[np.float64], failed: NDArray[np.float64], seconds: float
) -> list[dict[str, float]]:
    """One row a second until `seconds`, for a data frame. ended and failed: seconds since the start, rising."""
    rows = []
    for second in range(math.ceil(seconds - 0.05)):
        until = min(second + 1.0, seconds)
        among = took[np.searchsorted(ended, second) : np.searchsorted(ended, until)]
        errors = np.searchsorted(failed, until) - np.searchsorted(failed, second)
        rows.append(
            {
                "second": float(second),
                "tps": len(among) / (until - second),
                "failed_per_s": float(errors) / (until - second),
                **{f"p{percent}_ms": _percentile(among, percent) for percent in (50, 95, 99)},
            }
        )
    return rows


def told(error: BaseException) -> str:
    """An error in one line, in its own words, so that the same errors give the same line."""
    state = getattr(error, "sqlstate", None)
    text: str | None = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    if text is None:
        whole = str(error).strip()
        # libpq puts the address before, and every address that it tried: what the server said is what counts.
        said = re.findall(r"(?:FATAL|ERROR|PANIC): .*", whole)
        text = said[-1] if said else (whole.splitlines() or [""])[0]
    kind = "" if isinstance(error, psycopg.Error) and text else type(error).__name__
    return ": ".join(part for part in (state or kind, " ".join(text.split())) if part)


def _percentile(values: NDArray[np.float64], percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else NAN
