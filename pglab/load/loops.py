"""Closed and open loop, in asyncio."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any, Final, Literal

from pglab.errors import LabError
from pglab.load.connect import Connect
from pglab.load.result import LoadResult, Recorder, Snapshot
from pglab.timer import Timer

Request = Callable[[Any], Awaitable[Any]]
OnProgress = Callable[[Snapshot], None]
Arrivals = Literal["poisson", "uniform"]

PROGRESS_S: Final = 0.5
LONGEST_S: Final = 3600.0
RAMP_LIMIT_S: Final = 30.0  # clients that have no connection by then are waited for no longer
DRAIN_S: Final = 5.0  # what a request may take after the load has ended
CLOSE_S: Final = 2.0
_YIELD_S: Final = 50e-6
RETRY_S: Final = 0.1  # a client that gets no connection tries again after that


class Load:
    """Clients at work. Errors of connect and request are recorded; none leaves the loop."""

    def __init__(
        self,
        request: Request,
        connect: Connect,
        clients: int,
        per_request: bool,
        on_progress: OnProgress | None,
    ) -> None:
        if clients < 1:
            raise LabError(f"{clients} clients send nothing", "Give 1 or more")
        self.record = Recorder()
        self.seconds = 0.0  # how long requests were sent, once that is known
        self._request, self._connect, self._clients = request, connect, clients
        self._per_request = per_request
        self._on_progress = on_progress
        self._connecting = clients
        self._ready = asyncio.Event()  # every client has tried to connect
        self._go = asyncio.Event()

    async def run(self) -> LoadResult:
        """Send all, and wait for what is under way."""
        async with AsyncExitStack() as stack:
            if isinstance(self._connect, AbstractAsyncContextManager):
                await stack.enter_async_context(self._connect)
            ticker = asyncio.create_task(self._tick())
            clients = [asyncio.create_task(self._client()) for _ in range(self._clients)]
            try:
                if not self._per_request:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._ready.wait(), RAMP_LIMIT_S)
                self.record.start()
                self._go.set()
                await self.send()
                self.seconds = time.monotonic() - self.record.started
                await asyncio.wait(clients, timeout=DRAIN_S)
            finally:
                self.seconds = self.seconds or time.monotonic() - self.record.started
                ticker.cancel()
                await _end(clients)
                self.give_up()
        result = self.record.result(self.seconds)
        if self._on_progress is not None:
            self._on_progress(self.record.snapshot())
        return result

    async def send(self) -> None:
        """Returns when no more requests are to be sent."""
        raise NotImplementedError

    async def take(self) -> float | None:
        """When the next request's latency begins, or None when there is none left."""
        raise NotImplementedError

    def give_up(self) -> None:
        """Count what nobody has taken."""

    async def _tick(self) -> None:
        while self._on_progress is not None:
            await asyncio.sleep(PROGRESS_S)
            self._on_progress(self.record.snapshot())

    async def _client(self) -> None:
        kept = AsyncExitStack()
        conn: Any = None
        try:
            if not self._per_request:
                try:
                    conn = await self._open(kept)
                except asyncio.CancelledError:
                    self.record.unfinished += 1
                    raise
                self._connecting -= 1
                if not self._connecting:
                    self._ready.set()
            await self._go.wait()
            while (since := await self.take()) is not None:
                began = time.monotonic()
                try:
                    if self._per_request or conn is None or getattr(conn, "closed", False):
                        await _close(kept)
                        kept, conn = AsyncExitStack(), None
                        conn = await self._open(kept)
                    if conn is not None:
                        await self._serve(conn, since)
                except asyncio.CancelledError:
                    self.record.unfinished += 1
                    raise
                if self._per_request:
                    await _close(kept)
                if conn is None:
                    await self._pause()
                elif time.monotonic() - began < _YIELD_S:
                    await asyncio.sleep(0)  # a request that waits for nothing would keep all others waiting
        finally:
            await _close(kept)

    async def _open(self, stack: AsyncExitStack) -> Any:
        """A connection that ends with the stack, or None: then the error is recorded."""
        self.record.waiting += 1
        try:
            made = self._connect()
            if inspect.isawaitable(made):
                made = await made
            return await stack.enter_async_context(made) if hasattr(made, "__aenter__") else made
        except Exception as error:
            self.record.fail(error)
            return None
        finally:
            self.record.waiting -= 1

    async def _pause(self) -> None:
        self.record.waiting += 1
        try:
            await asyncio.sleep(RETRY_S)
        finally:
            self.record.waiting -= 1

    async def _serve(self, conn: Any, since: float) -> None:
        self.record.in_flight += 1
        try:
            await self._request(conn)
            self.record.ended(since)
        except Exception as error:
            self.record.fail(error)
            if hasattr(conn, "rollback"):  # as an application's framework does: the next request begins anew
                with suppress(Exception):
                    await conn.rollback()
        finally:
            self.record.in_flight -= 1


