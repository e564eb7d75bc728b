"""docker-compose.yml with a project, ports and volumes of its own, over stand-ins or the real images, whichever are here."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pglab.home import course_root
from tests.conftest import require_docker

PROJECT = "pglabtest"
BUILD_LIMIT_S, UP_LIMIT_S = 900, 300


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    import socket

    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def commands() -> list[list[str]]:
    """The ways to call Compose here: the plugin, and the older program."""
    found = []
    if (
        shutil.which("docker")
        and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        found.append(["docker", "compose"])
    if shutil.which("docker-compose"):
        found.append(["docker-compose"])
    return found


class Compose:
    """The compose file, up."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.command = command
        ports = free_ports(5)
        self.port, self.hub_port = ports[0], ports[4]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PGLAB_")},
            "COMPOSE_PROJECT_NAME": PROJECT, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0"),
            "COMPOSE_DOCKER_CLI_BUILD": "1",
            "PGLAB_SCALE": "small", "PGLAB_SHARED_BUFFERS": "256MB", "PGLAB_PORT": str(ports[0]), "PGLAB_PRIMARY_PORT": str(ports[1]),
            "PGLAB_REPLICA_PORT": str(ports[2]), "PGLAB_POOLER_PORT": str(ports[3]), "PGLAB_HUB_PORT": str(ports[4]),
            "PGLAB_CLASS_SCALE": "small", "PGLAB_STUDENTS": "alice bob carol",
        }  # fmt: skip
        self.ports = ports

    def __call__(self, *arguments: str, limit_s: float = UP_LIMIT_S) -> str:
        """Run it; what it and the engine said."""
        ran = subprocess.run(
            [*self.command, *arguments], cwd=course_root(), env=self.environment, text=True, timeout=limit_s,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout[-3000:]
        return ran.stdout

    def container(self, service: str) -> str:
        """A service's container."""
        return self("ps", "-q", service).split()[-1]

    def run(self, service: str, *command: str, user: str = "", limit_s: float = 300) -> str:
        """Run a program in a service's container; what it said on stdout."""
        words = ["docker", "exec", *(["-u", user] if user else []), self.container(service), *command]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=limit_s)
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
        return ran.stdout

    def health(self, service: str) -> str:
        """What its health check says."""
        words = ["docker", "inspect", "--format", "{{.State.Health.Status}}", self.container(service)]
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def until(what: str, done: Callable[[], object], limit_s: float = UP_LIMIT_S) -> None:
    """Poll."""
    deadline = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The compose file's commands, its images built; all that it made is gone at the end."""
    require_docker()
    found = commands()
    if not found:
        pytest.skip("neither `docker compose` nor docker-compose is here")
    compose = Compose(found[0], tmp_path_factory.mktemp("compose"))
    for service in ("lab", "hub"):  # in turn: without BuildKit, the second then finds the first one's layers
        compose("--profile", "class", "build", service, limit_s=BUILD_LIMIT_S)
    try:
        yield compose
    finally:
        compose("--profile", "class", "down", "--volumes", "--remove-orphans")
