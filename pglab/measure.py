"""What a piece of work cost: counted by the server (pg_stat_statements), timed at the client.

Counted are the statements of one role in one database, in whichever session: two measurements of one role
must not overlap. In an open transaction the last statement may be counted only when the next one begins: let
requests end their transactions. Blocks are of 8 kB, times in ms, WAL in bytes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pglab.errors import PglabError

T = TypeVar("T")
P = TypeVar("P")
Connection = psycopg.Connection[Any]

# Its schema is asked for, not searched: in a database of the student's, another relation may have its name.
_WHERE: Final = "SELECT extnamespace::regnamespace FROM pg_catalog.pg_extension WHERE extname = {}"
# Columns that Postgres 15 to 18 have alike. The snapshot leaves itself out by its query id: a comment as a
# mark could be put into any other statement to hide that.
_SNAPSHOT: Final = """
SELECT s.queryid, s.toplevel, s.query, s.calls, s.rows, s.plans, s.shared_blks_hit, s.shared_blks_read,
       s.wal_bytes::bigint, s.total_exec_time, i.dealloc, i.stats_reset
  FROM {schema}.pg_stat_statements_info i
  LEFT JOIN {schema}.pg_stat_statements s
    ON s.userid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {role})
   AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = {dbname})
   AND s.queryid IS DISTINCT FROM
       (SELECT query_id FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
"""
_REMEDY: Final = "Preload pg_stat_statements and run CREATE EXTENSION pg_stat_statements"
_CONTROL = re.compile(
    r"(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|set|reset|discard|deallocate)\b",
    re.IGNORECASE,
)
_BLANK = re.compile(r"(?:\s|--[^\n]*(?:\n|$))+")
_BRACKET = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Query:
    """One kind of statement and its counters, named as the columns of pg_stat_statements."""

    text: str  # normalised: constants are $1, $2 …
    calls: int
    rows: int
    shared_blks_hit: int
    shared_blks_read: int
    wal_bytes: int
    exec_ms: float
    plans: int = 0  # 0 unless pg_stat_statements.track_planning is on
    toplevel: bool = True  # False: run by a function or by EXPLAIN, its cost is in the statement around it

    @property
    def control(self) -> bool:
        """Transaction and session control (BEGIN, COMMIT, SET …): no query, not in Measurement.calls."""
        return _CONTROL.match(_without_comments(self.text)) is not None


def _without_comments(text: str) -> str:
    """A statement from its first word on. Comments in brackets nest in Postgres: /* /* */ begin */ SELECT 1 is a SELECT."""
    at = 0
    while True:
        if blank := _BLANK.match(text, at):
            at = blank.end()
        elif not text.startswith("/*", at):
            return text[at:]
        else:
            depth = 0
            for bracket in _BRACKET.finditer(text, at):
                depth += 1 if bracket[0] == "/*" else -1
                if depth == 0:
                    at = bracket.end()
                    break
            else:
                return ""


@dataclass(frozen=True, slots=True)
class Statements:
    """A snapshot of pg_stat_statements for one role and database: counters since the last reset."""

    queries: dict[tuple[int, bool], Query]  # by query id and toplevel
    dealloc: int
    stats_reset: object

    def since(self, before: Statements) -> tuple[Query, ...]:
        """What was counted between the two snapshots, most time first.

        Raises PglabError where the server forgot entries in between: the difference would be too small.
        """
        if (self.dealloc, self.stats_reset) != (before.dealloc, before.stats_reset):
            raise PglabError(
                "Could not measure: the server dropped entries of pg_stat_statements meanwhile",
                "Run it again; if it happens again, raise pg_stat_statements.max or use parameters",
            )
        zero = Query("", 0, 0, 0, 0, 0, 0.0)
        found = []
        for key, now in self.queries.items():
            then = before.queries.get(key, zero)
            if (now.calls, now.plans) == (then.calls, then.plans):
                continue
            found.append(
                Query(
                    text=now.text,
                    calls=now.calls - then.calls,
                    rows=now.rows - then.rows,
                    shared_blks_hit=now.shared_blks_hit - then.shared_blks_hit,
                    shared_blks_read=now.shared_blks_read - then.shared_blks_read,
                    wal_bytes=now.wal_bytes - then.wal_bytes,
                    exec_ms=now.exec_ms - then.exec_ms,
                    plans=now.plans - then.plans,
                    toplevel=now.toplevel,
                )
            )
        return tuple(sorted(found, key=lambda query: (-query.exec_ms, query.text)))


@dataclass(frozen=True, slots=True)
class Measurement:
    """What requests cost. Totals are over the queries that the client sent, each with all it set off."""

    calls: int
    rows: int
    shared_blks_hit: int
    shared_blks_read: int
    wal_bytes: int
    exec_ms: float
    elapsed_ms: list[float] = field(default_factory=list)  # one entry a request, at the client
    plans: int = 0
    control_calls: int = 0  # BEGIN, COMMIT, SET …: round trips too, but no queries
    nested_calls: int = 0  # queries that functions ran
    queries: tuple[Query, ...] = ()  # most time first; control and nested ones too

    @classmethod
    def of(cls, queries: tuple[Query, ...], elapsed_ms: list[float]) -> Measurement:
        sent = [query for query in queries if query.toplevel and not query.control]
        return cls(
            calls=sum(query.calls for query in sent),
            rows=sum(query.rows for query in sent),
            shared_blks_hit=sum(query.shared_blks_hit for query in sent),
            shared_blks_read=sum(query.shared_blks_read for query in sent),
            wal_bytes=sum(query.wal_bytes for query in sent),
            exec_ms=sum(query.exec_ms for query in sent),
            elapsed_ms=list(elapsed_ms),
            plans=sum(query.plans for query in sent),
            control_calls=sum(query.calls for query in queries if query.toplevel and query.control),
            nested_calls=sum(query.calls for query in queries if not query.toplevel),
            queries=queries,
        )

    @property
    def requests(self) -> int:
        return len(self.elapsed_ms)

    @property
    def shared_blks(self) -> int:
        """Blocks touched, hit + read."""
        return self.shared_blks_hit + self.shared_blks_read

    @property
    def calls_per_request(self) -> float:
        return self.calls / max(self.requests, 1)

    @property
    def blks_per_request(self) -> float:
        return self.shared_blks / max(self.requests, 1)

    def percentile(self, percent: float) -> float:
        """Elapsed ms that so many per cent of the requests stayed within; nan without requests."""
        return float(np.percentile(self.elapsed_ms, percent)) if self.elapsed_ms else float("nan")

    @property
    def p50_ms(self) -> float:
        return self.percentile(50)

    @property
    def p95_ms(self) -> float:
        return self.percentile(95)

    @property
    def p99_ms(self) -> float:
        return self.percentile(99)


def statements(conn: Connection, *, role: str | None = None, dbname: str | None = None) -> Statements:
    """A snapshot for the connection's role and database, or, with the right to see them, for others.

    Raises PglabError where the database has no pg_stat_statements.
    """
    with conn.cursor(row_factory=tuple_row) as cursor:
        # Never prepared: then the server reports this very statement's query id on every version.
        schema = cursor.execute(_WHERE.format("'pg_stat_statements'"), prepare=False).fetchone()
        if schema is None:
            raise PglabError("This database does not count statements", _REMEDY)
        snapshot = sql.SQL(_SNAPSHOT).format(
            schema=sql.SQL(schema[0]),
            role=sql.Literal(role) if role else sql.SQL("current_user"),
            dbname=sql.Literal(dbname) if dbname else sql.SQL("current_database()"),
        )
        try:
            found = cursor.execute(snapshot, prepare=False).fetchall()
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            raise PglabError("This server does not count statements", _REMEDY) from error
    own = _WHERE.format("$1")
    queries = {
        (queryid, toplevel): Query(text or "", calls, rows, hit, read, wal, exec_ms, plans, toplevel)
        for queryid, toplevel, text, calls, rows, plans, hit, read, wal, exec_ms, *_ in found
        if queryid is not None and text != own
    }
    return Statements(queries, dealloc=found[0][-2], stats_reset=found[0][-1])


def measure(conn: Connection, run: Callable[[], T]) -> tuple[T, Measurement]:
    """Runs one request and says what it cost. conn: the one that run uses, or another of the same role."""
    results, measured = measure_each(conn, lambda _: run(), [None])
    return results[0], measured


def measure_each(conn: Connection, run: Callable[[P], T], params: Iterable[P]) -> tuple[list[T], Measurement]:
    """Runs a request for each parameter, one after the other, and times each of them."""
    elapsed: list[float] = []
    results: list[T] = []
    before = statements(conn)
    for param in params:
        start = time.perf_counter()
        results.append(run(param))
        elapsed.append((time.perf_counter() - start) * 1000)
    return results, Measurement.of(statements(conn).since(before), elapsed)
