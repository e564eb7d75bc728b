"""A notebook's own PgBouncer: one role's rights are enough for it, and nothing is left of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from pglab.cluster import Cluster
from pglab.cluster.own_pooler import PREFIX, own_pooler, sweep
from pglab.errors import ClusterError

ROLE, PASSWORD = "notebook", "not-so-secret"
INI = "[databases]\n* =\n[pgbouncer]\npool_mode = transaction\nlogfile = /tmp/x.log\n"
KILLED = """
import json, os, sys
from pglab.cluster.own_pooler import own_pooler
pooler = own_pooler(json.loads(sys.argv[1]), sys.argv[2])
print(pooler.__enter__()[0].pid, os.getpid(), flush=True)
os._exit(9)
"""


@pytest.fixture(scope="module")
def conninfo(cluster: Cluster) -> Iterator[dict[str, Any]]:
    try:
        cluster.pooler().fetch()
    except ClusterError as error:
        pytest.skip(str(error))
    role = sql.Identifier(ROLE)
    with cluster.primary.connect() as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD)))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        yield cluster.primary.conninfo(ROLE, ROLE, PASSWORD)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(role))
        admin.execute(sql.SQL("DROP ROLE {}").format(role))


def left() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_role_is_served_and_can_still_log_in_directly(conninfo: dict[str, Any]) -> None:
    with own_pooler(conninfo, INI) as (pooler, notes):
        through = {**conninfo, "host": str(pooler.sockets), "port": pooler.port}
        with psycopg.connect(**through) as conn:
            assert conn.execute("SELECT current_user::text, current_database()::text").fetchone() == (
                ROLE,
                ROLE,
            )
        assert notes == ["Line 5: logfile was left out, because the laboratory sets it"]
        pid = pooler.pid
    assert pid is not None
    assert gone(pid)
    psycopg.connect(**conninfo).close()
    assert not [folder for folder in left() if str(pooler.home.root) == str(folder)]


def test_a_wrong_line_is_said_in_pgbouncers_words(conninfo: dict[str, Any]) -> None:
    before = left()
    wrong = own_pooler(conninfo, f"{INI}pool_siz = 3\n")
    with pytest.raises(ClusterError, match="unknown parameter: pgbouncer/pool_siz"), wrong:
        pass
    assert left() == before


def test_that_of_a_killed_kernel_is_swept_away(conninfo: dict[str, Any]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(conninfo), INI], capture_output=True, text=True, timeout=60
    )
    pid, owner = (int(number) for number in ran.stdout.split())
    assert not gone(pid), ran.stderr
    sweep()
    assert gone(pid)
    assert not [folder for folder in left() if folder.name.startswith(f"{PREFIX}{owner}-")]
