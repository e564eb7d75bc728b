"""The default backend: named nodes that are processes of this machine."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from pglab.cluster import binaries, process, settings, standby
from pglab.cluster.node import Node
from pglab.cluster.pooler import INI, Pooler
from pglab.cluster.replica import NAME, Replica
from pglab.errors import ClusterError, DiskFull, NotRunning, PglabError
from pglab.home import Home

# What an empty cluster needs before any dataset: initdb's files and the first WAL segments, with room to breathe.
SMALLEST_MB = 400
OWN = "own_"  # how the home of a lab's own cluster is named


class Cluster:
    """The nodes below one home. Every process that opens the same home sees the same cluster."""

    def __init__(self, home: Home | None = None, more_settings: Mapping[str, str] | None = None) -> None:
        """Args: more_settings: for the primary, over those of a production server, when it is made."""
        self.home = home or Home.default()
        self._more_settings = dict(more_settings or {})
        self._replicas: dict[str, Replica] = {}
        self._poolers: dict[str, Pooler] = {}

    @cached_property
    def binaries(self) -> binaries.Binaries:
        """The Postgres that the nodes run."""
        return binaries.find(self.home)

    @cached_property
    def primary(self) -> Node:
        """The node that takes the writes."""
        return Node("primary", self.home, self.binaries)

    def replica(self, name: str = "replica") -> Replica:
        """A replica by its name, made or not."""
        return self._replicas.setdefault(name, Replica(name, self.home, self.binaries, self.primary))

    def add_replica(
        self, name: str = "replica", progress: Callable[[str], None] = lambda step: None
    ) -> Replica:
        """A replica that runs: made when it is missing, started when it is stopped. For errors see Replica.up."""
        replica = self.replica(name)
        replica.up(progress)
        return replica

    def pooler(self, name: str = "pooler") -> Pooler:
        """A pooler by its name, started or not."""
        return self._poolers.setdefault(name, Pooler(name, self.home))

    @property
    def replicas(self) -> list[Replica]:
        """The replicas that have been made."""
        names = sorted(path.parent.name for path in self.home.root.glob("*/PG_VERSION"))
        return [self.replica(name) for name in names if NAME.fullmatch(name) and name != self.primary.name]

    @property
    def poolers(self) -> list[Pooler]:
        """The poolers that were ever started."""
        return [self.pooler(path.parent.name) for path in sorted(self.home.run.glob(f"*/{INI}"))]

    @property
    def nodes(self) -> list[Node | Pooler]:
        """All nodes: the primary, the replicas, the poolers."""
        return [self.primary, *self.replicas, *self.poolers]

    def own(self, name: str, more_settings: Mapping[str, str] | None = None) -> Cluster:
        """A cluster of its own below this one's home, for a lab that starves or breaks its servers. down() stops it too."""
        return self._below(Home(self.home.root / f"{OWN}{name}"), more_settings)

    @property
    def owned(self) -> list[Cluster]:
        """Those that have been made."""
        return [
            self._below(Home(path.parent.parent))
            for path in self.home.root.glob(f"{OWN}*/primary/PG_VERSION")
        ]

    def _below(self, home: Home, more_settings: Mapping[str, str] | None = None) -> Cluster:
        cluster = Cluster(home, more_settings)
        cluster.binaries = self.binaries  # as root they are a copy of 40 MB: one is enough
        return cluster

    def remove(self) -> None:
        """Stop all nodes and delete the home: only for a cluster of a lab's own."""
        if not self.home.root.name.startswith(OWN):
            raise ClusterError(f"{self.home.root} is no lab's own cluster")
        if self.primary.is_made():
            self.down()
        shutil.rmtree(self.home.root, ignore_errors=True)

    def up(self, progress: Callable[[str], None] = lambda step: None) -> None:
        """Make what is missing and start what is stopped. A second call at the same moment waits for the first.

        Args:
            progress: told each step in a few words.

        Raises:
            ClusterError, DiskFull: with what was left as it was, and the remedy.
        """
        try:
            with self.home.lock(
                "cluster", on_wait=lambda: progress("waiting for another pglab command to end")
            ):
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
            self.primary.init(settings.production(str(self.primary.sockets)) | self._more_settings)
        was_running = self.primary.is_running()
        if not was_running:
            progress("starting the primary")
        self.primary.start()
        if not was_running:
            with self.primary.connect() as admin:  # a student's role has one database, its own
                admin.execute("REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC")
        self._up_replicas(progress)

    def _up_replicas(self, progress: Callable[[str], None]) -> None:
        standby.drop_orphans(
            self.primary, {replica.name for replica in self.replicas if replica.is_standby()}
        )
        for replica in self.replicas:
            if not replica.is_running():
                progress(f"starting the {replica.name}")
            try:
                replica.start()
            except (
                PglabError
            ) as error:  # the labs without a replica go on; those with one ask for it themselves
                progress(str(error))

    def down(self, progress: Callable[[str], None] = lambda step: None) -> bool:
        """Stop every node, also when one of them fails to, and every lab's own cluster. Says whether anything ran."""
        others = [cluster.down(progress) for cluster in self.owned]
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
            return bool(running) or any(others)

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
