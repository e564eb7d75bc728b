"""What a cluster's servers run on: `embedded`, processes of this machine; `docker`, containers; `external`, somebody else's.

A home has one backend, noted in it when its cluster is first made, so every later command and notebook finds it there.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from pglab.cluster.binaries import Binaries
from pglab.cluster.node import Node
from pglab.cluster.pooler_runner import PoolerRunner
from pglab.cluster.runner import Runner
from pglab.errors import ClusterError
from pglab.home import Home

NAMES = ("embedded", "docker", "external")
NOTE = "backend"  # the file of the home that it is noted in


class Backend(ABC):
    """Makes the runners of one home's servers, and keeps what they share."""

    name: str
    home: Home
    ours = True  # to make, start and stop

    @property
    @abstractmethod
    def version(self) -> str:
        """The servers' Postgres, such as "18.6"."""

    @property
    @abstractmethod
    def binaries(self) -> Binaries:
        """Postgres' client programs for this machine, such as pgbench."""

    @abstractmethod
    def runner(self, name: str) -> Runner:
        """A server's, made or not."""

    @abstractmethod
    def pooler_runner(self, name: str) -> PoolerRunner:
        """A pooler's, started or not."""

    @abstractmethod
    def beside(self, home: Home, conninfo: Mapping[str, Any]) -> tuple[PoolerRunner, Node]:
        """A pooler in a home of its own, for the server that a conninfo names, and that server as its reach() takes it."""

    @abstractmethod
    def made(self) -> list[str]:
        """The names of the servers that have a whole data folder."""

    @abstractmethod
    def enter(self, progress: Callable[[str], None]) -> None:
        """Before servers are made or started: see that they can be.

        Raises:
            ClusterError, DiskFull: they cannot, with the remedy.
        """

    @abstractmethod
    def leave(self) -> None:
        """After all servers have been stopped: let go of what they shared. The data stays."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the data of stopped servers that lies outside the home."""

    @abstractmethod
    def below(self, home: Home) -> Backend:
        """The same for a lab's own cluster."""


def chosen(home: Home, wanted: str | None = None) -> str:
    """The name of a home's backend: the one that was noted, else the wanted one, PGLAB_BACKEND, or embedded.

    Raises:
        ClusterError: there is none of that name, or the home has another.
    """
    asked = wanted or os.environ.get("PGLAB_BACKEND") or None
    if asked and asked not in NAMES:
        raise ClusterError(f"There is no backend {asked!r}", f"The backends are: {', '.join(NAMES)}")
    noted = read_note(home)
    if noted and asked and asked != noted:
        raise ClusterError(
            f"The cluster in {home.root} was made with the {noted} backend, not with {asked}",
            f"Take `--backend {noted}` (or unset PGLAB_BACKEND), set PGLAB_HOME to another folder, or run `make clean` to start afresh",
        )
    return noted or asked or NAMES[0]


def read_note(home: Home) -> str:
    """What was noted; "" for a home without a cluster."""
    try:
        noted = (home.root / NOTE).read_text().strip()
    except OSError:
        # made before there was a choice
        return NAMES[0] if (home.root / "primary" / "PG_VERSION").exists() else ""
    return noted if noted in NAMES else ""


def note(home: Home, name: str) -> None:
    """Note it, from when a cluster is made on."""
    if read_note(home) != name or not (home.root / NOTE).exists():
        (home.root / NOTE).write_text(f"{name}\n")
