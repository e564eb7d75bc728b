"""A pooler: PgBouncer as a node of the cluster, its configuration from a student's text.

    pooler = cluster.pooler()
    pooler.start("[databases]\napp = dbname=app\n[pgbouncer]\npool_mode = transaction\n", scram_secrets(node, "app"))
    pooler.show("POOLS")

What is known of it lies in files below the home's run/, so every process finds it again.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from pglab.cluster import account, pgbouncer, ports, process
from pglab.cluster.console import Console
from pglab.cluster.node import ADMIN, Node
from pglab.cluster.pooler_ini import Overlaid, complaint, overlay, warnings
from pglab.cluster.scram import scram_secret, userlist
from pglab.errors import ClusterError, NotRunning
from pglab.home import Home

INI = "pgbouncer.ini"
LONGEST_SOCKET = 103  # bytes
START_LIMIT_S = 20.0


class Pooler(Console):
    """A PgBouncer, on a Unix socket and on 127.0.0.1."""

    def __init__(self, name: str, home: Home, binary: Path | None = None) -> None:
        """binary: the program, pglab.cluster.pgbouncer.find(home) by default."""
        self.name = name
        self.home = home
        self.sockets = self.data = home.run / name
        self.ini = self.sockets / INI
        self.log = home.logs / f"{name}.log"
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        if not re.fullmatch("[a-z][a-z0-9_]*", name) or name == "pg":
            raise ClusterError(f"A pooler cannot be called {name!r}", "Use lower case letters, digits and _")
        if len(os.fsencode(self.sockets / ".s.PGSQL.54321")) > LONGEST_SOCKET:
            raise ClusterError(
                f"{self.sockets} is too long for a Unix socket", "Give the pooler a shorter name"
            )

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port that it listens on, or did last; 0 before the first start."""
        try:
            found = re.findall(r"^listen_port = (\d+)$", self.ini.read_text(), re.MULTILINE)
        except OSError:
            return 0
        return int(found[-1]) if found else 0

    @property
    def pid(self) -> int | None:
        """Its process id, or None when it is stopped."""
        found = self._running()
        return found.pid if found else None

    def is_made(self) -> bool:
        """Whether it was ever started."""
        return self.ini.exists()

    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.pid is not None

    def conninfo(self, dbname: str, user: str, password: str | None = None) -> dict[str, Any]:
        """Keyword arguments for psycopg.connect, over the Unix socket; host="127.0.0.1" goes as well."""
        return {
            "host": str(self.sockets),
            "port": self.port,
            "dbname": dbname,
            "user": user,
            "password": password,
        }

    # -- verbs --------------------------------------------------------------------------------------------------------

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
        if self._program() is None:
            raise ClusterError("PgBouncer is not installed", pgbouncer.remedy())
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
                    return used.notes + warnings(self._said(0))
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
            before = self.ini.read_text(), (self.sockets / "users.txt").read_text()
            since = self.log.stat().st_size
            used = self._write(ini_text, users, self.port, backend)
            refused = self._reread(since, used)
            if refused:
                self._put(self.ini, before[0])
                self._put(self.sockets / "users.txt", before[1])
                self._reread(
                    self.log.stat().st_size, used
                )  # it may have taken the lines before the wrong one
                raise ClusterError(
                    f"PgBouncer did not take the configuration: {refused}", "The one before counts"
                )
            return used.notes + warnings(self._said(since))

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

    def _program(self) -> Path | None:
        return self._binary or pgbouncer.find(self.home)

    def _need(self) -> None:
        if not self.is_running():
            raise NotRunning(f"The {self.name} is stopped", "Start it with a configuration")

    def _running(self) -> psutil.Process | None:
        """The pid file's process, when it is a PgBouncer with this configuration: after a kill -9 the file stays."""
        try:
            found = psutil.Process(int((self.sockets / "pgbouncer.pid").read_text()))
            if found.status() != psutil.STATUS_ZOMBIE and str(self.ini) in found.cmdline():
                return found
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def _write(self, text: str, users: Mapping[str, str], port: int, backend: Node | None) -> Overlaid:
        """Write pgbouncer.ini and the list of users, readable by the servers' user alone."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        ids = account.server_ids()
        if ids:
            os.chown(self.sockets, *ids)
        ours = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": str(self.sockets),
            "auth_type": "scram-sha-256",
            "auth_file": str(self.sockets / "users.txt"),
            "logfile": "",  # its stderr is the log
            "pidfile": str(self.sockets / "pgbouncer.pid"),
            "admin_users": ADMIN,
            "stats_users": ", ".join(users),
        }
        host = (str(backend.sockets), backend.port) if backend else None
        used = overlay(text, ours, host)
        admin = {ADMIN: scram_secret(self.home.secrets()["admin"])}
        self._put(self.sockets / "users.txt", userlist({**admin, **users}))
        self._put(self.ini, used.text)
        return used

    def _put(self, path: Path, text: str) -> None:
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text)
        account.hand_over(draft, account.server_ids())
        draft.replace(path)

    def _launch(self, port: int, used: Overlaid) -> None:
        program = self._program()
        assert program is not None
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LD_"))}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(program), str(self.ini)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env=clean | pgbouncer.environment(program), start_new_session=True, **account.as_server(),
            )  # fmt: skip
        process.wait_until(
            f"the {self.name} to take clients",
            lambda: self._is_ready(port, used),
            START_LIMIT_S,
            last=lambda: (self._said(0).splitlines() or [""])[-1],
        )

    def _is_ready(self, port: int, used: Overlaid) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            if "failed to listen on any address" in self._said(0):  # 1.24's words
                raise self._taken()
            why = complaint(self._said(0), self.ini, used) or "it said nothing"
            raise ClusterError(f"PgBouncer did not start: {why}", f"Its log is {self.log}")
        try:
            self.console().close()
        except ClusterError:
            return False
        listening = psutil.Process(self._process.pid).net_connections("tcp")
        if not any(c.laddr.port == port for c in listening if c.status == psutil.CONN_LISTEN):
            raise self._taken()  # older ones go on with the Unix socket alone
        return True

    def _taken(self) -> process.PortTaken:
        return process.PortTaken(f"The port of the {self.name} was taken while it started", "Try again")

    def _reread(self, since: int, used: Overlaid) -> str:
        """Have it read its files; what it said against them, or ""."""
        with self.console() as console:
            try:
                console.execute("RELOAD")
            except psycopg.Error as error:  # newer ones say it here too
                return complaint(self._said(since), self.ini, used) or str(error).splitlines()[0]
        return complaint(self._said(since), self.ini, used)

    def _said(self, since: int) -> str:
        """The log from byte `since` on."""
        with self.log.open(errors="replace") as log:
            log.seek(since)
            return log.read()

    def _stop(self) -> None:
        found = self._running()
        # From 1.23 on the first SIGTERM lets clients finish, and the second ends it; before, the first one ends it.
        for number, limit_s in ((signal.SIGTERM, 1.0), (signal.SIGTERM, 4.0), (signal.SIGKILL, 10.0)):
            if found is None or not self._lives(found):
                break
            found.send_signal(number)
            try:
                process.wait_until(f"the {self.name} to stop", lambda: not self._lives(found), limit_s)
            except ClusterError:
                if number == signal.SIGKILL:
                    raise
        for left in (*self.sockets.glob(".s.PGSQL.*"), self.sockets / "pgbouncer.pid"):
            left.unlink(missing_ok=True)

    def _lives(self, found: psutil.Process) -> bool:
        if self._process is not None:
            self._process.poll()  # else our own child stays a zombie
        return process.is_alive(found)
