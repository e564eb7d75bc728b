"""A PgBouncer as a process of this machine, on a Unix socket and on 127.0.0.1."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from pglab.cluster import account, pgbouncer
from pglab.cluster.local_runner import clean_environment
from pglab.cluster.node import Node
from pglab.cluster.pooler_runner import INI, PoolerRunner
from pglab.errors import ClusterError
from pglab.home import Home

LONGEST_SOCKET = 103  # bytes


class LocalPooler(PoolerRunner):
    """A child process, found again by its pid file in every process."""

    def __init__(self, name: str, home: Home, shared: Home | None = None) -> None:
        """shared: the home that a fetched PgBouncer lies in, the same by default."""
        self.name = name
        self.home = home
        self.files = home.run / name
        self.folder = self.files
        self.log_file = home.logs / f"{name}.log"
        self.log = str(self.log_file)
        self._shared = shared or home
        self._process: subprocess.Popen[bytes] | None = None
        if len(os.fsencode(self.files / ".s.PGSQL.54321")) > LONGEST_SOCKET:
            raise ClusterError(
                f"{self.files} is too long for a Unix socket", "Give the pooler a shorter name"
            )

    def require(self) -> None:
        """See PoolerRunner."""
        if self._program() is None:
            raise ClusterError("PgBouncer is not installed", pgbouncer.remedy())

    def fetch(self, say: Callable[[str], None], limit_s: float) -> None:
        """See PoolerRunner."""
        pgbouncer.fetch(self._shared, say, limit_s)

    def settings(self, port: int) -> dict[str, str]:
        """See PoolerRunner."""
        return {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": str(self.files),
            "pidfile": str(self.files / "pgbouncer.pid"),
        }

    def reach(self, node: Node) -> tuple[str, int]:
        """See PoolerRunner."""
        return str(node.sockets), node.port

    @property
    def host(self) -> str:
        """See PoolerRunner."""
        return str(self.files)

    @property
    def port(self) -> int:
        """See PoolerRunner."""
        try:
            found = re.findall(r"^listen_port = (\d+)$", (self.files / INI).read_text(), re.MULTILINE)
        except OSError:
            return 0
        return int(found[-1]) if found else 0

    @property
    def pid(self) -> int | None:
        """See PoolerRunner."""
        if self._process is not None:
            self._process.poll()  # else our own child stays a zombie
        found = self._running()
        return found.pid if found else None

    def _running(self) -> psutil.Process | None:
        """The pid file's process, when it is a PgBouncer with this configuration: after a kill -9 the file stays."""
        try:
            found = psutil.Process(int((self.files / "pgbouncer.pid").read_text()))
            if found.status() != psutil.STATUS_ZOMBIE and str(self.files / INI) in found.cmdline():
                return found
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def put(self, name: str, text: str) -> None:
        """See PoolerRunner. The servers' user alone can read it."""
        self.files.mkdir(mode=0o700, exist_ok=True)
        ids = account.server_ids()
        if ids:
            os.chown(self.files, *ids)
        draft = self.files / f"{name}.draft"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text)
        account.hand_over(draft, ids)
        draft.replace(self.files / name)

    def launch(self, port: int) -> None:
        """See PoolerRunner. A port that is taken is seen when it has ended, or by is_listening()."""
        program = self._program()
        assert program is not None
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [str(program), str(self.files / INI)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env=clean_environment() | pgbouncer.environment(program), start_new_session=True, **account.as_server(),
            )  # fmt: skip

    def has_ended(self) -> bool:
        """See PoolerRunner."""
        return self._process is not None and self._process.poll() is not None

    def is_listening(self, port: int) -> bool:
        """See PoolerRunner. Older ones go on with the Unix socket alone."""
        assert self._process is not None
        found = psutil.Process(self._process.pid).net_connections("tcp")
        return any(c.laddr.port == port for c in found if c.status == psutil.CONN_LISTEN)

    def said(self, since: int = 0) -> str:
        """See PoolerRunner."""
        return self.log_file.read_text(errors="replace")[since:]

    def settle(self, since: int) -> None:
        """See PoolerRunner. It has written it by the time it answers."""

    def signal(self, number: int) -> None:
        """See PoolerRunner."""
        found = self._running()
        if found is not None:
            with suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
                found.send_signal(number)

    def clear(self) -> None:
        """See PoolerRunner."""
        for left in (*self.files.glob(".s.PGSQL.*"), self.files / "pgbouncer.pid"):
            left.unlink(missing_ok=True)

    def _program(self) -> Path | None:
        return pgbouncer.find(self._shared)
