"""Programs that run once in a container, and containers that never run and give access to a volume's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import requests.exceptions
from docker.models.containers import Container

from pglab.cluster import docker_files
from pglab.cluster.docker_engine import RUN, engine, labels
from pglab.cluster.docker_errors import told
from pglab.errors import ClusterError
from pglab.home import Home


def run(
    image: str, home: Home, node: str, command: Sequence[str], *, volumes: Mapping[str, str],
    files: Mapping[str, str] | None = None, network: str | None = None, limit_s: float = 60.0,
) -> tuple[int, str, str]:  # fmt: skip
    """Run a program as user postgres in a container of its own. Its exit code, stdout and stderr.

    Args:
        files: path → text, the user's own and closed to others, for this run alone.
    """
    with told(f"run {command[0]}"), holder(image, home, node, volumes, command, network) as container:
        for path, text in (files or {}).items():
            docker_files.write(container, path, text)
        container.start()
        try:
            code = int(container.wait(timeout=limit_s)["StatusCode"])
        except requests.exceptions.RequestException:
            raise ClusterError(f"{command[0]} took more than {limit_s:.0f} s in its container") from None
        out, errors = (
            container.logs(stdout=flag, stderr=not flag).decode(errors="replace") for flag in (True, False)
        )
    return code, out, errors


@contextmanager
def holder(
    image: str, home: Home, node: str, volumes: Mapping[str, str],
    command: Sequence[str] = ("true",), network: str | None = None,
) -> Iterator[Container]:  # fmt: skip
    """A container that is made and not started: files of its volumes can be read and written."""
    with told(f"make a container of {image}"):
        container = engine().client.create(
            image, entrypoint=[command[0]], command=[*command[1:]], user="postgres", network=network or "none",
            volumes={volume: {"bind": folder, "mode": "rw"} for volume, folder in volumes.items()},
            labels=labels(home, RUN, node), environment={"LC_ALL": "C"},
        )  # fmt: skip
    try:
        yield container
    finally:
        engine().remove(str(container.id))


def execute(name: str, command: Sequence[str]) -> tuple[int, str]:
    """Run a program as user postgres in a running container. Its exit code and what it said."""
    with told(f"run {command[0]} in {name}"):
        ran = (
            engine()
            .docker.containers.get(name)
            .exec_run([*command], user="postgres", environment={"LC_ALL": "C"})
        )
        return int(ran.exit_code or 0), bytes(ran.output or b"").decode(errors="replace")
