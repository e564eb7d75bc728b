"""Loads for notebooks and scripts: plain functions that return when the load has ended.

The load runs in a loop of its own in a thread: in a notebook's main thread a loop runs already. The caller's thread
reports the progress, and takes the interrupt.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import Any

from pglab.load.connect import Connect
from pglab.load.loops import Arrivals, ClosedLoad, Load, OnProgress, OpenLoad, Request
from pglab.load.result import LoadResult, Snapshot

STOP_LIMIT_S = 20.0


class Interrupted(KeyboardInterrupt):
    """The load was stopped by hand. Its connections are closed; `result` is what it saw until then."""

    def __init__(self, result: LoadResult) -> None:
        super().__init__(f"stopped after {result}")
        self.result = result


def closed_loop(
    request: Request, *, connect: Connect, clients: int, seconds: float | None = None, count: int | None = None,
    per_request: bool = False, on_progress: OnProgress | None = None,
) -> LoadResult:  # fmt: skip
    """Clients that send their next request when the last one has ended.

    Args:
        request: an async function of one connection. What it raises is recorded, and its transaction rolled back.
        connect: how a client gets a connection: direct(conninfo), pooled(conninfo, size) or a function of yours that
            returns one, as an async context manager or awaitable.
        clients: how many, at the same time; seconds: for how long (10, or an hour at most where count is given);
        count: how many requests at most, in all.
        per_request: get a connection for each request, and count that as its latency, instead of keeping one.
        on_progress: called in this thread with a Snapshot every 0.5 s.

    Raises:
        Interrupted (a KeyboardInterrupt): with the result until then.
    """
    common = (request, connect, clients, per_request)
    return _run(lambda report: ClosedLoad(*common, report, seconds=seconds, count=count), on_progress)


def open_loop(
    request: Request, *, connect: Connect, clients: int, rate: float, seconds: float = 10.0,
    arrivals: Arrivals = "poisson", seed: int = 1, max_waiting: int = 1000,
    per_request: bool = False, on_progress: OnProgress | None = None,
) -> LoadResult:  # fmt: skip
    """Requests that come at a rate, whether or not the server keeps up.

    A request that is due waits until one of the clients is free; its latency counts from when it was due, so that a
    server that stalls is seen in every request that had to wait.

    Args:
        request, connect, per_request, on_progress: as in closed_loop.
        clients: how many requests are at work at the same time at most.
        rate: requests a second; seconds: for how long.
        arrivals: "poisson" (as from many people) or "uniform"; seed: the same one gives the same arrivals.
        max_waiting: what comes while so many wait already is dropped, and counted.

    Raises:
        Interrupted (a KeyboardInterrupt): with the result until then.
    """
    common = (request, connect, clients, per_request)
    more: dict[str, Any] = {"rate": rate, "seconds": seconds, "arrivals": arrivals, "seed": seed}
    return _run(lambda report: OpenLoad(*common, report, **more, max_waiting=max_waiting), on_progress)


def _run(make: Any, on_progress: OnProgress | None) -> LoadResult:
    # None: the thread has ended.
    reports: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()
    load: Load = make(reports.put)
    worker = _Worker(load, reports)
    worker.start()
    try:
        while (report := reports.get()) is not None:
            if on_progress is not None:
                on_progress(report)
    except KeyboardInterrupt:
        worker.stop()
        raise Interrupted(load.record.result(load.seconds)) from None
    except BaseException:  # of on_progress
        worker.stop()
        raise
    if worker.error is not None:
        raise worker.error
    assert worker.result is not None
    return worker.result


class _Worker(threading.Thread):
    def __init__(self, load: Load, reports: queue.SimpleQueue[Snapshot | None]) -> None:
        super().__init__(name="pglab-load", daemon=True)
        self._load, self._reports = load, reports
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[LoadResult] | None = None
        self._started = threading.Event()
        self.result: LoadResult | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = asyncio.run(self._main())
        except BaseException as error:
            self.error = error
        finally:
            self._started.set()
            self._reports.put(None)

    async def _main(self) -> LoadResult:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._load.run())
        self._started.set()
        return await self._task

    def stop(self) -> None:
        """End the load now: its connections are closed when this returns."""
        self._started.wait()
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._task.cancel)
        self.join(STOP_LIMIT_S)
