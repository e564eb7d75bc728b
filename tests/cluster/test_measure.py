"""Measurements on a real server: what counts, what doesn't, and what can't be hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pglab.cluster import Cluster, Node
from pglab.errors import PglabError
from pglab.measure import Measurement, measure, measure_each, statements

Connection = psycopg.Connection[Any]
ROLE, OTHER, PASSWORD = "measured", "bystander", "measure-test"
DATABASE, ELSEWHERE = "measure", "elsewhere"


@pytest.fixture(scope="module")
def node(cluster: Cluster) -> Iterator[Node]:
    """A node with a database of ROLE's and 10,000 rows in it."""
    with cluster.primary.connect() as admin:
        drop(admin)
        for role in (ROLE, OTHER):
            admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'".encode())
        for name in (DATABASE, ELSEWHERE):
            admin.execute(f"CREATE DATABASE {name} OWNER {ROLE}".encode())
        with cluster.primary.connect(DATABASE) as inside:
            inside.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        with cluster.primary.connect(DATABASE, ROLE, PASSWORD) as owner:
            owner.execute("CREATE TABLE numbers AS SELECT n FROM generate_series(1, 10000) n")
            owner.execute("VACUUM ANALYZE numbers")  # sets the hint bits: reading must not write WAL
            owner.execute("GRANT SELECT ON numbers TO PUBLIC")
        yield cluster.primary
        drop(admin)


def drop(admin: Connection) -> None:
    for name in (DATABASE, ELSEWHERE):
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
    for role in (ROLE, OTHER):
        admin.execute(f"DROP ROLE IF EXISTS {role}".encode())


@pytest.fixture
def conn(node: Node) -> Iterator[Connection]:
    with node.connect(DATABASE, ROLE, PASSWORD) as conn:
        yield conn


def blocks(conn: Connection) -> int:
    row = conn.execute("SELECT pg_relation_size('numbers') / 8192").fetchone()
    assert row is not None
    return int(row[0])


def test_measuring_nothing_counts_nothing(conn: Connection) -> None:
    for _ in range(7):  # psycopg prepares what it has seen five times
        result, measured = measure(conn, lambda: "done")
        assert result == "done"
        assert (measured.calls, measured.queries, measured.control_calls) == (0, (), 0)
        assert (measured.shared_blks, measured.requests) == (0, 1)


def test_calls_rows_and_blocks_are_the_servers(conn: Connection) -> None:
    size = blocks(conn)

    def request(limit: int) -> int:
        first = conn.execute("SELECT n FROM numbers WHERE n <= %s", [limit]).fetchall()
        second = conn.execute("SELECT count(*) FROM numbers").fetchall()
        return len(first) + len(second)

    request(1)  # the first one of a session reads the catalogs too
    results, measured = measure_each(conn, request, [10, 20, 30])
    assert results == [11, 21, 31]
    assert (measured.calls, measured.rows, measured.requests) == (6, 63, 3)
    assert (measured.calls_per_request, measured.blks_per_request) == (2, 2 * size)
    assert measured.shared_blks == 6 * size
    assert (measured.wal_bytes, measured.nested_calls) == (0, 0)
    assert {query.text: query.calls for query in measured.queries} == {
        "SELECT n FROM numbers WHERE n <= $1": 3,
        "SELECT count(*) FROM numbers": 3,
    }
    assert 0 < measured.exec_ms == pytest.approx(sum(query.exec_ms for query in measured.queries))
    assert 0 < measured.exec_ms < sum(measured.elapsed_ms)


def test_writing_shows_as_wal(conn: Connection) -> None:
    _, measured = measure(conn, lambda: conn.execute("CREATE TABLE copied AS SELECT n FROM numbers"))
    assert measured.wal_bytes > 100_000
    assert measured.rows == 10_000
    conn.execute("DROP TABLE copied")


def test_other_roles_and_other_databases_do_not_count(node: Node, conn: Connection) -> None:
    def request() -> None:
        with (
            node.connect(DATABASE, OTHER, PASSWORD) as other,
            node.connect(ELSEWHERE, ROLE, PASSWORD) as away,
        ):
            other.execute("SELECT count(*) FROM numbers")
            away.execute("SELECT 1")

    assert measure(conn, request)[1].calls == 0


