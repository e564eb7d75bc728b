"""The default backend: named nodes that are processes of this machine."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import cached_property
from typing import Any

from pglab.cluster import binaries, process, settings
from pglab.cluster.node import Node
from pglab.errors import ClusterError, DiskFull, NotRunning
from pglab.home import Home

# What an empty cluster needs before any dataset: initdb's files and the first WAL segments, with room to breathe.
SMALLEST_MB = 400


class Cluster:
    """The nodes below one home. Every process that opens the same home sees the same cluster."""

    def __init__(self, home: Home | None = None) -> None:
        self.home = home or Home.default()

    @cached_property
    def binaries(self) -> binaries.Binaries:
        """The Postgres that the nodes run."""
        return binaries.find(self.home)

    @cached_property
    def primary(self) -> Node:
        """The node that takes the writes."""
        return Node("primary", self.home, self.binaries)

    @property
    def nodes(self) -> list[Node]:
        """All nodes, the primary first."""
        return [self.primary]

    def up(self, progress: Callable[[str], None] = lambda step: None) -> None:
        """Make what is missing and start what is stopped. A second call at the same moment waits for the first.

        Args:
            progress: told each step in a few words.

        Raises:
            ClusterError, DiskFull: with what was left as it was, and the remedy.
        """
        try:
            with self.home.lock("cluster", on_wait=lambda: progress("waiting for another pglab command to end")):
                self._up(progress)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise process.disk_full(self.home.root) from error
            raise

    def _up(self, progress: Callable[[str], None]) -> None:
        process.raise_open_files()
        if not self.primary.is_made():
            self._check_room()
            progress(f"making a Postgres {self.binaries.version} cluster in {self.home.root}")
            self.primary.init(settings.production(str(self.primary.sockets)))
        if not self.primary.is_running():
            progress("starting the primary")
        self.primary.start()

    def down(self, progress: Callable[[str], None] = lambda step: None) -> bool:
        """Stop every node, also when one of them fails to. Says whether anything ran."""
        with self.home.lock("cluster", on_wait=lambda: progress("waiting for another pglab command to end")):
            running = [node for node in self.nodes if node.is_made() and node.is_running()]
            failures = []
            for node in reversed(running):
                progress(f"stopping the {node.name}")
                try:
                    node.stop()
                except ClusterError as error:
                    failures.append(error)
            if failures:
                raise failures[0]
            return bool(running)

    def require_running(self) -> None:
        """Raises NotRunning when the primary is stopped."""
        if not (self.primary.is_made() and self.primary.is_running()):
            raise NotRunning("The cluster is stopped", "Run `pglab up`")

    def status(self) -> dict[str, Any]:
        """What there is, as data: home, version and each node's name, state, port and pid."""
        return {
            "home": str(self.home.root),
            "backend": "embedded",
            "postgres": self.binaries.version,
            "nodes": [
                {
                    "name": node.name,
                    "state": "running" if node.is_running() else "stopped" if node.is_made() else "not made",
                    "port": node.port,
                    "pid": node.pid,
                    "data": str(node.data),
                    "log": str(node.log),
                }
                for node in self.nodes
            ],
        }

    def _check_room(self) -> None:
        self.home.make()
        free = process.free_mb(self.home.root)
        if free < SMALLEST_MB:
            raise DiskFull(
                f"{self.home.root} has {free} MB free, and a cluster needs {SMALLEST_MB} MB",
                "Free some space, or set PGLAB_HOME to a folder on another disk",
            )
