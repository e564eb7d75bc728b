"""A node: one Postgres server with a data folder, a port and small verbs."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import psycopg

from pglab.cluster import ports, process
from pglab.cluster.runner import Runner
from pglab.errors import ClusterError, DiskFull, NotRunning
from pglab.home import Home

ADMIN = "pglab_admin"
START_LIMIT_S = 300.0  # crash recovery after a power cut replays up to max_wal_size
STOP_LIMIT_S = 60.0


class Node:
    """A server of the cluster, found again by its name in every process. How it is run is its runner's business."""

    def __init__(self, name: str, home: Home, runner: Runner) -> None:
        self.name = name
        self.home = home
        self.runner = runner

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def data(self) -> Path:
        """Its data folder, as the server sees it."""
        return Path(self.runner.data)

    @property
    def sockets(self) -> Path:
        """The folder of its Unix socket, where clients of this machine have one."""
        return Path(self.runner.host)

    @property
    def log(self) -> str:
        """Where its log is."""
        return self.runner.log

    @property
    def major(self) -> int:
        """The server's major version, such as 18."""
        return self.runner.major

    @property
    def port(self) -> int:
        """The port that it listens on, or did last; 0 before the first start."""
        return self.runner.port

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None when it is stopped."""
        return self.runner.pid

    def is_made(self) -> bool:
        """Whether the data folder is there and whole."""
        return self.runner.is_made()

    def is_running(self) -> bool:
        """Whether a postmaster works on the data folder."""
        return self.pid is not None

    def free_bytes(self) -> int:
        """Room on the disk of its data."""
        return self.runner.free_bytes()

    # -- verbs --------------------------------------------------------------------------------------------------------

    def init(self, settings: dict[str, str]) -> None:
        """Make the data folder. It appears whole or not at all.

        Raises:
            ClusterError: initdb failed; DiskFull: no room for it.
        """
        try:
            with self.runner.draft() as draft:
                words = ["-D", str(draft.data), "-U", ADMIN, "-E", "UTF8", "--locale=C", "-k"]
                words += ["-A", "scram-sha-256", "--pwfile={password}", "--no-instructions"]
                draft.run("initdb", words, {"password": self.home.secrets()["admin"]})
                draft.write("pg_hba.conf", self.runner.hba)
                draft.append("postgresql.conf", settings | dict(self.runner.settings))
        except OSError as error:
            raise self.not_made(error) from error

    def not_made(self, error: OSError) -> ClusterError | DiskFull:
        """Why a data folder could not be made, as an error for a person."""
        if "No space left" in str(error) or self.free_bytes() < 8 * 2**20:
            return self.runner.disk_full()
        return ClusterError(f"The {self.name} could not be made: {error}", f"Look at {self.home.root}")

    def start(self) -> None:
        """Start the server and wait until it takes connections. Running already is fine.

        Raises:
            ClusterError: it did not start, said with its own last words; DiskFull: no room for it.
        """
        if self.is_running():
            try:
                self._wait_ready()
                return
            except ClusterError:
                if self.is_running():
                    raise  # else it was being killed when we looked: it is stopped now, and can be started
        self._check_version()
        self.runner.prepare()
        tried = {
            port for name, port in self.home.read_state().items() if name != self.name
        }  # theirs, stopped or not
        options = self._options()
        for attempt in range(5):
            port = ports.pick(self.port, avoid=tried)
            tried.add(port)
            try:
                with self.home.lock("state"):
                    self.home.write_state(**{self.name: port})
                self.runner.launch(port, options)
                self._wait_ready()
                return
            except process.PortTaken:
                if attempt == 4:
                    raise

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        seen = ""
        while time.monotonic() < deadline:
            ended = self.runner.has_ended()
            try:
                self.connect(connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                seen = str(error).strip()
            if ended:
                raise self.runner.explain()
            time.sleep(0.02)
        raise ClusterError(
            f"The {self.name} took no connection within {START_LIMIT_S:.0f} s ({seen})",
            f"Its log is {self.log}",
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: "fast" ends sessions and writes a checkpoint, "immediate" is a power cut. Stopped already is fine."""
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        for each in (number, signal.SIGQUIT):
            pid = self.pid
            if pid is None:
                return
            self.runner.signal(each)
            try:
                self._gone(pid)
                return
            except ClusterError:
                if each == signal.SIGQUIT:
                    raise

    def _gone(self, pid: int) -> None:
        process.wait_until(
            f"the {self.name} to stop",
            lambda: self.pid != pid,
            STOP_LIMIT_S,
            last=lambda: f"process {pid} is alive",
        )

    def append_conf(self, settings: dict[str, str]) -> None:
        """Add settings to postgresql.conf; the last one of a name counts. reload() or a restart makes them work."""
        self.runner.append("postgresql.conf", settings)

    def reload(self) -> None:
        """Have the server read its configuration again."""
        if not self.is_running():
            raise NotRunning(f"The {self.name} is stopped", "Run `pglab up`")
        self.runner.signal(signal.SIGHUP)

    # -- connections --------------------------------------------------------------------------------------------------

    def conninfo(
        self, dbname: str = "postgres", user: str = ADMIN, password: str | None = None
    ) -> dict[str, Any]:
        """Keyword arguments for psycopg.connect: over the Unix socket, or with containers over 127.0.0.1."""
        secret = self.home.secrets()["admin"] if user == ADMIN and password is None else password
        return {
            "host": self.runner.host,
            "port": self.port,
            "dbname": dbname,
            "user": user,
            "password": secret,
        }

    def connect(
        self, dbname: str = "postgres", user: str = ADMIN, password: str | None = None, **more: Any
    ) -> psycopg.Connection[Any]:
        """A connection, autocommit unless told otherwise; the superuser's by default."""
        return psycopg.connect(**self.conninfo(dbname, user, password), **{"autocommit": True, **more})

    def lsn(self) -> str:
        """The position up to which WAL has been written, such as "0/3000148"."""
        with self.connect() as admin:
            row = admin.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        assert row is not None
        return str(row[0])

    # -- inside -------------------------------------------------------------------------------------------------------

    def _options(self) -> list[str]:
        """More words for the server's command line."""
        return []

    def _check_version(self) -> None:
        made_by = self.runner.read("PG_VERSION").strip()
        if made_by != str(self.major):
            raise ClusterError(
                f"The data in {self.data} was made by Postgres {made_by}, and this is Postgres {self.major}",
                self.runner.other_major(made_by),
            )
