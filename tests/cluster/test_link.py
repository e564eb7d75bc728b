"""A link in front of a real server and a real pooler, with psycopg."""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any

import psycopg
import pytest

from pglab.cluster import Cluster
from pglab.cluster.link import Link


def query_ms(conn: psycopg.Connection[Any], count: int = 20) -> float:
    took = []
    for _ in range(count):
        start = time.perf_counter()
        conn.execute("SELECT 1")
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took)


@pytest.mark.parametrize("over", ["socket", "tcp"])
def test_a_query_takes_the_round_trip_longer(cluster: Cluster, over: str) -> None:
    target = cluster.primary.conninfo() | ({"host": "127.0.0.1"} if over == "tcp" else {})
    with Link(target, 10) as link, psycopg.connect(**(target | link.conninfo), autocommit=True) as conn:
        assert conn.info.port == link.port
        assert 9.5 <= query_ms(conn) < 20
        with conn.pipeline():  # one round trip for all of them
            start = time.perf_counter()
            answers = [conn.execute("SELECT %s", [number]) for number in range(50)]
            assert [answer.fetchone() for answer in answers] == [(number,) for number in range(50)]
        assert time.perf_counter() - start < 0.25
        rows = conn.execute("SELECT repeat('x', 1000) FROM generate_series(1, 20000)").fetchall()
        assert len(rows) == 20000


def test_a_cut_link_breaks_sessions_and_restored_it_takes_new_ones(cluster: Cluster) -> None:
    node = cluster.primary
    with Link(node.conninfo(), 1) as link:
        conninfo = node.conninfo() | link.conninfo
        conn = psycopg.connect(**conninfo, autocommit=True)
        pid = conn.info.backend_pid
        link.cut()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        assert conn.broken
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(**conninfo)
        with node.connect() as admin:
            limit = time.monotonic() + 10
            while admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).rowcount:
                assert time.monotonic() < limit, "the server did not notice"
        link.restore()
        with psycopg.connect(**conninfo) as again:
            assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_is_cancelled_through_it(cluster: Cluster) -> None:
    conninfo = cluster.primary.conninfo()
    with Link(conninfo, 5) as link, psycopg.connect(**(conninfo | link.conninfo)) as conn:
        threading.Timer(0.3, conn.cancel_safe).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT pg_sleep(30)")


def test_in_front_of_a_pooler(cluster: Cluster) -> None:
    from pglab.cluster import pgbouncer
    from pglab.cluster.pooler import Pooler
    from pglab.cluster.scram import scram_secrets

    if pgbouncer.find(cluster.home) is None:
        pytest.skip("PgBouncer is not installed")
    with cluster.primary.connect() as admin:
        admin.execute("DROP DATABASE IF EXISTS linked")
        admin.execute("DROP ROLE IF EXISTS linked")
        admin.execute("CREATE ROLE linked LOGIN PASSWORD 'linked'")
        admin.execute("CREATE DATABASE linked OWNER linked")
    pooler = Pooler("linked", cluster.home)
    secrets = scram_secrets(cluster.primary, "linked")
    try:
        pooler.start("[databases]\n* =\n[pgbouncer]\npool_mode = transaction\n", secrets, cluster.primary)
        target = pooler.conninfo("linked", "linked", "linked")
        with Link(target, 10) as link, psycopg.connect(**(target | link.conninfo), autocommit=True) as conn:
            assert 9.5 <= query_ms(conn) < 20
    finally:
        pooler.stop()
        with cluster.primary.connect() as admin:
            admin.execute("DROP DATABASE linked WITH (FORCE)")
            admin.execute("DROP ROLE linked")
