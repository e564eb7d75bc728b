"""A pooler under load: what its settings allow, what it may not reach for, and the connections that the server sees."""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg

from pglab.cluster.node import Node
from pglab.cluster.pooler import Pooler
from pglab.cluster.pooler_ini import lines

EVERY_S = 0.05
_SECTION = re.compile(r"\s*\[([^\]]*)\]")
_WORD = re.compile(
    r"\b(host|port|dbname|user|password|auth_user|auth_query|auth_dbname)\s*=\s*('(?:[^']|'')*'|[^\s']*)"
)
_RUNS_SQL = re.compile(r"\b(connect_query|server_check_query|server_reset_query)\s*=\s*(.*)", re.IGNORECASE)
_USUAL_SQL = ("", "select 1", "discard all", "deallocate all")
_LETS_ALL_IN = re.compile(r"\s*auth_type\s*=\s*(any|trust)\b", re.IGNORECASE)
_COUNT = """
SELECT count(*) FROM pg_catalog.pg_stat_activity
 WHERE usename = %s AND backend_type = 'client backend' AND application_name NOT LIKE %s
"""


@dataclass(frozen=True)
class Allowed:
    """What a running pooler's settings allow to the clients of one database and role, as its console says."""

    pool_mode: str
    servers: int  # pool and reserve together, under max_db_connections and max_user_connections
    reserve: int
    clients: int
    timeouts: Mapping[str, float]  # seconds after which a client is dropped; inf where that is off
    where: tuple[str, int, str, str]  # host, port, database and forced role of the server that it talks to


def allowed(pooler: Pooler, dbname: str, user: str) -> Allowed:
    """Ask the console. A client of that database and role must have come before: PgBouncer makes pools on demand."""
    config = {str(row["key"]): row["value"] for row in pooler.rows("CONFIG")}
    database = next(row for row in pooler.rows("DATABASES") if row["name"] == dbname)
    pool = next(row for row in pooler.rows("POOLS") if (row["database"], row["user"]) == (dbname, user))
    reserve = int(database.get("reserve_pool_size") or database.get("reserve_pool") or 0)
    servers = int(database["pool_size"]) + reserve
    for limit in (database.get("max_connections"), config.get("max_user_connections")):
        servers = min(servers, int(limit)) if limit and int(limit) > 0 else servers
    drops = (
        "query_wait_timeout query_timeout client_idle_timeout idle_transaction_timeout transaction_timeout"
    )
    timeouts = {name: float(config[name]) or math.inf for name in drops.split() if name in config}
    where = (
        str(database["host"]), int(database["port"]), str(database["database"]), str(database["force_user"] or "")
    )  # fmt: skip
    return Allowed(str(pool["pool_mode"]), servers, reserve, int(config["max_client_conn"]), timeouts, where)


def own_hosts(address: tuple[str, int]) -> set[str]:
    """The names of a server's host, for a pooler that finds it at an address. A container's loopback is its own."""
    return {address[0], "127.0.0.1", "localhost", "::1"} if address[0].startswith("/") else {address[0]}


def reaches_beyond(ini: str, address: tuple[str, int], dbname: str) -> list[str]:
    """Where a pgbouncer.ini reaches for more than the pools of one server's database, one phrase each.

    Another server, role or database, another file, SQL as the judge's role, or a door that lets everyone in. Read more strictly than PgBouncer
    reads it, and before it does.
    """
    found, section = [], ""
    own = {
        "host": own_hosts(address),
        "port": {str(address[1])},
        "dbname": {dbname},
    }
    for number, line in lines(ini):
        text = line.strip()
        if text.startswith((";", "#")) or not text:
            continue
        if began := _SECTION.match(line):
            section = began[1].strip().lower()
        elif (runs := _RUNS_SQL.search(text)) and runs[2].strip(" ';").lower() not in _USUAL_SQL:
            found.append(f"line {number} runs SQL of its own ({runs[1]})")
        elif text.startswith("%"):
            found.append(f"line {number} reads another file ({text[:60]})")
        elif section == "databases":
            _, _, value = text.partition("=")
            words = {name: told.strip("'") for name, told in _WORD.findall(value)}
            if "host" in words:
                words.setdefault("port", "5432")  # as PgBouncer takes it
            other = [f"{name}={told}" for name, told in words.items() if told not in own.get(name, ())]
            if other:
                shown = ", ".join("password=…" if word.startswith("password=") else word for word in other)
                found.append(f"line {number} points elsewhere ({shown})")
        elif section == "pgbouncer" and (open_door := _LETS_ALL_IN.match(line)):
            found.append(f"line {number} lets everyone in (auth_type = {open_door[1]})")
    return found


class Watch:
    """Samples a role's connections at the server and the pooler's queue, over connections that it opens before a load.

    Attributes:
        most: connections at the server at a time; samples: how often they were counted; waiting: most clients that
        waited in the pooler; busy: server connections at work then; waited_s: the longest that one of them had waited.
    """

    def __init__(self, node: Node, pooler: Pooler, role: str, besides: str) -> None:
        """Args: role: whose connections; besides: a LIKE pattern of application names that do not count."""
        self._node, self._pooler, self._whose = node, pooler, [role, besides]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.most = self.samples = self.waiting = self.busy = 0
        self.waited_s = 0.0
        self.trouble = ""

    def __enter__(self) -> Self:
        self._admin = self._node.connect()
        self._console = self._pooler.console()
        self._console.prepare_threshold = None  # the console prepares nothing
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        for conn in (self._admin, self._console):
            with contextlib.suppress(psycopg.Error):
                conn.close()

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(EVERY_S):
            try:
                row = self._admin.execute(_COUNT, self._whose).fetchone()
                self.most = max(self.most, int(row[0]) if row else 0)
                self.samples += 1
                turn += 1
                if turn % 3 == 0:
                    self._look_into_the_pooler()
            except psycopg.Error as error:  # whoever asks sees that nothing was counted since
                self.trouble = str(error).strip()
                return

    def _look_into_the_pooler(self) -> None:
        shown = self._console.execute("SHOW POOLS")
        names = [column.name for column in shown.description or ()]
        for row in shown.fetchall():
            pool: dict[str, Any] = dict(zip(names, row, strict=True))
            if pool["database"] != "pgbouncer" and int(pool["cl_waiting"]) >= self.waiting:
                self.waiting, self.busy = int(pool["cl_waiting"]), int(pool["sv_active"])
                self.waited_s = max(self.waited_s, int(pool["maxwait"]) + int(pool["maxwait_us"]) / 1e6)
