"""Loads on a real server: what clients see is what the server counted."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import psycopg
import pytest

from pglab.cluster import Cluster
from pglab.load import Interrupted, closed_loop, direct, open_loop, pgbench, pooled
from pglab.show.live import activity, live

MARK = "load of a test"


async def one(conn: psycopg.AsyncConnection[Any]) -> None:
    await conn.execute("SELECT 1")


def sessions(cluster: Cluster) -> int:
    with cluster.primary.connect() as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [MARK]
        ).fetchone()
    assert row is not None
    return int(row[0])


def wait_gone(cluster: Cluster) -> None:
    limit = time.monotonic() + 10
    while sessions(cluster):
        assert time.monotonic() < limit, "connections were left"


def test_closed_loop_counts_as_the_server_does(cluster: Cluster) -> None:
    conninfo = cluster.primary.conninfo()
    with cluster.primary.connect() as admin:
        admin.execute("DROP TABLE IF EXISTS counted")
        admin.execute("CREATE TABLE counted (at timestamptz DEFAULT now())")

        async def insert(conn: psycopg.AsyncConnection[Any]) -> None:
            await conn.execute("INSERT INTO counted DEFAULT VALUES")

        result = closed_loop(insert, connect=direct(conninfo, application_name=MARK), clients=8, count=300)
        assert admin.execute("SELECT count(*) FROM counted").fetchone() == (300,)
        admin.execute("DROP TABLE counted")
    assert (result.requests, result.failed) == (300, 0)
    wait_gone(cluster)


def test_a_pool_bounds_the_connections_and_clients_wait(cluster: Cluster) -> None:
    most, waiting = [], []

    async def request(conn: psycopg.AsyncConnection[Any]) -> None:
        await conn.execute("SELECT pg_sleep(0.02)")

    result = closed_loop(
        request, connect=pooled(cluster.primary.conninfo(), 4, application_name=MARK), clients=30, seconds=1.5,
        per_request=True, on_progress=lambda one: (most.append(sessions(cluster)), waiting.append(one.waiting)),
    )  # fmt: skip
    assert result.failed == 0 and result.requests > 60
    assert 1 <= max(most) <= 4 and max(waiting) >= 20
    assert result.p50_ms > 80  # 30 clients share 4 connections of 20 ms
    wait_gone(cluster)


def test_too_many_clients_are_told_so_by_the_server(
    cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    result = closed_loop(one, connect=direct(cluster.primary.conninfo()), clients=130, seconds=1)
    assert result.failed >= 20 and result.requests > 100
    assert any("too many clients already" in text for text in result.errors)
    pool = pooled(cluster.primary.conninfo(dbname="nowhere"), 2, wait_s=0.5)
    result = closed_loop(one, connect=pool, clients=3, seconds=1, per_request=True)
    assert result.requests == 0 and result.failed > 0
    assert "couldn't get a connection" in str(result.errors)
    assert capfd.readouterr().err == ""


def test_a_failed_transaction_is_over_for_the_next_request(cluster: Cluster) -> None:
    calls = iter(range(100))

    async def request(conn: psycopg.AsyncConnection[Any]) -> None:
        await conn.execute("SELECT 1/%s", [next(calls) % 2])

    result = closed_loop(
        request, connect=direct(cluster.primary.conninfo(), autocommit=False), clients=1, count=10
    )
    assert result.errors == {"22012: division by zero": 5}
    assert result.requests == 5


def test_a_broken_connection_is_replaced(cluster: Cluster) -> None:
    calls = iter(range(100))

    async def request(conn: psycopg.AsyncConnection[Any]) -> None:
        if next(calls) == 3:
            await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        await conn.execute("SELECT 1")

    result = closed_loop(request, connect=direct(cluster.primary.conninfo()), clients=1, count=10)
    assert result.errors == {"57P01: terminating connection due to administrator command": 1}
    assert result.requests == 9


def test_an_interrupt_leaves_no_connection(cluster: Cluster) -> None:
    async def long(conn: psycopg.AsyncConnection[Any]) -> None:
        await conn.execute("SELECT pg_sleep(30)")

    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Interrupted):
        closed_loop(
            long, connect=direct(cluster.primary.conninfo(), application_name=MARK), clients=20, seconds=60
        )
    wait_gone(cluster)


def test_open_loop_keeps_its_rate(cluster: Cluster) -> None:
    result = open_loop(
        one, connect=direct(cluster.primary.conninfo()), clients=10, rate=100, seconds=2, arrivals="uniform"
    )
    assert 198 <= result.requests <= 201 and result.dropped == result.failed == 0


def test_pgbench_counts_and_times(cluster: Cluster) -> None:
    seen: list[float] = []
    result = pgbench(
        cluster.primary.conninfo(), "SELECT :number;", clients=4, seconds=2, variables={"number": 7},
        program=cluster.binaries["pgbench"], on_progress=lambda one: seen.append(one.tps),
    )  # fmt: skip
    assert result.failed == 0 and result.requests == len(result.latencies_ms) > 100
    assert result.tps == pytest.approx(result.requests / 2, rel=0.2)
    assert 0 <= result.p50_ms <= result.p99_ms <= result.max_ms and result.max_ms > 0
    assert 1 <= len(seen) <= 3 and len(result.series) == 2


def test_pgbench_brings_the_servers_errors(cluster: Cluster) -> None:
    program = cluster.binaries["pgbench"]
    missing = pgbench(cluster.primary.conninfo(), "SELECT * FROM nope", clients=2, seconds=1, program=program)
    assert missing.requests == 0 and 'ERROR: relation "nope" does not exist' in missing.errors
    many = pgbench(cluster.primary.conninfo(), "SELECT 1", clients=150, seconds=1, program=program)
    assert many.failed and any("too many clients already" in text for text in many.errors)
    nobody = pgbench(
        cluster.primary.conninfo(user="nobody", password="x"),
        "SELECT 1",
        clients=1,
        seconds=1,
        program=program,
    )
    assert 'FATAL: password authentication failed for user "nobody"' in nobody.errors


def test_the_live_view_counts_the_connections(cluster: Cluster) -> None:
    async def hold(conn: psycopg.AsyncConnection[Any]) -> None:
        await conn.execute("SELECT pg_sleep(0.3)")

    with cluster.primary.connect() as admin:
        admin.execute("DROP DATABASE IF EXISTS watched")
        admin.execute("CREATE DATABASE watched")
    sample = activity(cluster.primary.connect, "watched")
    with live(sample) as view:
        closed_loop(
            hold, connect=direct(cluster.primary.conninfo("watched")), clients=12, seconds=2, on_progress=view
        )
        counts = [found.get("active", 0) for _, found in view._states]
    assert max(counts) == 12
    with cluster.primary.connect() as admin:
        admin.execute("DROP DATABASE watched WITH (FORCE)")
