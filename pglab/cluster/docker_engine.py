"""The Docker engine, by way of testcontainers: its verbs as the backend needs them, its errors as sentences.

Everything that is made carries the home that it belongs to as a label, so that any process finds it again. testcontainers'
own reaper is off: it would end a cluster with the process that started it, and a cluster outlives commands.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker.errors
import psutil
import requests.exceptions
from docker.models.containers import Container
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.network import Network

from pglab.cluster.docker_errors import FULL, LIMIT_S, STANDS_IN, reason, told
from pglab.errors import ClusterError
from pglab.home import Home

HOME, NODE, KIND, PROCESS = "pglab.home", "pglab.node", "pglab.kind", "pglab.process"  # labels
SERVER, POOLER, RUN = "server", "pooler", "run"  # kinds of containers
PULL_LIMIT_S = 1800
LOOPBACK = "127.0.0.1"

testcontainers_config.ryuk_disabled = True


class Engine:
    """The engine that DOCKER_HOST, Docker's context or its usual socket names. See engine()."""

    def __init__(self) -> None:
        with told("ask Docker what it is"):
            self.client = DockerClient(timeout=LIMIT_S)
            self.docker = self.client.client
            self.version = str(self.docker.version()["Version"])

    # -- images -------------------------------------------------------------------------------------------------------

    def require(
        self,
        image: str,
        variable: str,
        progress: Callable[[str], None] = lambda step: None,
        limit_s: float = PULL_LIMIT_S,
    ) -> None:
        """See that an image is there; pull it when it is not, and wait no longer than limit_s for a word of the registry.

        Raises:
            ClusterError: it cannot be had; variable: the setting that names another; DiskFull.
        """
        if self.has_image(image):
            return
        with told(f"pull the image {image}"):
            progress(f"pulling the image {image}")
            client = DockerClient(timeout=limit_s).client
            try:
                client.images.pull(*_name_and_tag(image))
            except (docker.errors.APIError, requests.exceptions.RequestException) as error:
                if FULL in str(error):
                    raise
                raise ClusterError(
                    f"The image {image} is not here and could not be pulled ({reason(error)})",
                    f"See what `docker pull {image}` says, name another in {variable}, or {STANDS_IN}",
                ) from error
            finally:
                client.close()

    def has_image(self, image: str) -> bool:
        """Whether it is here."""
        with told(f"look for the image {image}"):
            try:
                return bool(self.docker.images.get(image))
            except docker.errors.ImageNotFound:
                return False

    @functools.lru_cache(maxsize=8)  # noqa: B019 (there is one engine in a process)
    def config(self, image: str) -> tuple[dict[str, str], list[str]]:
        """An image's environment and the folders that it declares as volumes."""
        with told(f"look into the image {image}"):
            config = self.docker.images.get(image).attrs["Config"]
        pairs = (line.partition("=") for line in config.get("Env") or [])
        return {name: value for name, _, value in pairs}, sorted(config.get("Volumes") or {})

    # -- containers ---------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Container | None:
        """A container by its name, running or not."""
        with told(f"look for the container {name}"):
            try:
                return self.docker.containers.get(name)
            except docker.errors.NotFound:
                return None

    def state(self, name: str) -> dict[str, Any]:
        """Its State, as `docker inspect` has it; empty where there is no such container."""
        with told(f"look at the container {name}"):
            try:
                return dict(self.docker.api.inspect_container(name)["State"])
            except docker.errors.NotFound:
                return {}

    def start(
        self, image: str, name: str, home: Home, kind: str, node: str, port: int, command: Sequence[str],
        *, files: Mapping[str, str] | None = None, volumes: Mapping[str, str] | None = None, entrypoint: Sequence[str] | None = None,
        network: str, init: bool = False,
    ) -> None:  # fmt: skip
        """Start a server's container, in place of one of the same name.

        Args:
            port: in the container, and on 127.0.0.1 of this machine; files: path → text, put into it first;
            volumes: volume → folder; network: its name, in which the container is found as `node`.

        Raises:
            PortTaken, ClusterError, DiskFull: none is left.
        """
        self.remove(name)
        container = (
            DockerContainer(image, docker_client_kw={"timeout": LIMIT_S})
            .with_name(name)
            .with_command([*command])
        )
        own = Network()
        own.name = network
        container.with_network(own).with_network_aliases(node)
        for volume, folder in (volumes or {}).items():
            container.with_volume_mapping(volume, folder, "rw")
        for path, text in (files or {}).items():
            container.with_copy_into_container(text.encode(), path)
        more: dict[str, Any] = {"entrypoint": [*entrypoint]} if entrypoint else {}
        container.ports = {f"{port}/tcp": (LOOPBACK, port)}  # type: ignore[dict-item]
        container.with_kwargs(
            labels=labels(home, kind, node), shm_size="1g",  # parallel queries outgrow Docker's 64 MB
            init=init, **more,
        )  # fmt: skip
        try:
            with told(f"start the container {name}"):
                container.start()
        except BaseException:
            self.remove(name)
            raise

    def address(self, name: str) -> str:
        """Where clients of this machine find a container.

        Its own address where the engine's bridge is an interface of this machine; else, as with an engine in a virtual
        machine, 127.0.0.1 by its published port. That way each connection takes a relay of Docker's with six open files.
        """
        with told(f"look at the container {name}"):
            try:
                networks = self.docker.api.inspect_container(name)["NetworkSettings"]["Networks"]
            except docker.errors.NotFound:
                return LOOPBACK
        here = {each.address for found in psutil.net_if_addrs().values() for each in found}
        own = [
            str(each["IPAddress"])
            for each in networks.values()
            if each["IPAddress"] and each["Gateway"] in here
        ]
        return own[0] if own else LOOPBACK

    def remove(self, name: str) -> None:
        """Remove a container, running or not. None is fine."""
        with told(f"remove the container {name}"), suppress(docker.errors.NotFound):
            self.docker.api.remove_container(name, force=True, v=True)

    def signal(self, name: str, number: int) -> None:
        """Send its first process a signal. One that is gone is fine."""
        with told(f"signal the container {name}"):
            try:
                self.docker.api.kill(name, number)
            except docker.errors.NotFound:
                pass
            except docker.errors.APIError as error:
                if "is not running" not in str(error):
                    raise

    def logs(self, name: str) -> str:
        """All that it wrote; "" where there is no such container."""
        with told(f"read the log of {name}"):
            try:
                return bytes(self.docker.api.logs(name)).decode(errors="replace")
            except docker.errors.NotFound:
                return ""

    # -- volumes and networks, and what a home has ----------------------------------------------------------------------

    def make_volume(self, name: str, home: Home, node: str) -> None:
        """A new volume."""
        with told(f"make the volume {name}"):
            self.docker.volumes.create(name, labels=labels(home, SERVER, node))

    def has_volume(self, name: str) -> bool:
        """Whether it is there."""
        with told(f"look for the volume {name}"), suppress(docker.errors.NotFound):
            return bool(self.docker.volumes.get(name))
        return False

    def remove_volume(self, name: str) -> bool:
        """Remove it, and say whether it is gone: one that a container has stays. None is fine."""
        with told(f"remove the volume {name}"):
            try:
                self.docker.volumes.get(name).remove(force=True)
            except docker.errors.NotFound:
                pass
            except docker.errors.APIError as error:
                if "volume is in use" not in str(error):
                    raise
                return False
            return True

    def make_network(self, name: str, home: Home) -> None:
        """Make the network of a home's containers unless it is there."""
        with told(f"make the network {name}"):
            if not self.docker.networks.list(names=[f"^{name}$"]):
                network = Network(docker_network_kw={"labels": labels(home, SERVER, "")})
                network.name = name
                network.create()

    def remove_network(self, name: str) -> None:
        """Remove it. None is fine."""
        with told(f"remove the network {name}"):
            for network in self.docker.networks.list(names=[f"^{name}$"]):
                network.remove()

    def poolers(self) -> list[tuple[str, str]]:
        """(id, home) of all homes' poolers, running or not."""
        return [(each["Id"], each["Labels"][HOME]) for each in self._labelled(f"{KIND}={POOLER}")]

    def publishing(self, port: int) -> tuple[Home, str] | None:
        """Whose server, and which, has a port of this machine."""
        with told("list containers"):
            for each in self.docker.api.containers(
                filters={"label": f"{KIND}={SERVER}", "publish": str(port)}
            ):
                if any(held.get("PublicPort") == port for held in each["Ports"]):
                    return Home(Path(each["Labels"][HOME])), each["Labels"][NODE]
        return None

    def containers(self, home: Home) -> list[str]:
        """Ids of a home's containers, running or not."""
        return [each["Id"] for each in self._labelled(f"{HOME}={home.root}")]

    def runs(self, home: Home) -> list[tuple[str, int]]:
        """(id, process that made it) of a home's containers of programs that run once."""
        found = self._labelled(f"{HOME}={home.root}", f"{KIND}={RUN}")
        return [(each["Id"], int(each["Labels"].get(PROCESS, 0))) for each in found]

    def _labelled(self, *chosen: str) -> list[dict[str, Any]]:
        with told("list containers"):
            return list(self.docker.api.containers(all=True, filters={"label": [*chosen]}))

    def volumes(self, home: Home) -> list[str]:
        """Names of a home's volumes."""
        with told("list volumes"):
            return [
                str(each.name) for each in self.docker.volumes.list(filters={"label": f"{HOME}={home.root}"})
            ]


@functools.cache
def _engine(process: int) -> Engine:
    return Engine()


def engine() -> Engine:
    """The engine; one connection for each process (a fork gets its own).

    Raises:
        ClusterError: there is none, or it may not be used.
    """
    return _engine(os.getpid())


def labels(home: Home, kind: str, node: str) -> dict[str, str]:
    """What all that belongs to a home carries."""
    return {HOME: str(home.root), KIND: kind, NODE: node, PROCESS: str(os.getpid())}


def key(home: Home) -> str:
    """How names of a home's containers, volumes and network begin."""
    return f"pglab-{hashlib.sha256(os.fsencode(home.root)).hexdigest()[:8]}"


def _name_and_tag(image: str) -> tuple[str, str | None]:
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")