class ClosedLoad(Load):
    """Each client sends its next request when the last one has ended."""

    def __init__(self, *common: Any, seconds: float | None, count: int | None) -> None:
        super().__init__(*common)
        if seconds is None:
            seconds = 10.0 if count is None else LONGEST_S
        self._limit_s = _limit(seconds)
        self._left = count if count is not None else -1  # below 0: time alone decides
        self._busy = self._clients
        self._done = asyncio.Event()

    async def send(self) -> None:
        self._deadline = self.record.started + self._limit_s
        with suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), self._limit_s)

    async def take(self) -> float | None:
        now = time.monotonic()
        if not self._left or now >= self._deadline or self.record.full:
            self._busy -= 1
            if not self._busy:
                self._done.set()
            return None
        self._left -= 1
        return now


class OpenLoad(Load):
    """Requests come at a rate; a client takes the next that waits. Latency counts from when it was due."""

    def __init__(
        self, *common: Any, rate: float, seconds: float, arrivals: Arrivals, seed: int, max_waiting: int
    ) -> None:
        super().__init__(*common)
        if not rate > 0:
            raise LabError(f"A rate of {rate} requests a second sends nothing", "Give a number above 0")
        if arrivals not in ("poisson", "uniform"):
            raise LabError(f"There are no {arrivals} arrivals", "Give poisson or uniform")
        self._limit_s, self._rate, self._arrivals = _limit(seconds), rate, arrivals
        self._random, self._max_waiting = random.Random(seed), max_waiting
        self._due: asyncio.Queue[float | None] = asyncio.Queue()

    async def send(self) -> None:
        loop = asyncio.get_running_loop()
        sent = loop.create_future()
        self._next = self.record.started + self._gap()
        timer = Timer(loop, lambda: self._arrive(timer, sent))
        try:
            timer.at(self._next)
            await sent
        finally:
            timer.close()
        for _ in range(self._clients):
            self._due.put_nowait(None)

    def _arrive(self, timer: Timer, sent: asyncio.Future[None]) -> None:
        now, end = time.monotonic(), self.record.started + self._limit_s
        while self._next <= min(now, end) and not self.record.full:
            if self._due.qsize() < self._max_waiting:
                self._due.put_nowait(self._next)
                self.record.waiting += 1
                self.record.sent_late(now - self._next)
            else:
                self.record.dropped += 1
            self._next += self._gap()
        if now >= end or self.record.full:
            if not sent.done():
                sent.set_result(None)
        else:
            timer.at(min(self._next, end))

    def _gap(self) -> float:
        return self._random.expovariate(self._rate) if self._arrivals == "poisson" else 1 / self._rate

    async def take(self) -> float | None:
        due = await self._due.get()
        if due is not None:
            self.record.waiting -= 1
        return due

    def give_up(self) -> None:
        while not self._due.empty():
            if self._due.get_nowait() is not None:
                self.record.waiting -= 1
                self.record.unfinished += 1


async def closed_loop_async(
    request: Request, *, connect: Connect, clients: int, seconds: float | None = None, count: int | None = None,
    per_request: bool = False, on_progress: OnProgress | None = None,
) -> LoadResult:  # fmt: skip
    """As closed_loop, for code that runs in a loop of its own. Cancelled, it closes its connections first."""
    common = (request, connect, clients, per_request, on_progress)
    return await ClosedLoad(*common, seconds=seconds, count=count).run()


async def open_loop_async(
    request: Request, *, connect: Connect, clients: int, rate: float, seconds: float = 10.0,
    arrivals: Arrivals = "poisson", seed: int = 1, max_waiting: int = 1000,
    per_request: bool = False, on_progress: OnProgress | None = None,
) -> LoadResult:  # fmt: skip
    """As open_loop, for code that runs in a loop of its own. Cancelled, it closes its connections first."""
    common = (request, connect, clients, per_request, on_progress)
    return await OpenLoad(
        *common, rate=rate, seconds=seconds, arrivals=arrivals, seed=seed, max_waiting=max_waiting
    ).run()


def _limit(seconds: float) -> float:
    if not 0 < seconds <= LONGEST_S:
        raise LabError(
            f"A load of {seconds} seconds cannot be had", f"Give more than 0 and at most {LONGEST_S:,.0f}"
        )
    return seconds


async def _close(stack: AsyncExitStack) -> None:
    """Let go of a connection; a broken one cannot say good-bye."""
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_S):
            await stack.aclose()


async def _end(clients: list[asyncio.Task[None]]) -> None:
    for client in clients:
        client.cancel()
    await asyncio.wait(clients, timeout=2 * DRAIN_S)
