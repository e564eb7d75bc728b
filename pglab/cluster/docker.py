"""The backend `docker`: containers of the official images, on a network of their own.

Containers and the network go when the cluster goes down; the volumes with the data stay until `make clean`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import Any, cast

from pglab.cluster import binaries, process
from pglab.cluster.backend import Backend
from pglab.cluster.docker_engine import engine, key
from pglab.cluster.docker_pooler import DockerPooler
from pglab.cluster.docker_runner import POSTGRES_VARIABLE, DockerRunner, postgres_image
from pglab.cluster.docker_volumes import read_book, remove_strays, sweep
from pglab.cluster.node import Node
from pglab.errors import NotRunning
from pglab.home import Home


class Docker(Backend):
    """Postgres and PgBouncer in containers. Client programs, such as pgbench, are this machine's."""

    name = "docker"

    def __init__(self, home: Home, shared: Home | None = None) -> None:
        """shared: the home that holds fetched programs, the same by default."""
        self.home = home
        self.shared = shared or home

    @cached_property
    def binaries(self) -> binaries.Binaries:
        """See Backend."""
        return binaries.find(self.shared)

    @property
    def version(self) -> str:
        """See Backend."""
        return self.runner("primary").version

    def runner(self, name: str) -> DockerRunner:
        """See Backend."""
        return DockerRunner(name, self.home)

    def pooler_runner(self, name: str) -> DockerPooler:
        """See Backend."""
        return DockerPooler(name, self.home)

    def beside(self, home: Home, conninfo: Mapping[str, Any]) -> tuple[DockerPooler, Node]:
        """See Backend. The server is the container that has the conninfo's port."""
        remove_strays()
        found = engine().publishing(int(conninfo["port"]))
        if found is None:
            raise NotRunning(
                f"No container has port {conninfo['port']}", "Run `pglab up`, and start the notebook anew"
            )
        network, node = found
        server = SimpleNamespace(runner=SimpleNamespace(peer=(node, int(conninfo["port"]))))
        return DockerPooler("pooler", home, network), cast(Node, server)

    def made(self) -> list[str]:
        """See Backend."""
        return sorted(read_book(self.home))

    def enter(self, progress: Callable[[str], None]) -> None:
        """See Backend. Sweeps away what a killed process left."""
        process.raise_open_files()
        self.home.make()
        engine().require(postgres_image(), POSTGRES_VARIABLE, progress)
        sweep(self.home)
        engine().make_network(key(self.home), self.home)

    def leave(self) -> None:
        """See Backend."""
        for container in engine().containers(self.home):
            engine().remove(container)
        engine().remove_network(key(self.home))

    def remove(self) -> None:
        """See Backend."""
        self.leave()
        for volume in engine().volumes(self.home):
            engine().remove_volume(volume)

    def below(self, home: Home) -> Docker:
        """See Backend."""
        return Docker(home, self.shared)
