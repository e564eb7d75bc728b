"""Clones: a lab's own copy of a template database, made by file copy and dropped when room is needed.

What is known of them stands in table pglab.clones of the database postgres. A row is written when the clone is whole, so
a database without a row is what a killed process left, and the next clone of that name replaces it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from pglab.cluster import Cluster
from pglab.errors import DatasetError, DiskFull

GB = 10**9
SMALLEST_BUDGET = 10 * GB
ATTEMPTS = 3  # each waits up to 5 s in the server for others to leave the template

BOOKS = """
CREATE SCHEMA IF NOT EXISTS pglab;
CREATE TABLE IF NOT EXISTS pglab.clones (
    name text PRIMARY KEY, lab text NOT NULL, template text NOT NULL, last_used timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON SCHEMA pglab FROM PUBLIC;
"""


@dataclass(frozen=True)
class Clone:
    """A clone as it is now. bytes: its files on disk; connections: sessions of anybody in it."""

    name: str
    lab: str
    bytes: int
    last_used: datetime
    connections: int


def clone(cluster: Cluster, template: str, name: str, owner: str, *, lab: str = "") -> None:
    """Copy a template database. Drops clones that were not used for long when the budget asks for it.

    Args:
        owner: a role that exists; nobody else but superusers may connect. lab: what listing() shows, the name by default.

    Raises:
        DatasetError: the template is missing or kept busy, or the clone is there already; DiskFull: no room for it.
    """
    with _books(cluster) as admin:
        row = admin.execute(
            "SELECT pg_database_size(oid) FROM pg_database WHERE datname = %s", [template]
        ).fetchone()
        if row is None:
            raise DatasetError(f"There is no template database {template}", "Seed the dataset: `pglab up`")
        if admin.execute(
            "SELECT 1 FROM pglab.clones JOIN pg_database ON datname = name WHERE name = %s", [name]
        ).fetchone():
            raise DatasetError(f"The database {name} is there already", "Drop it first: `pglab reset` does")
        _drop(admin, name, force=True)
        _make_room(admin, cluster, row[0], _budget(admin, cluster, row[0]))
        try:
            _copy(admin, template, name, owner)
            admin.execute(
                sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
            )
            admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1").format(sql.Identifier(name)))
            admin.execute(
                "INSERT INTO pglab.clones (name, lab, template) VALUES (%s, %s, %s)",
                [name, lab or name, template],
            )
        except psycopg.errors.DiskFull as error:
            raise _disk_full(cluster, row[0]) from error
        except BaseException:
            if not admin.closed and not admin.broken:
                _drop(admin, name, force=True)
            raise


def drop(cluster: Cluster, name: str) -> None:
    """Drop a clone and end the sessions in it. None of that name is fine."""
    with _books(cluster) as admin:
        _drop(admin, name, force=True)


def touch(cluster: Cluster, name: str) -> None:
    """Note that a clone is used now."""
    with _books(cluster) as admin:
        admin.execute("UPDATE pglab.clones SET last_used = now() WHERE name = %s", [name])


def listing(cluster: Cluster) -> list[Clone]:
    """All clones, the one that was not used for the longest time first."""
    with _books(cluster) as admin:
        return _listing(admin)


def budget(cluster: Cluster, template_bytes: int) -> int:
    """Bytes that all clones together may take: PGLAB_CLONE_BUDGET_GB, else 10 GB or three templates, whichever is more.

    Never more than half of what the disk would have free without them.

    Raises:
        DatasetError: PGLAB_CLONE_BUDGET_GB is no number.
    """
    with _books(cluster) as admin:
        return _budget(admin, cluster, template_bytes)


def _budget(admin: psycopg.Connection[Any], cluster: Cluster, template_bytes: int) -> int:
    stated = os.environ.get("PGLAB_CLONE_BUDGET_GB")
    try:
        wanted = int(float(stated) * GB) if stated else max(SMALLEST_BUDGET, 3 * template_bytes)
    except (ValueError, OverflowError) as error:
        raise DatasetError(
            f"PGLAB_CLONE_BUDGET_GB is {stated!r}, which is no number", "Set it to a number of gigabytes"
        ) from error
    used = sum(each.bytes for each in _listing(admin))
    return min(wanted, (_free(cluster) + used) // 2)


def make_room(cluster: Cluster, needed_bytes: int, budget_bytes: int) -> list[str]:
    """Drop the least recently used clones until needed_bytes more fit into the budget. Gives the names of the dropped.

    A clone that somebody is connected to stays.

    Raises:
        DiskFull: what may be dropped is not enough.
    """
    with _books(cluster) as admin:
        return _make_room(admin, cluster, needed_bytes, budget_bytes)


def _make_room(
    admin: psycopg.Connection[Any], cluster: Cluster, needed_bytes: int, budget_bytes: int
) -> list[str]:
    dropped: list[str] = []
    found = _listing(admin)
    used = sum(each.bytes for each in found)
    for each in found:
        if used + needed_bytes <= budget_bytes:
            break
        if each.connections == 0 and _drop(admin, each.name, force=False):
            dropped.append(each.name)
            used -= each.bytes
    if used + needed_bytes > budget_bytes:
        raise DiskFull(
            f"A clone of {needed_bytes / GB:.2f} GB does not fit: clones in use take {used / GB:.2f} GB, all together may take "
            f"{budget_bytes / GB:.2f} GB, and {_free(cluster) / GB:.2f} GB of the disk are free",
            "Close notebooks that you do not need, free some space, or raise PGLAB_CLONE_BUDGET_GB",
        )
    if needed_bytes > _free(cluster):
        raise _disk_full(cluster, needed_bytes)
    return dropped


@contextmanager
def _books(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    cluster.require_running()
    with cluster.primary.connect() as admin:
        if admin.execute("SELECT to_regclass('pglab.clones')").fetchone() == (None,):
            # the errors: another process made it at the same moment
            with suppress(
                psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable, psycopg.errors.DuplicateSchema
            ):
                admin.execute(BOOKS)
        yield admin


def _listing(admin: psycopg.Connection[Any]) -> list[Clone]:
    rows = admin.execute(
        "SELECT name, lab, pg_database_size(d.oid), last_used, "
        "       (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND backend_type = 'client backend') "
        "FROM pglab.clones JOIN pg_database d ON datname = name ORDER BY last_used, name"
    ).fetchall()
    return [Clone(*row) for row in rows]


def _copy(admin: psycopg.Connection[Any], template: str, name: str, owner: str) -> None:
    """CREATE DATABASE by file copy. Postgres 18 shares the blocks where the file system can."""
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY OWNER {} CONNECTION LIMIT 0").format(
        sql.Identifier(name), sql.Identifier(template), sql.Identifier(owner)
    )
    methods = ["clone", "copy"] if admin.info.server_version >= 180000 else [""]
    for method in methods:
        try:
            if method:
                admin.execute(sql.SQL("SET file_copy_method = {}").format(method))
            _create(admin, create, template)
            return
        except (psycopg.errors.InvalidParameterValue, psycopg.errors.InternalError_, psycopg.errors.IoError):
            if method != "clone":  # this platform or this file system shares no blocks
                raise


def _create(admin: psycopg.Connection[Any], create: sql.Composed, template: str) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            admin.execute(create)
            return
        except psycopg.errors.ObjectInUse as error:
            if attempt == ATTEMPTS:
                raise DatasetError(
                    f"Somebody keeps {template} busy, so it cannot be copied", "Disconnect from it"
                ) from error
            time.sleep(0.1)


def _drop(admin: psycopg.Connection[Any], name: str, *, force: bool) -> bool:
    """Drop a clone and its row. force ends its sessions; without it a clone in use stays, and False comes back."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {}" + (" WITH (FORCE)" if force else "")).format(
        sql.Identifier(name)
    )
    try:
        admin.execute(statement)
    except psycopg.errors.ObjectInUse:
        return False
    admin.execute("DELETE FROM pglab.clones WHERE name = %s", [name])
    return True


def _free(cluster: Cluster) -> int:
    return cluster.primary.free_bytes()


def _disk_full(cluster: Cluster, needed: int) -> DiskFull:
    return DiskFull(
        f"The disk has no room for a clone: it takes {needed / GB:.2f} GB, {_free(cluster) / GB:.2f} GB are free at {cluster.primary.data}",
        "Free some space, or set PGLAB_HOME to another disk",
    )
