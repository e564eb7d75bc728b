"""PgBouncer's admin console: what it shows, and what it can be told."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from pglab.errors import ClusterError

if TYPE_CHECKING:
    import pandas


class Connections(NamedTuple):
    """Connections of all pools together."""

    clients: int  # cl_active + cl_waiting
    cl_waiting: int
    servers: int  # sv_active + sv_idle + sv_used + sv_tested + sv_login


class Console(ABC):
    """The console's verbs, over connections that console() makes."""

    name: str

    @property
    @abstractmethod
    def log(self) -> str:
        """Where its log is."""

    @abstractmethod
    def console(self) -> psycopg.Connection[Any]:
        """A connection to the admin console."""

    def rows(self, what: str) -> list[dict[str, Any]]:
        """SHOW POOLS, CLIENTS, SERVERS, STATS, CONFIG …: a dictionary per row, keyed by PgBouncer's own column names."""
        if not re.fullmatch("[A-Za-z_]+", what):
            raise ClusterError(
                f"SHOW {what} is nothing that the console knows", "Try POOLS, CLIENTS, SERVERS or STATS"
            )
        with self.console() as console:
            try:
                shown = console.execute(f"SHOW {what}".encode())
            except psycopg.Error as error:
                raise ClusterError(
                    f"SHOW {what} failed: {_first_line(error)}", "Try POOLS, CLIENTS, SERVERS or STATS"
                ) from error
            names = [column.name for column in shown.description or ()]
            return [dict(zip(names, row, strict=True)) for row in shown.fetchall()]

    def show(self, what: str) -> pandas.DataFrame:
        """The same as a frame."""
        import pandas  # here, because it takes half a second

        return pandas.DataFrame(self.rows(what))

    def connections(self) -> Connections:
        """How many clients hold how many server connections, from SHOW POOLS."""
        pools = [pool for pool in self.rows("POOLS") if pool["database"] != "pgbouncer"]

        def total(*columns: str) -> int:
            return sum(int(pool[column]) for pool in pools for column in columns)

        servers = total("sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login")
        return Connections(total("cl_active", "cl_waiting"), total("cl_waiting"), servers)

    def pause(self, dbname: str | None = None, limit_s: float = 30.0) -> None:
        """Let transactions end and hold all clients, until resume().

        Raises:
            ClusterError: transactions went on for limit_s seconds; then nothing is paused.
        """
        self._command("PAUSE", dbname, limit_s)

    def resume(self, dbname: str | None = None) -> None:
        """Go on after pause() or kill()."""
        self._command("RESUME", dbname, 30)

    def kill(self, dbname: str) -> None:
        """Cut all connections to a database at once, and refuse further ones until resume()."""
        self._command("KILL", dbname, 30)

    def _command(self, verb: LiteralString, dbname: str | None, limit_s: float) -> None:
        command = sql.SQL(verb) if dbname is None else sql.SQL(verb + " {}").format(sql.Identifier(dbname))
        with self.console() as console:
            given_up = threading.Event()
            timer = threading.Timer(limit_s, _cut, [console, given_up])
            timer.start()
            try:
                console.execute(command)
                return
            except psycopg.Error as error:
                if not given_up.is_set():
                    raise ClusterError(
                        f"{verb} failed: {_first_line(error)}", f"Its log is {self.log}"
                    ) from error
            finally:
                timer.cancel()
        with contextlib.suppress(ClusterError):  # else it would pause when the last transaction ends
            self.resume(dbname)
        raise ClusterError(
            f"{verb} waited {limit_s:g} s for transactions to end", "End them, or kill() the database"
        )


def _cut(console: psycopg.Connection[Any], given_up: threading.Event) -> None:
    """Cut a connection that waits: PgBouncer does not answer a cancelled PAUSE."""
    given_up.set()
    with (
        contextlib.suppress(psycopg.Error, OSError),
        socket.socket(fileno=os.dup(console.fileno())) as own,
    ):
        own.shutdown(socket.SHUT_RDWR)


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().split("\n")[0]
