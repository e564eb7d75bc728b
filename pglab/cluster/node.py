"""A node: one Postgres server with a data folder, a port and small verbs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from typing import Any

import psutil
import psycopg

from pglab.cluster import account, ports, process
from pglab.cluster.binaries import Binaries
from pglab.cluster.settings import HBA, as_conf
from pglab.errors import ClusterError, NotRunning
from pglab.home import Home

ADMIN = "pglab_admin"
START_LIMIT_S = 300.0  # crash recovery after a power cut replays up to max_wal_size
STOP_LIMIT_S = 60.0


class Node:
    """A server of the cluster, found again by its name in every process."""

    def __init__(self, name: str, home: Home, binaries: Binaries) -> None:
        self.name = name
        self.home = home
        self.binaries = binaries
        self.data = home.root / name
        self.sockets = home.run / "pg"
        self.log = home.logs / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def major(self) -> int:
        """The server's major version, such as 18."""
        return self.binaries.major

    @property
    def port(self) -> int:
        """The port that it listens on, or did last; 0 before the first start."""
        return process.listening_port(self.data) or self.home.read_state().get(self.name, 0)

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None when it is stopped."""
        found = process.postmaster(self.data)
        return found.pid if found else None

    def is_made(self) -> bool:
        """Whether the data folder is there and whole."""
        return (self.data / "PG_VERSION").exists()

    def is_running(self) -> bool:
        """Whether a postmaster works on the data folder."""
        return self.pid is not None

    # -- verbs --------------------------------------------------------------------------------------------------------

    def init(self, settings: dict[str, str]) -> None:
        """Make the data folder. It appears whole or not at all.

        Raises:
            ClusterError: initdb failed; DiskFull: no room for it.
        """
        self._remove_drafts()
        draft = self.data.with_name(
            f"{self.name}.building-{os.getpid()}"
        )  # a killed one's initdb may still write to its own
        user, ids = account.as_named_user()
        password = draft / "password"
        try:
            draft.mkdir(mode=0o700)
            password.touch(mode=0o600)
            password.write_text(self.home.secrets()["admin"])
            account.hand_over(draft, ids)
            made = subprocess.run(
                [self.binaries["initdb"], "-D", str(draft / "data"), "-U", ADMIN, "-E", "UTF8", "--locale=C", "-k"]
                + ["-A", "scram-sha-256", f"--pwfile={password}", "--no-instructions"],
                capture_output=True, text=True, cwd="/", **user,
            )  # fmt: skip
            if made.returncode:
                raise OSError(
                    made.stderr.strip().splitlines()[-1] if made.stderr.strip() else "initdb failed"
                )
            (draft / "data" / "pg_hba.conf").write_text(HBA)
            with (draft / "data" / "postgresql.conf").open("a") as conf:
                conf.write("\n# --- pglab ---\n" + as_conf(settings))
            account.hand_over(draft, account.server_ids())
            (draft / "data").rename(self.data)
        except OSError as error:
            if "No space left" in str(error) or process.free_mb(self.home.root) < 8:
                raise process.disk_full(self.home.root) from error
            raise ClusterError(
                f"The {self.name} could not be made: {error}", f"Look at {self.home.root}"
            ) from error
        finally:
            self._remove_drafts()

    def _remove_drafts(self) -> None:
        for draft in self.home.root.glob(f"{self.name}.building-*"):
            shutil.rmtree(draft, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it takes connections. Running already is fine.

        Raises:
            ClusterError: it did not start, said with its own last words; DiskFull: no room for it.
        """
        if self.is_running():
            self._wait_ready(0)
            return
        self._check_version()
        self._make_socket_folder()
        process.drop_stale_locks(self.data, self.sockets)
        process.wait_until(
            f"the processes of the killed {self.name} to end", lambda: not process.orphans(self.data), 30,
            last=lambda: ", ".join(str(orphan.pid) for orphan in process.orphans(self.data)),
        )  # fmt: skip
        tried = {
            port for name, port in self.home.read_state().items() if name != self.name
        }  # theirs, stopped or not
        for attempt in range(5):
            port = ports.pick(self.port, avoid=tried)
            tried.add(port)
            try:
                self._launch(port)
                return
            except process.PortTaken:
                if attempt == 4:
                    raise

    def _launch(self, port: int) -> None:
        self.log.touch(exist_ok=True)
        since = self.log.stat().st_size
        with self.home.lock("state"):
            self.home.write_state(**{self.name: port})
        command = [self.binaries["postgres"], "-D", str(self.data), "-p", str(port), "-k", str(self.sockets)]
        command += self._options()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LD_"))}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is not the server's
                **account.as_server(),
            )  # fmt: skip
        self._wait_ready(since)

    def _wait_ready(self, since: int) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        seen = ""
        while time.monotonic() < deadline:
            ended = self._process is not None and self._process.poll() is not None
            try:
                self.connect(connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                seen = str(error).strip()
            if ended or (self._process is None and not self.is_running()):
                raise process.explain_exit(self.name, self.data, self.log, since)
            time.sleep(0.02)
        raise ClusterError(
            f"The {self.name} took no connection within {START_LIMIT_S:.0f} s ({seen})",
            f"Its log is {self.log}",
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: "fast" ends sessions and writes a checkpoint, "immediate" is a power cut. Stopped already is fine."""
        server = process.postmaster(self.data)
        if server is None:
            return
        server.send_signal(
            {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        )
        try:
            self._gone(server, STOP_LIMIT_S)
        except ClusterError:
            server.send_signal(signal.SIGQUIT)
            self._gone(server, STOP_LIMIT_S)

    def _gone(self, server: psutil.Process, limit_s: float) -> None:
        def is_gone() -> bool:
            if self._process is not None:
                self._process.poll()  # else our own child stays a zombie
            return not process.is_alive(server)

        process.wait_until(
            f"the {self.name} to stop", is_gone, limit_s, last=lambda: f"process {server.pid} is alive"
        )

    def append_conf(self, settings: dict[str, str]) -> None:
        """Add settings to postgresql.conf; the last one of a name counts. reload() or a restart makes them work."""
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(as_conf(settings))

    def reload(self) -> None:
        """Have the server read its configuration again."""
        server = process.postmaster(self.data)
        if server is None:
            raise NotRunning(f"The {self.name} is stopped", "Run `pglab up`")
        server.send_signal(signal.SIGHUP)

    # -- connections --------------------------------------------------------------------------------------------------

    def conninfo(
        self, dbname: str = "postgres", user: str = ADMIN, password: str | None = None
    ) -> dict[str, Any]:
        """Keyword arguments for psycopg.connect, over the Unix socket."""
        secret = self.home.secrets()["admin"] if user == ADMIN and password is None else password
        return {
            "host": str(self.sockets),
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
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(self.major):
            raise ClusterError(
                f"The data in {self.data} was made by Postgres {made_by}, and this is Postgres {self.major}",
                f"Set PGLAB_PG_BIN to the bin folder of a Postgres {made_by}, or PGLAB_HOME to another folder to start afresh",
            )

    def _make_socket_folder(self) -> None:
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        ids = account.server_ids()
        if ids:
            os.chown(self.sockets, *ids)
