"""A PgBouncer of a notebook's own: in a temporary folder, with no rights but those of one role."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import psycopg
from psycopg import sql

from pglab.cluster import pgbouncer
from pglab.cluster.node import Node
from pglab.cluster.pooler import Pooler
from pglab.cluster.scram import scram_secret
from pglab.home import Home

PREFIX = "pglab-pooler-"  # then the process that it belongs to


@contextmanager
def own_pooler(conninfo: Mapping[str, Any], ini: str) -> Iterator[tuple[Pooler, list[str]]]:
    """A PgBouncer in front of the server of a conninfo, for that conninfo's role alone, while the block runs.

    PgBouncer must store the very secret that the server stores, and only superusers may read that one: so the role
    gives itself its own password again, by a secret made here. One iteration, because thousands of clients log in.

    Args:
        conninfo: host (a folder of Unix sockets), port, dbname, user and password; ini: pgbouncer.ini, see Pooler.start.

    Yields:
        The pooler, and what it has to say about the configuration.

    Raises:
        ClusterError: PgBouncer is not installed, or did not take the configuration.
    """
    sweep()
    secret = scram_secret(conninfo["password"], iterations=1)
    backend = cast(Node, SimpleNamespace(sockets=Path(conninfo["host"]), port=int(conninfo["port"])))
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder:
        home = Home(Path(folder))
        home.make()  # as root, open to pass through for the servers' user
        pooler = Pooler("pooler", home, pgbouncer.find(Home.default()))
        try:
            with psycopg.connect(**{**conninfo, "autocommit": True}) as role:
                set_secret = sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(sql.Literal(secret))
                role.execute(set_secret)
            yield pooler, pooler.start(ini, {conninfo["user"]: secret}, backend)
        finally:
            pooler.stop()


def sweep() -> None:
    """Stop those whose process is gone: a kernel that was killed could not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if folder.stat().st_uid != os.geteuid() or not owner.isdigit() or psutil.pid_exists(int(owner)):
            continue
        left = Pooler("pooler", Home(folder))
        if left.is_running():  # else it may be another pid namespace's
            left.stop()
            shutil.rmtree(folder, ignore_errors=True)
