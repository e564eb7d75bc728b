"""How a PgBouncer is run: what differs between the backends, and nothing else.

Its configuration lies in a folder of the home in any case (Pooler writes it there); a runner brings it to where the
program reads it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path, PurePath

from pglab.cluster.node import Node
from pglab.home import Home

INI, USERS = "pgbouncer.ini", "users.txt"


class PoolerRunner(ABC):
    """How one pooler is run. It may be running, or not.

    Attributes:
        files: the folder of this machine that its configuration is written to; folder: the same as PgBouncer sees it;
        log: where its log is, for a person.
    """

    name: str
    home: Home
    files: Path
    folder: PurePath
    log: str

    @abstractmethod
    def require(self) -> None:
        """Raises ClusterError when PgBouncer cannot be had here, with the remedy."""

    @abstractmethod
    def fetch(self, say: Callable[[str], None], limit_s: float) -> None:
        """Get PgBouncer when it is not here. For errors see require(); it takes no more than limit_s."""

    @abstractmethod
    def settings(self, port: int) -> dict[str, str]:
        """The lines of pgbouncer.ini that say where it listens, for a port that clients of this machine use."""

    @abstractmethod
    def reach(self, node: Node) -> tuple[str, int]:
        """Host and port by which it finds a server of the cluster."""

    @property
    @abstractmethod
    def host(self) -> str:
        """Where clients of this machine find it: a folder of Unix sockets, or an address."""

    @property
    @abstractmethod
    def port(self) -> int:
        """The port that clients of this machine find it on, or did last; 0 before the first start."""

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Its process id, or None when it is stopped."""

    @abstractmethod
    def put(self, name: str, text: str) -> None:
        """Replace a file of its configuration, closed to others."""

    @abstractmethod
    def launch(self, port: int) -> None:
        """Start it; it is not ready yet.

        Raises:
            PortTaken: somebody else was faster.
        """

    @abstractmethod
    def has_ended(self) -> bool:
        """Whether the one that was launched runs no more."""

    @abstractmethod
    def is_listening(self, port: int) -> bool:
        """Whether it has the port of this machine."""

    @abstractmethod
    def said(self, since: int = 0) -> str:
        """What it wrote to its log since its start, from that character on."""

    @abstractmethod
    def settle(self, since: int) -> None:
        """Wait until what it says to a RELOAD, from that character of the log on, can be read."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send it a signal. Stopped already is fine."""

    @abstractmethod
    def clear(self) -> None:
        """Remove what a stopped one leaves behind, but for its configuration."""
