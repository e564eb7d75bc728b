"""Seeding: empty cluster to template database, over two to four connections, all or nothing.

The work is done in a database of another name, which gets the template's name at the end: a power cut leaves rubbish
that the next call removes, never half a template. All tables are loaded, then all are finished (vacuum, indexes, verify):
VACUUM marks only rows as frozen that are older than each snapshot of the database, also that of the other connection's
INSERT. In both halves the longest job goes first: order_items fills one connection while orders fills another. A table has
one writer, so its rows lie at the same places each time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

import psycopg
from psycopg import sql

from pglab.cluster import Cluster
from pglab.dataset.description import Dataset, Scale, count_and_checksum, is_seeded, template_name
from pglab.dataset.progress import Board
from pglab.errors import DatasetError, DiskFull

OnProgress = Callable[[float, str], None]

CONNECTIONS = max(2, min(4, os.cpu_count() or 2))  # more would wait for the largest table
RANGE = 200_000  # rows of one INSERT: half a second at most, so that progress moves
ROOM = 2.2  # the template, the WAL of writing it, and one clone
GB = 1e9
LOCK = 0x70676C61  # any number of our own
TICK_S = 0.2

# The connections are busy all the time, so that a parallel index build would only get in its own way.
SESSION = """
SET max_parallel_maintenance_workers = 0; SET maintenance_work_mem = '512MB'; SET jit = off;
SET search_path = public; SET statement_timeout = 0; SET lock_timeout = 0; SET client_min_messages = warning;
"""


def seed(cluster: Cluster, dataset: Dataset, scale: str, on_progress: OnProgress) -> None:
    """Make the template database of a scale. Returns at once when it is there; waits for another process that makes it.

    Args:
        on_progress: called from this thread several times a second with the share done (0 to 1) and the step's name.

    Raises:
        DatasetError: unknown scale, or the rows are not as dataset.toml states; DiskFull: no room, before or while writing;
        NotRunning: the cluster is stopped. Nothing is left behind then, nor after Ctrl-C.
    """
    wanted = dataset.scale(scale)
    cluster.require_running()
    name = template_name(dataset, scale)
    with cluster.primary.connect() as admin:
        _wait_for_turn(admin, on_progress)
        _drop(admin, building := f"{name}_building")
        if is_seeded(cluster, dataset, scale):
            return
        _check_room(cluster, dataset, wanted)
        try:
            create = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
            admin.execute(sql.SQL(create).format(sql.Identifier(building)))
            _Seeding(cluster, dataset, wanted, building).run(admin, on_progress)
            for last in (
                "REVOKE CONNECT, TEMPORARY ON DATABASE {0} FROM PUBLIC",
                "ALTER DATABASE {0} IS_TEMPLATE true",
                "ALTER DATABASE {0} RENAME TO {1}",
            ):
                admin.execute(sql.SQL(last).format(sql.Identifier(building), sql.Identifier(name)))
        except BaseException as error:
            _give_up(cluster, building)
            if isinstance(error, psycopg.errors.DiskFull | psycopg.OperationalError) and _is_full(
                cluster, error
            ):
                raise _disk_full(cluster, dataset, wanted, "The disk is full") from error
            if isinstance(error, psycopg.OperationalError):
                raise DatasetError(
                    f"The server went away while {name} was made ({error})", "Run it again"
                ) from error
            raise
    on_progress(1.0, "done")


class _Seeding:
    """One run: two jobs for each table, a few connections, one board that knows how far they are."""

    def __init__(self, cluster: Cluster, dataset: Dataset, scale: Scale, database: str) -> None:
        self.cluster = cluster
        self.dataset = dataset
        self.scale = scale
        self.database = database
        self.board = Board(dataset, scale)
        self.busy: dict[str, psycopg.Connection[Any]] = {}  # table → the connection that works on it
        self.stopped = False

    def run(self, admin: psycopg.Connection[Any], on_progress: OnProgress) -> None:
        """Fill the database; admin is for looking at the progress."""
        with self._connect() as setup:
            setup.execute("CREATE EXTENSION pg_stat_statements")
            setup.execute(self.dataset.schema.encode())
            setup.execute(self.dataset.functions(self.scale).encode())
        tables = sorted(self.board.work, key=self.board.work.__getitem__, reverse=True)
        for half in (self._load, self._finish):
            with ThreadPoolExecutor(CONNECTIONS, "seed") as pool:
                jobs = [pool.submit(self._run, half, table) for table in tables]
                try:
                    self._watch(jobs, admin, on_progress)
                finally:
                    self._stop(jobs)
            # A commit that waits for the disk. Before one, VACUUM cannot mark rows whose commit did not wait as visible to
            # all; and Postgres knows that only for 32 transactions together, so that the second half must wait each time.
            comment = sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                sql.Identifier(self.database), f"pglab: {self.dataset.name} at scale {self.scale.name}"
            )
            admin.execute(comment)
        with self._connect() as setup:
            setup.execute("DROP SCHEMA gen CASCADE")
            setup.execute(self.dataset.foreign_keys.encode())
            # They hold by the way the rows are made. Having the server look took an eighth of the time;
            # tests/cluster/test_dataset.py has it look.
            setup.execute("UPDATE pg_constraint SET convalidated = true WHERE contype = 'f'")

    def _watch(
        self, jobs: list[Future[None]], admin: psycopg.Connection[Any], on_progress: OnProgress
    ) -> None:
        running = set(jobs)
        while running:
            done, running = wait(running, TICK_S, FIRST_EXCEPTION)
            for job in done:
                job.result()
            on_progress(
                *self.board.read(
                    admin, {table: conn.info.backend_pid for table, conn in list(self.busy.items())}
                )
            )

    def _stop(self, jobs: list[Future[None]]) -> None:
        """End what still runs. A cancel can fall between two statements, so it is repeated."""
        if all(job.done() and not job.cancelled() and job.exception() is None for job in jobs):
            return
        self.stopped = True
        for job in jobs:
            job.cancel()
        while wait(jobs, TICK_S).not_done:
            for conn in list(self.busy.values()):
                conn.cancel_safe(timeout=5)

    def _connect(self) -> psycopg.Connection[Any]:
        conn = self.cluster.primary.connect(self.database)
        conn.execute(SESSION)
        return conn

    def _run(self, half: Callable[[psycopg.Connection[Any], str], None], table: str) -> None:
        with self._connect() as conn:
            self.busy[table] = conn
            try:
                half(conn, table)
            finally:
                del self.busy[table]

    def _load(self, conn: psycopg.Connection[Any], table: str) -> None:
        # No commit of the load waits for the disk: the first one after it waits for all of them.
        self._do(conn, "SET synchronous_commit = off")
        # Autovacuum would join in the middle of a long load.
        self._do(conn, f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        rows = self.scale.rows[table]
        for low in range(1, rows + 1, RANGE):
            high = min(low + RANGE - 1, rows)
            self._do(conn, self.dataset.insert(table, self.scale, low, high))
            self.board.loaded(table, high)
        self._do(conn, f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {rows})")

    def _finish(self, conn: psycopg.Connection[Any], table: str) -> None:
        self.board.begin(table, "vacuum")
        self._do(conn, f"VACUUM (FREEZE, ANALYZE) {table}")
        for number, statement in enumerate(self.dataset.finish(table)):
            self.board.begin(table, "index", number)
            self._do(conn, statement)
        self._do(conn, f"ALTER TABLE {table} RESET (autovacuum_enabled)")
        self.board.begin(table, "verify")
        self._verify(conn, table)
        self.board.end(table)

    def _do(self, conn: psycopg.Connection[Any], statement: str) -> None:
        if self.stopped:
            raise psycopg.errors.QueryCanceled("stopped")
        conn.execute(statement.encode())

    def _verify(self, conn: psycopg.Connection[Any], table: str) -> None:
        found = count_and_checksum(conn, table)
        stated = (self.scale.rows[table], self.scale.checksums.get(table, found[1]))
        if found != stated:
            raise DatasetError(
                f"{table} is not as dataset.toml states it: {found[0]:,} rows with checksum {found[1]}, "
                f"stated {stated[0]:,} with {stated[1]}",
                "Restore datasets/ from git; if you changed it on purpose, state the new figures",
            )


def _wait_for_turn(admin: psycopg.Connection[Any], on_progress: OnProgress) -> None:
    """Take the lock of all seeding on this server. It ends with the connection, however this process ends."""
    while not admin.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()[0]:  # type: ignore[index]
        on_progress(0.0, "waiting for another process that seeds")
        time.sleep(TICK_S)


def _drop(admin: psycopg.Connection[Any], database: str) -> None:
    """Drop what a killed run left, with the sessions that it left."""
    if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate", [database]).fetchone():
        admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(database)))
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def _give_up(cluster: Cluster, database: str) -> None:
    try:
        with cluster.primary.connect() as admin:  # the other one may be broken
            _drop(admin, database)
    except psycopg.Error:
        pass  # the server is gone: the next call drops it


def _check_room(cluster: Cluster, dataset: Dataset, scale: Scale) -> None:
    if cluster.primary.free_bytes() < scale.bytes * ROOM:
        raise _disk_full(cluster, dataset, scale, "There is too little disk")


def _is_full(cluster: Cluster, error: psycopg.Error) -> bool:
    """Whether the disk is to blame. A server that cannot write its WAL dies, and says so only in its log."""
    return isinstance(error, psycopg.errors.DiskFull) or cluster.primary.free_bytes() < 64e6


def _disk_full(cluster: Cluster, dataset: Dataset, scale: Scale, what: str) -> DiskFull:
    free = cluster.primary.free_bytes()
    smaller = [
        other.name for other in dataset.scales.values() if other.bytes * ROOM < min(free, scale.bytes * ROOM)
    ]
    return DiskFull(
        f"{what} for {dataset.name} at scale {scale.name}: it takes {scale.bytes * ROOM / GB:.2f} GB "
        f"(the data, the log of writing it, a clone), and {free / GB:.2f} GB are free at {cluster.primary.data}",
        "Free some space, set PGLAB_HOME to another disk"
        + (f", or seed at scale {smaller[-1]}" if smaller else ""),
    )
