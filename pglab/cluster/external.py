"""The backend `external`: a primary that somebody else runs, such as docker-compose.yml's.

pglab makes databases in it and never starts, stops or configures it. The home's secrets.json holds its password. What
a lab has for itself, a cluster that it starves or stops, or a pooler, runs as processes of this machine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import psycopg

from pglab.cluster import binaries, process
from pglab.cluster.backend import Backend
from pglab.cluster.embedded import Embedded
from pglab.cluster.local_pooler import LocalPooler
from pglab.cluster.node import ADMIN, Node
from pglab.cluster.runner import Draft, Runner
from pglab.errors import ClusterError, DiskFull, NotRunning
from pglab.home import Home

PRIMARY = "PGLAB_PRIMARY"  # "host:port"
UNKNOWN = 1 << 60


class ExternalRunner(Runner):
    """A server by its address."""

    data = PurePosixPath()
    settings: Mapping[str, str] = {}
    hba = ""

    def __init__(self, name: str, home: Home, address: tuple[str, int]) -> None:
        self.name = name
        self.home = home
        self._address = address
        self.log = "kept where it runs"

    @property
    def version(self) -> str:
        """See Runner."""
        secret = self.home.secrets()["admin"]
        host, port = self._address
        try:
            with psycopg.connect(
                host=host, port=port, user=ADMIN, password=secret, dbname="postgres", connect_timeout=5
            ) as conn:
                number = conn.info.server_version
        except psycopg.OperationalError as error:
            raise NotRunning(
                f"The {self.name} at {host}:{port} does not answer ({error})", f"Start it, or see {PRIMARY}"
            ) from error
        return f"{number // 10000}.{number % 10000}"

    @property
    def pid(self) -> int | None:
        """See Runner. Its number is not known, only whether it answers."""
        try:
            socket.create_connection(self._address, timeout=5).close()
        except OSError:
            return None
        return 0

    @property
    def port(self) -> int:
        """See Runner."""
        return self._address[1]

    @property
    def host(self) -> str:
        """See Runner."""
        return self._address[0]

    @property
    def peer(self) -> tuple[str, int]:
        """See Runner."""
        return self._address

    def is_made(self) -> bool:
        """See Runner."""
        return True

    def free_bytes(self) -> int:
        """See Runner. Nobody can say; a full disk is said by the server."""
        return UNKNOWN

    def disk_full(self) -> DiskFull:
        """See Runner."""
        return DiskFull(f"The disk of the {self.name} is full", "Free some space where it runs")

    def has_ended(self) -> bool:
        """See Runner."""
        return self.pid is None

    def explain(self) -> Exception:
        """See Runner."""
        return NotRunning(
            f"The {self.name} at {self.host}:{self.port} does not answer", f"Start it, or see {PRIMARY}"
        )

    def _not_ours(self, *_: object) -> NoReturn:
        raise ClusterError(f"The {self.name} is not pglab's to run", "Do it where it was started")

    def exists(self, name: str) -> bool:
        """See Files."""
        self._not_ours()

    def read(self, name: str) -> str:
        """See Files."""
        self._not_ours()

    def write(self, name: str, text: str) -> None:
        """See Files."""
        self._not_ours()

    def other_major(self, major: str) -> str:
        """See Runner."""
        self._not_ours()

    def draft(self) -> AbstractContextManager[Draft]:
        """See Runner."""
        self._not_ours()

    def sweep(self) -> None:
        """See Runner."""

    def remove(self) -> None:
        """See Runner."""
        self._not_ours()

    def controldata(self) -> str:
        """See Runner."""
        self._not_ours()

    def prepare(self) -> None:
        """See Runner."""

    def launch(self, port: int, options: Sequence[str]) -> None:
        """See Runner."""
        self._not_ours()

    def signal(self, number: int) -> None:
        """See Runner."""
        self._not_ours()


class External(Backend):
    """A primary by its address, from PGLAB_PRIMARY."""

    name = "external"
    ours = False

    def __init__(self, home: Home) -> None:
        self.home = home
        self._embedded = Embedded(home)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port.

        Raises:
            ClusterError: PGLAB_PRIMARY says none.
        """
        host, _, port = os.environ.get(PRIMARY, "").rpartition(":")
        if not host or not port.isdigit():
            raise ClusterError(
                f"{PRIMARY} names no server", f"Set {PRIMARY}=host:port for the external backend"
            )
        return host, int(port)

    @property
    def version(self) -> str:
        """See Backend."""
        return self.runner("primary").version

    @property
    def binaries(self) -> binaries.Binaries:
        """See Backend."""
        return self._embedded.binaries

    def runner(self, name: str) -> ExternalRunner:
        """See Backend."""
        if name != "primary":
            raise ClusterError(
                f"An external cluster has no {name}", "Labs with more nodes have a cluster of their own"
            )
        return ExternalRunner(name, self.home, self.address)

    def pooler_runner(self, name: str) -> LocalPooler:
        """See Backend."""
        return LocalPooler(name, self.home)

    def beside(self, home: Home, conninfo: Mapping[str, Any]) -> tuple[LocalPooler, Node]:
        """See Backend."""
        if conninfo["host"].startswith("/"):  # of a lab's own cluster
            return self._embedded.beside(home, conninfo)
        server = SimpleNamespace(sockets=Path(conninfo["host"]), port=int(conninfo["port"]))
        return LocalPooler("pooler", home, self.home), cast(Node, server)

    def made(self) -> list[str]:
        """See Backend."""
        return ["primary"]

    def enter(self, progress: Callable[[str], None]) -> None:
        """See Backend."""
        process.raise_open_files()
        self.home.make()
        _ = self.version

    def leave(self) -> None:
        """See Backend. There is nothing."""

    def remove(self) -> None:
        """See Backend. There is nothing."""

    def below(self, home: Home) -> Embedded:
        """See Backend. A lab's own cluster is made, starved and stopped: that needs processes of ours."""
        return Embedded(home, self.home)
