"""A PgBouncer of a notebook's own: in a temporary folder, with no rights but those of one role."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from pglab.cluster.backend import note, read_note
from pglab.cluster.cluster import Cluster
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
        conninfo: host (a folder of Unix sockets, or 127.0.0.1 of a container), port, dbname, user and password; ini: pgbouncer.ini, see Pooler.start.

    Yields:
        The pooler, and what it has to say about the configuration.

    Raises:
        ClusterError: PgBouncer is not installed, or did not take the configuration.
    """
    sweep()
    secret = scram_secret(conninfo["password"], iterations=1)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder:
        home = Home(Path(folder))
        home.make()  # as root, open to pass through for the servers' user
        backend = Cluster(Home.default(), backend=read_note(Home.default())).backend
        note(home, backend.name)
        runner, server = backend.beside(home, conninfo)
        pooler = Pooler("pooler", home, runner)
        try:
            with psycopg.connect(**{**conninfo, "autocommit": True}) as role:
                set_secret = sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(sql.Literal(secret))
                role.execute(set_secret)
            yield pooler, pooler.start(ini, {conninfo["user"]: secret}, server)
        finally:
            pooler.stop()


def sweep() -> None:
    """Stop those whose process is gone: a kernel that was killed could not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if folder.stat().st_uid != os.geteuid() or not owner.isdigit() or psutil.pid_exists(int(owner)):
            continue
        left = Cluster(Home(folder), backend=read_note(Home(folder))).pooler()
        if left.is_running():  # else it may be another pid namespace's
            left.stop()
            shutil.rmtree(folder, ignore_errors=True)
