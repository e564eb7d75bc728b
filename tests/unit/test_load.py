"""A load counts what its clients see, with servers that are made up: no Postgres here."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from pglab.errors import LabError
from pglab.load import (
    Interrupted,
    LoadResult,
    Snapshot,
    closed_loop,
    closed_loop_async,
    loops,
    open_loop,
    pgbench,
)
from pglab.load.pgbench import problem_text
from pglab.load.result import MOST_ERRORS, OTHER, Recorder, told


class Server:
    """Gives out connections and keeps count."""

    def __init__(self, most: int = 10**9) -> None:
        self.most, self.open, self.opened, self.busy, self.busiest = most, 0, 0, 0, 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Server]:
        if self.open >= self.most:
            raise psycopg.OperationalError(
                'connection failed: connection to server at "127.0.0.1", port 5 failed: FATAL:  sorry, too many clients already'
            )
        self.open += 1
        self.opened += 1
        try:
            yield self
        finally:
            self.open -= 1

    async def work(self, seconds: float = 0.002) -> None:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.busy -= 1


async def work(server: Server) -> None:
    await server.work()


def check(result: LoadResult) -> LoadResult:
    """What holds for every result."""
    assert result.requests == len(result.latencies_ms)
    assert sum(result.errors.values()) == result.failed
    assert type(result.tps) is float and type(result.p99_ms) is float
    return result


# -- closed loop ----------------------------------------------------------------------------------------------------


def test_closed_loop_sends_the_count_with_that_many_clients() -> None:
    server = Server()
    result = check(closed_loop(work, connect=server.connect, clients=7, count=100))
    assert (result.requests, result.failed, result.sent) == (100, 0, 100)
    assert (server.busiest, server.opened, server.open) == (7, 7, 0)
    assert result.p50_ms >= 2


def test_closed_loop_ends_in_time() -> None:
    result = check(closed_loop(work, connect=Server().connect, clients=3, seconds=0.5))
    assert 0.5 <= result.seconds < 1.5
    assert result.requests > 20
    assert result.tps == pytest.approx(result.requests / result.seconds, rel=0.1)


def test_a_connection_for_each_request() -> None:
    server = Server()
    closed_loop(work, connect=server.connect, clients=5, count=40, per_request=True)
    assert (server.opened, server.open) == (40, 0)


def test_an_awaitable_is_a_connection_too() -> None:
    async def connect() -> str:
        return "conn"

    got = []

    async def request(conn: str) -> None:
        got.append(conn)

    closed_loop(request, connect=connect, clients=1, count=2)
    assert got == ["conn", "conn"]


def test_refused_clients_are_counted_and_try_again() -> None:
    server = Server(most=2)
    result = check(closed_loop(work, connect=server.connect, clients=5, seconds=0.6))
    assert result.errors == {"FATAL: sorry, too many clients already": result.failed}
    assert 9 <= result.failed <= 25  # 3 of them, every 0.1 s
    assert result.requests > 50


def test_errors_of_requests_are_counted_by_their_text() -> None:
    calls = iter(range(100))

    async def request(_: object) -> None:
        number = next(calls)
        if number % 4 == 0:
            raise ValueError(f"number   {number % 8}\n and more")
        if number % 4 == 1:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        await asyncio.sleep(0.001)

    result = check(closed_loop(request, connect=Server().connect, clients=2, count=40))
    assert result.errors == {"40P01: deadlock detected": 10, "ValueError: number 0": 10}
    assert (result.requests, result.failed) == (20, 20)


def test_a_request_that_waits_for_nothing_lets_the_others_and_the_clock_run() -> None:
    seen: dict[int, int] = {}

    async def request(conn: Any) -> None:
        seen[id(asyncio.current_task())] = seen.get(id(asyncio.current_task()), 0) + 1

    result = closed_loop(request, connect=Server().connect, clients=3, seconds=0.3)
    assert result.seconds < 2
    assert min(seen.values()) > 10 and len(seen) == 3


def test_a_request_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "DRAIN_S", 0.2)
    server = Server()

    async def request(conn: Server) -> None:
        await asyncio.sleep(3600)

    result = check(closed_loop(request, connect=server.connect, clients=4, seconds=0.2))
    assert (result.requests, result.unfinished, server.open) == (0, 4, 0)


def test_a_failed_request_rolls_back() -> None:
    class Conn:
        rolled_back = 0

        async def rollback(self) -> None:
            self.rolled_back += 1

    conn = Conn()

    async def request(_: Conn) -> None:
        raise ValueError

    closed_loop(request, connect=lambda: conn, clients=1, count=3)
    assert conn.rolled_back == 3


# -- open loop ------------------------------------------------------------------------------------------------------


def test_a_stall_is_seen_by_all_that_had_to_wait() -> None:
    """One client of a server that stalls once: no coordinated omission."""
    stalled = False

    async def request(_: object) -> None:
        nonlocal stalled
        if not stalled:
            stalled = True
            await asyncio.sleep(0.5)

    result = check(
        open_loop(request, connect=Server().connect, clients=1, rate=100, seconds=1, arrivals="uniform")
    )
    assert 98 <= result.requests <= 101
    assert 35 <= np.count_nonzero(result.latencies_ms > 100) <= 55  # a closed loop would have seen one
    assert result.max_ms >= 400


def test_latency_is_free_of_the_timer() -> None:
    async def request(_: object) -> None:
        pass

    for _ in range(8):  # others may have the processor for a while
        result = open_loop(request, connect=Server().connect, clients=5, rate=300, seconds=0.7)
        assert result.late_p99_ms >= 0
        if result.p50_ms < 0.4:  # asyncio's own timer is 0.5 ms late on average
            return
    pytest.fail(f"requests were sent {result.p50_ms} ms late")


def test_what_cannot_wait_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "DRAIN_S", 0.2)

    async def request(server: Server) -> None:
        await server.work(0.1)

    server = Server()
    result = check(
        open_loop(
            request,
            connect=server.connect,
            clients=2,
            rate=200,
            seconds=1,
            arrivals="uniform",
            max_waiting=10,
        )
    )
    assert 199 <= result.sent <= 201
    assert result.dropped > 130 and result.unfinished > 0
    assert server.busiest == 2 and server.open == 0


def test_arrivals_are_drawn_from_the_seed() -> None:
    def sent(seed: int) -> int:
        return open_loop(work, connect=Server().connect, clients=20, rate=150, seconds=0.5, seed=seed).sent

    assert sent(1) == sent(1)
    assert len({sent(seed) for seed in range(1, 5)}) > 1


# -- running it -----------------------------------------------------------------------------------------------------


def test_progress_comes_to_the_callers_thread() -> None:
    told_by: list[tuple[threading.Thread, Snapshot]] = []
    result = closed_loop(
        work, connect=Server().connect, clients=4, seconds=1.3,
        on_progress=lambda snapshot: told_by.append((threading.current_thread(), snapshot)),
    )  # fmt: skip
    assert {thread for thread, _ in told_by} == {threading.current_thread()}
    assert len(told_by) >= 3
    first, last = told_by[0][1], told_by[-1][1]
    assert first.tps > 100 and first.p99_ms >= first.p50_ms >= 2 and first.in_flight == 4
    assert last.requests == result.requests and last.in_flight == 0


def test_works_where_a_loop_runs_already() -> None:
    async def notebook() -> LoadResult:
        return closed_loop(work, connect=Server().connect, clients=2, count=10)

    assert asyncio.run(notebook()).requests == 10


def test_an_interrupt_closes_all_and_brings_what_there_is() -> None:
    server = Server()
    threading.Timer(0.6, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as stopped:
        closed_loop(work, connect=server.connect, clients=6, seconds=60)
    assert time.monotonic() - began < 10
    assert isinstance(stopped.value, Interrupted)
    assert stopped.value.result.requests > 20 and 0.3 < stopped.value.result.seconds < 5
    assert server.open == 0
    assert "pglab-load" not in {thread.name for thread in threading.enumerate()}


def test_an_error_of_the_callback_ends_the_load() -> None:
    def broken(_: Snapshot) -> None:
        raise RuntimeError("no screen")

    server = Server()
    with pytest.raises(RuntimeError, match="no screen"):
        closed_loop(work, connect=server.connect, clients=6, seconds=60, on_progress=broken)
    assert server.open == 0


def test_cancelled_it_closes_its_connections() -> None:
    server = Server()

    async def main() -> None:
        async with asyncio.timeout(0.3):
            await closed_loop_async(work, connect=server.connect, clients=3, seconds=60)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert server.opened == 3 and server.open == 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: closed_loop(work, connect=Server().connect, clients=0),
        lambda: closed_loop(work, connect=Server().connect, clients=1, seconds=0),
        lambda: closed_loop(work, connect=Server().connect, clients=1, seconds=1e9),
        lambda: open_loop(work, connect=Server().connect, clients=1, rate=0),
        lambda: open_loop(work, connect=Server().connect, clients=1, rate=1, arrivals="bursts"),  # type: ignore[arg-type]
        lambda: pgbench({}, "SELECT 1", clients=0),
    ],
)
def test_loads_that_cannot_be_had(wrong: Callable[[], object]) -> None:
    with pytest.raises(LabError):
        wrong()


# -- what is recorded -----------------------------------------------------------------------------------------------


def test_percentiles_are_the_requests_own() -> None:
    now = 0.0
    record = Recorder(lambda: now)
    for took in range(1, 101):
        now += 0.1
        record.ended(now - took / 1000)
    assert record.snapshot().tps == pytest.approx(10)
    result = record.result(10.0)
    assert (result.p50_ms, result.max_ms, result.mean_ms) == pytest.approx((50.5, 100, 50.5))
    assert result.percentile(99) == result.p99_ms == pytest.approx(np.percentile(range(1, 101), 99))
    assert len(result.series) == 10
    assert sum(row["tps"] for row in result.series) == pytest.approx(100, abs=1)
    assert record.snapshot().tps != record.snapshot().tps  # nan: too short a time for a rate


def test_errors_of_countless_texts_are_not_all_kept() -> None:
    record = Recorder()
    for number in range(MOST_ERRORS + 30):
        record.fail(ValueError("x" * number))
    errors = record.result(1).errors
    assert len(errors) == MOST_ERRORS + 1 and errors[OTHER] == 30


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (psycopg.errors.QueryCanceled("canceling statement due to statement timeout"),
         "57014: canceling statement due to statement timeout"),
        (psycopg.OperationalError(
            'connection failed: connection to server at "::1", port 5 failed: Connection refused\n'
            'Multiple connection attempts failed. All failures were:\n'
            '- host: "a": connection failed: FATAL:  password authentication failed for user "x"'),
         'FATAL: password authentication failed for user "x"'),
        (psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly\n\tThis probably means"),
         "consuming input failed: server closed the connection unexpectedly"),
        (TimeoutError(), "TimeoutError"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_errors_keep_their_own_words(error: Exception, text: str) -> None:
    assert told(error) == text


# -- pgbench's words ------------------------------------------------------------------------------------------------

PGBENCH = """#!{python}
import pathlib, sys, time
prefix = sys.argv[sys.argv.index("--log-prefix") + 1]
pathlib.Path(prefix + ".1").write_text("0 1 1500 0 1700000000 0\\n0 2 2500 0 1700000000 500000\\n0 3 failed 0 1700000001 0\\n0 4")
say = lambda text: print(text, file=sys.stderr, flush=True)
say("pgbench (18.6)")
say("progress: 1.0 s, 2.0 tps, lat 2.000 ms stddev 0.500, 1 failed, lag 0.1 ms")
say('pgbench: error: connection to server on socket "/x" failed: FATAL:  sorry, too many clients already')
say("pgbench: error: could not create connection for client 12")
say("pgbench: error: client 3 script 0 aborted in command 1 query 0: ERROR:  division by zero")
say("pgbench: pgbench: error: error: client 4 script 0 aborted in command 1 query 0: ERROR:  division by zero")
if "{mode}" == "hang":
    time.sleep(60)
