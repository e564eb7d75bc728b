"""A pooler: PgBouncer as a node of the cluster, its configuration from a student's text.

    pooler = cluster.pooler()
    pooler.start("[databases]\napp = dbname=app\n[pgbouncer]\npool_mode = transaction\n", scram_secrets(node, "app"))
    pooler.show("POOLS")

What is known of it lies in files below the home's run/, so every process finds it again.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg

from pglab.cluster import pgbouncer, ports, process
from pglab.cluster.console import Console
from pglab.cluster.local_pooler import LocalPooler
from pglab.cluster.node import ADMIN, Node
from pglab.cluster.pooler_ini import Overlaid, complaint, overlay, warnings
from pglab.cluster.pooler_runner import INI, USERS, PoolerRunner
from pglab.cluster.scram import scram_secret, userlist
from pglab.errors import ClusterError, NotRunning
from pglab.home import Home

START_LIMIT_S = 20.0


class Pooler(Console):
    """A PgBouncer, on 127.0.0.1 and, where it is a process of this machine, on a Unix socket. See its runner for how."""

    def __init__(self, name: str, home: Home, runner: PoolerRunner | None = None) -> None:
        """runner: a process of this machine by default."""
        if not re.fullmatch("[a-z][a-z0-9_]*", name) or name == "pg":
            raise ClusterError(f"A pooler cannot be called {name!r}", "Use lower case letters, digits and _")
        self.name = name
        self.home = home
        self.runner = runner or LocalPooler(name, home)
        self.ini = self.runner.files / INI

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def sockets(self) -> Path:
        """The folder of its Unix socket, where it has one."""
        return Path(self.runner.host)

    @property
    def data(self) -> Path:
        """The folder of its configuration."""
        return self.runner.files

    @property
    def log(self) -> str:
        """Where its log is."""
        return self.runner.log

    @property
    def port(self) -> int:
        """The port that it listens on, or did last; 0 before the first start."""
        return self.runner.port

    @property
    def pid(self) -> int | None:
        """Its process id, or None when it is stopped."""
        return self.runner.pid

    def is_made(self) -> bool:
        """Whether it was ever started."""
        return self.ini.exists()

    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.pid is not None

    def reach(self, node: Node) -> tuple[str, int]:
        """Host and port by which it finds a server of the cluster, as SHOW DATABASES has them."""
        return self.runner.reach(node)

    def conninfo(self, dbname: str, user: str, password: str | None = None) -> dict[str, Any]:
        """Keyword arguments for psycopg.connect, over the Unix socket where there is one; host="127.0.0.1" goes as well."""
        return {
            "host": self.runner.host,
            "port": self.port,
            "dbname": dbname,
            "user": user,
            "password": password,
        }

    # -- verbs --------------------------------------------------------------------------------------------------------

    def fetch(
        self, say: Callable[[str], None] = lambda step: None, limit_s: float = pgbouncer.FETCH_LIMIT_S
    ) -> None:
        """Get PgBouncer when it is not here.

        Raises:
            ClusterError: it cannot be had here, or not within limit_s, with the remedy.
        """
        self.runner.fetch(say, limit_s)

    def start(self, ini_text: str, users: Mapping[str, str], backend: Node | None = None) -> list[str]:
        """Start it with a student's configuration and wait until it takes clients. One that runs is stopped first.

        Args:
            ini_text: pgbouncer.ini. Where it listens, who gets in and where it writes is ours whatever it says.
            users: who gets in: a role → its SCRAM secret, see scram_secrets. They may look into the console as well.
            backend: the server for each of [databases] that names no host.

        Returns:
            A sentence on each line that was left out, and PgBouncer's warnings.

        Raises:
            ClusterError: it is not installed, or did not take the configuration, said with its own words. Then none runs.
        """
        self.runner.require()
        process.raise_open_files()  # each client is an open file
        self.home.make()
        with self._alone():
            self._stop()
            tried = set(self.home.read_state().values())
            for attempt in range(5):
                port = ports.pick(self.port, avoid=tried)
                tried.add(port)
                used = self._write(ini_text, users, port, backend)
                try:
                    self._launch(port, used)
                    return used.notes + warnings(self.runner.said())
                except process.PortTaken:
                    self._stop()
                    if attempt == 4:
                        raise
                except BaseException:
                    self._stop()
                    raise
        raise AssertionError("unreachable")

    def reload(self, ini_text: str, users: Mapping[str, str], backend: Node | None = None) -> list[str]:
        """Have it take another configuration while clients are connected; for arguments and answer see start.

        Raises:
            ClusterError: it did not take it, said with its own words. Then the one before counts.
        """
        self._need()
        with self._alone():
            before = self.ini.read_text(), (self.runner.files / USERS).read_text()
            since = len(self.runner.said())
            used = self._write(ini_text, users, self.port, backend)
            refused = self._reread(since, used)
            if refused:
                self.runner.put(INI, before[0])
                self.runner.put(USERS, before[1])
                self._reread(
                    len(self.runner.said()), used
                )  # it may have taken the lines before the wrong one
                raise ClusterError(
                    f"PgBouncer did not take the configuration: {refused}", "The one before counts"
                )
            return used.notes + warnings(self.runner.said(since))

    def stop(self) -> None:
        """End it and all its connections. Stopped already is fine."""
        with self._alone():
            self._stop()

    def console(self) -> psycopg.Connection[Any]:
        """A connection to the admin console; it understands SHOW, PAUSE, RESUME, KILL and their like, and no parameters."""
        self._need()
        try:
            return psycopg.connect(
                **self.conninfo("pgbouncer", ADMIN, self.home.secrets()["admin"]),
                autocommit=True,
                connect_timeout=10,
            )
        except psycopg.OperationalError as error:
            raise ClusterError(
                f"The console of the {self.name} does not answer ({str(error).splitlines()[0]})",
                f"Its log is {self.log}",
            ) from error

    # -- inside -------------------------------------------------------------------------------------------------------

    def _alone(self) -> AbstractContextManager[None]:
        return self.home.lock(f"pooler-{self.name}")

    def _need(self) -> None:
        if not self.is_running():
            raise NotRunning(f"The {self.name} is stopped", "Start it with a configuration")

    def _write(self, text: str, users: Mapping[str, str], port: int, backend: Node | None) -> Overlaid:
        """Write pgbouncer.ini and the list of users."""
        ours = {
            **self.runner.settings(port),
            "auth_type": "scram-sha-256",
            "auth_file": str(self.runner.folder / USERS),
            "logfile": "",  # its stderr is the log
            "admin_users": ADMIN,
            "stats_users": ", ".join(users),
        }
        used = overlay(text, ours, self.runner.reach(backend) if backend else None)
        admin = {ADMIN: scram_secret(self.home.secrets()["admin"])}
        self.runner.put(USERS, userlist({**admin, **users}))
        self.runner.put(INI, used.text)
        return used

    def _launch(self, port: int, used: Overlaid) -> None:
        self.runner.launch(port)
        process.wait_until(
            f"the {self.name} to take clients",
            lambda: self._is_ready(port, used),
            START_LIMIT_S,
            last=lambda: (self.runner.said().splitlines() or [""])[-1],
        )

    def _is_ready(self, port: int, used: Overlaid) -> bool:
        if self.runner.has_ended():
            if "failed to listen on any address" in self.runner.said():  # 1.24's words
                raise self._taken()
            why = complaint(self.runner.said(), self._seen, used) or "it said nothing"
            raise ClusterError(f"PgBouncer did not start: {why}", f"Its log is {self.log}")
        try:
            self.console().close()
        except ClusterError:
            return False
        if not self.runner.is_listening(port):
            raise self._taken()
        return True

    @property
    def _seen(self) -> Path:
        """pgbouncer.ini, as PgBouncer's own words name it."""
        return Path(self.runner.folder / INI)

    def _taken(self) -> process.PortTaken:
        return process.PortTaken(f"The port of the {self.name} was taken while it started", "Try again")

    def _reread(self, since: int, used: Overlaid) -> str:
        """Have it read its files; what it said against them, or ""."""
        with self.console() as console:
            try:
                console.execute("RELOAD")
            except psycopg.Error as error:  # newer ones say it here too
                self.runner.settle(since)
                return complaint(self.runner.said(since), self._seen, used) or str(error).splitlines()[0]
        self.runner.settle(since)
        return complaint(self.runner.said(since), self._seen, used)

    def _stop(self) -> None:
        # From 1.23 on the first SIGTERM lets clients finish, and the second ends it; before, the first one ends it.
        pid = self.pid
        for number, limit_s in ((signal.SIGTERM, 1.0), (signal.SIGTERM, 4.0), (signal.SIGKILL, 10.0)):
            if pid is None or self.pid != pid:
                break
            self.runner.signal(number)
            try:
                process.wait_until(f"the {self.name} to stop", lambda: self.pid != pid, limit_s)
            except ClusterError:
                if number == signal.SIGKILL:
                    raise
        self.runner.clear()
