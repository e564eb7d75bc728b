"""What the load itself costs and can do: a generator that is the bottleneck would measure itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from pglab.cluster import Cluster
from pglab.load import LoadResult, Snapshot, closed_loop, direct, open_loop, pgbench
from pglab.show import strips
from pglab.show.live import Live

SECONDS = 3


def run() -> Iterator[tuple[str, float | str, str]]:
    """Rows of (name, value, goal)."""
    cluster = Cluster()
    cluster.up()
    conninfo = cluster.primary.conninfo()

    async def one(conn: psycopg.AsyncConnection[Any]) -> None:
        await conn.execute("SELECT 1")

    alone_ms = asyncio.run(_alone(conninfo))
    single = closed_loop(one, connect=direct(conninfo), clients=1, seconds=SECONDS)
    yield "load: one client, ms added to a query's p50", single.p50_ms - alone_ms, "≤ 0.02"
    for clients in (10, 90):
        result = closed_loop(one, connect=direct(conninfo), clients=clients, seconds=SECONDS)
        yield f"load: closed loop, {clients} clients, tps", _tps(result), ""
    result = open_loop(one, connect=direct(conninfo), clients=20, rate=1000, seconds=SECONDS)
    yield "load: open loop at 1,000 a second, tps", _tps(result), "1,000"
    yield "load: open loop at 1,000 a second, p50 ms from when it was due", result.p50_ms, ""
    yield "load: open loop at 1,000 a second, p99 ms by which it sent late", result.late_p99_ms, ""
    result = pgbench(conninfo, "SELECT 1", clients=90, seconds=SECONDS, program=cluster.binaries["pgbench"])
    yield "load: pgbench, 90 clients, tps", _tps(result), ""
    yield "live view: ms to draw one minute", _draw_ms(120), "≤ 10, beside a load in the same process"


async def _alone(conninfo: dict[str, Any]) -> float:
    """The p50 of the same query in a bare loop, ms."""
    async with await psycopg.AsyncConnection.connect(**conninfo, autocommit=True) as conn:
        took = []
        until = time.perf_counter() + SECONDS
        while (began := time.perf_counter()) < until:
            await conn.execute("SELECT 1")
            took.append(time.perf_counter() - began)
    return sorted(took)[len(took) // 2] * 1000


def _tps(result: LoadResult) -> str:
    assert not result.failed, result
    return f"{result.tps:,.0f}"


def _draw_ms(samples: int) -> float:
    view = Live(
        lambda: {"active": 40, "idle": 50, "idle in transaction": 9}, lambda: {"cl_waiting": 7}, "bench"
    )
    for _ in range(samples):
        view._sample()
        view(Snapshot(1.0, 4000.0, 5.0, 1.0, 2.0, 9.0, 1.0, 9, 1, 30, 40, 0, {"FATAL: sorry": 1}))
    assert len(strips.thin([(0.0, 1.0)] * samples)) <= samples
    took = []
    for _ in range(20):
        began = time.perf_counter()
        view.html()
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)[10]