print("number of transactions actually processed: 2\\nnumber of failed transactions: 1 (33.3%)\\ntps = 1.75 (without initial connection time)")
sys.exit(2)
"""


def fake_pgbench(folder: Path, mode: str) -> str:
    program = folder / "pgbench"
    program.write_text(PGBENCH.format(python=sys.executable, mode=mode))
    program.chmod(0o755)
    return str(program)


def test_pgbench_is_read(tmp_path: Path) -> None:
    seen: list[Snapshot] = []
    result = pgbench(
        {}, "SELECT 1", clients=9, seconds=2, program=fake_pgbench(tmp_path, ""), on_progress=seen.append
    )
    assert (result.requests, result.failed, result.tps) == (2, 4, 1.75)
    assert result.errors == {
        "ERROR: division by zero": 2,
        "FATAL: sorry, too many clients already": 1,
        "serialization failures or deadlocks": 1,
    }
    assert list(result.latencies_ms) == [1.5, 2.5]
    assert [(one.at_s, one.tps, one.mean_ms, one.failed, one.in_flight) for one in seen] == [
        (1.0, 2.0, 2.0, 1, 9)
    ]


def test_pgbench_is_ended_by_an_interrupt(tmp_path: Path) -> None:
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(Interrupted) as stopped:
        pgbench({}, "SELECT 1", clients=9, seconds=50, program=fake_pgbench(tmp_path, "hang"))
    assert time.monotonic() - began < 10
    assert stopped.value.result.errors["ERROR: division by zero"] == 2


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ('connection to server at "127.0.0.1", port 5 failed: FATAL:  no more connections allowed', "FATAL: no more connections allowed"),
        ("client 17 script 0 aborted in command 0 query 0: ERROR:  deadlock detected", "ERROR: deadlock detected"),
        ("client 17 receiving", "client receiving"),
    ],
)  # fmt: skip
def test_pgbenchs_problems_read_the_same_for_every_client(said: str, text: str) -> None:
    assert problem_text(said) == text
