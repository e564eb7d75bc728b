"""A cluster: named nodes below one home, whatever they run on."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from pglab.cluster import backend, binaries, process, settings, standby
from pglab.cluster.backend import Backend
from pglab.cluster.embedded import Embedded
from pglab.cluster.external import External
from pglab.cluster.node import Node
from pglab.cluster.pooler import Pooler
from pglab.cluster.pooler_runner import INI
from pglab.cluster.replica import NAME, Replica
from pglab.errors import ClusterError, NotRunning, PglabError
from pglab.home import Home

OWN = "own_"  # how the home of a lab's own cluster is named


class Cluster:
    """The nodes below one home. Every process that opens the same home sees the same cluster."""

    def __init__(
        self,
        home: Home | None = None,
        more_settings: Mapping[str, str] | None = None,
        backend: str | Backend | None = None,
    ) -> None:
        """Args:
        more_settings: for the primary, over those of a production server, when it is made.
        backend: "embedded" or "docker"; by default the one that the home was made with, or PGLAB_BACKEND.
        """
        self.home = home or Home.default()
        self._more_settings = dict(more_settings or {})
        self._backend = backend
        self._replicas: dict[str, Replica] = {}
        self._poolers: dict[str, Pooler] = {}

    @cached_property
    def backend(self) -> Backend:
        """What the nodes run on."""
        if isinstance(self._backend, Backend):
            return self._backend
        name = backend.chosen(self.home, self._backend)
        if name == "docker":
            from pglab.cluster.docker import Docker  # here, because its client takes half a second

            return Docker(self.home)
        if name == "external":
            return External(self.home)
        return Embedded(self.home)

    @property
    def binaries(self) -> binaries.Binaries:
        """Postgres' programs on this machine, such as pgbench."""
        return self.backend.binaries

    @cached_property
    def primary(self) -> Node:
        """The node that takes the writes."""
        return Node("primary", self.home, self.backend.runner("primary"))

    def replica(self, name: str = "replica") -> Replica:
        """A replica by its name, made or not."""
        if name not in self._replicas:
            self._replicas[name] = Replica(name, self.home, self.backend.runner(name), self.primary)
        return self._replicas[name]

    def add_replica(
        self, name: str = "replica", progress: Callable[[str], None] = lambda step: None
    ) -> Replica:
        """A replica that runs: made when it is missing, started when it is stopped. For errors see Replica.up."""
        replica = self.replica(name)
        replica.up(progress)
        return replica

    def pooler(self, name: str = "pooler") -> Pooler:
        """A pooler by its name, started or not."""
        if name not in self._poolers:
            self._poolers[name] = Pooler(name, self.home, self.backend.pooler_runner(name))
        return self._poolers[name]

    @property
    def replicas(self) -> list[Replica]:
        """The replicas that have been made."""
        return [
            self.replica(name)
            for name in self.backend.made()
            if NAME.fullmatch(name) and name != self.primary.name
        ]

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
        found = [self._below(Home(path)) for path in sorted(self.home.root.glob(f"{OWN}*")) if path.is_dir()]
        return [cluster for cluster in found if cluster.primary.is_made()]

    def _below(self, home: Home, more_settings: Mapping[str, str] | None = None) -> Cluster:
        return Cluster(home, more_settings, self.backend.below(home))

    def remove(self, *, keep_sockets: bool = False) -> None:
        """Stop all nodes and delete the home: only for a cluster of a lab's own.

        Args:
            keep_sockets: but for run/, whose sockets somebody may look into.
        """
        if not self.home.root.name.startswith(OWN):
            raise ClusterError(f"{self.home.root} is no lab's own cluster")
        if self.primary.is_made():
            self.down()
        self.backend.remove()
        if not keep_sockets:
            shutil.rmtree(self.home.root, ignore_errors=True)
            return
        for path in self.home.root.iterdir():
            if path.is_dir() and path != self.home.run:
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_file():
                path.unlink()

    def discard(self) -> None:
        """Remove what of the stopped nodes lies outside the home, those of the labs' own clusters too."""
        for path in self.home.root.glob(f"{OWN}*"):
            self._below(Home(path)).backend.remove()
        self.backend.remove()

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
        self.backend.enter(progress)
        if not self.backend.ours:
            backend.note(self.home, self.backend.name)
            return
        if not self.primary.is_made():
            progress(f"making a Postgres {self.backend.version} cluster in {self.home.root}")
            backend.note(self.home, self.backend.name)
            self.primary.init(settings.production() | self._more_settings)
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
            nodes = self.nodes if self.backend.ours else self.poolers
            running = [node for node in nodes if node.is_made() and node.is_running()]
            failures = []
            for node in reversed(running):
                progress(f"stopping the {node.name}")
                try:
                    node.stop()
                except ClusterError as error:
                    failures.append(error)
            if failures:
                raise failures[0]
            self.backend.leave()
            return bool(running) or any(others)

    def require_running(self) -> None:
        """Raises NotRunning when the primary is stopped."""
        if not (self.primary.is_made() and self.primary.is_running()):
            raise NotRunning("The cluster is stopped", "Run `pglab up`")

    def status(self) -> dict[str, Any]:
        """What there is, as data: home, version and each node's name, state, port and pid."""
        return {
            "home": str(self.home.root),
            "backend": self.backend.name,
            "postgres": self.backend.version,
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