def test_other_sessions_of_the_role_count(node: Node, conn: Connection) -> None:
    def request() -> None:
        with node.connect(DATABASE, ROLE, PASSWORD) as other:
            other.execute("SELECT count(*) FROM numbers")

    assert measure(conn, request)[1].calls == 1


def test_transaction_control_is_told_apart(node: Node) -> None:
    with node.connect(DATABASE, ROLE, PASSWORD, row_factory=dict_row) as conn:
        conn.autocommit = False

        def request() -> None:
            with conn.transaction(), conn.transaction():
                conn.execute("/* page */ SET LOCAL work_mem = '8MB'")
                conn.execute("SELECT 1 AS settled")

        _, measured = measure(conn, request)
    assert (measured.calls, [q.text for q in measured.queries if not q.control]) == (
        1,
        ["SELECT $1 AS settled"],
    )
    assert measured.control_calls >= 3  # SAVEPOINT, RELEASE, SET, and BEGIN unless the snapshot began


def test_the_last_query_of_an_open_transaction_counts(node: Node) -> None:
    with node.connect(DATABASE, ROLE, PASSWORD) as conn:
        conn.autocommit = False
        _, measured = measure(
            conn, lambda: conn.execute("SELECT count(*) FROM numbers WHERE n > %s", [5]).fetchall()
        )
        assert measured.calls == 1


def test_what_a_function_runs_is_in_the_functions_cost(conn: Connection) -> None:
    size = blocks(conn)
    conn.execute("""
        CREATE OR REPLACE FUNCTION looped() RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE total bigint := 0;
        BEGIN FOR i IN 1..5 LOOP total := total + (SELECT count(*) FROM numbers WHERE n > i); END LOOP;
        RETURN total; END $$
    """)
    conn.execute("SELECT looped()")  # reads the catalogs for the first time
    _, measured = measure(conn, lambda: conn.execute("SELECT looped()"))
    assert (measured.calls, measured.rows) == (1, 1)
    assert measured.nested_calls == 5
    assert 5 * size <= measured.shared_blks < 6 * size


def test_a_relation_of_the_same_name_does_not_fool_it(conn: Connection) -> None:
    conn.execute("CREATE SCHEMA evil")
    try:
        for name in ("pg_stat_statements", "pg_stat_statements_info"):
            conn.execute(f"CREATE VIEW evil.{name} AS SELECT * FROM public.{name} WHERE false".encode())
        conn.execute("SET search_path = evil, public")
        assert measure(conn, lambda: conn.execute("SELECT count(*) FROM numbers"))[1].calls == 1
    finally:
        conn.execute("RESET search_path")
        conn.execute("DROP SCHEMA evil CASCADE")


def test_a_query_with_the_snapshots_text_in_it_counts(conn: Connection) -> None:
    hidden = "SELECT count(*) FROM numbers /* pg_stat_statements pg_backend_pid() snapshot */"
    assert measure(conn, lambda: conn.execute(hidden))[1].calls == 1


def test_forgotten_counters_are_no_low_measurement(node: Node, conn: Connection) -> None:
    def request() -> None:
        conn.execute("SELECT count(*) FROM numbers")
        with node.connect(DATABASE) as admin:
            admin.execute("SELECT pg_stat_statements_reset()")

    with pytest.raises(PglabError, match="Could not measure"):
        measure(conn, request)


def test_an_admin_can_watch_a_role_from_another_database(node: Node, conn: Connection) -> None:
    with node.connect() as admin:
        admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        before = statements(admin, role=ROLE, dbname=DATABASE)
        conn.execute("SELECT n FROM numbers WHERE n < %s", [4]).fetchall()
        queries = statements(admin, role=ROLE, dbname=DATABASE).since(before)
    measured = Measurement.of(queries, [1.0, 2.0])
    assert (measured.calls, measured.rows, measured.calls_per_request) == (1, 3, 0.5)


def test_a_database_that_does_not_count_says_so(node: Node) -> None:
    with (
        node.connect("template1") as conn,
        pytest.raises(PglabError, match="CREATE EXTENSION pg_stat_statements"),
    ):
        statements(conn)


def test_percentiles_of_the_requests() -> None:
    measured = Measurement.of((), [float(n) for n in range(1, 102)])
    assert (measured.p50_ms, measured.p95_ms, measured.p99_ms) == (51.0, 96.0, 100.0)
    assert str(Measurement.of((), []).p50_ms) == "nan"
