"""What a test sees of a cluster from outside, on either backend."""

from __future__ import annotations

import json

import psutil

from pglab.cluster import Cluster, Node
from pglab.cluster.pooler import Pooler
from pglab.cluster.process import orphans


def half_made(cluster: Cluster, name: str) -> list[str]:
    """What lies there of a data folder that is not whole, or not yet."""
    if cluster.backend.name == "embedded":
        return [str(path) for path in cluster.home.root.glob(f"{name}.building*")]
    from pglab.cluster.docker_engine import engine
    from pglab.cluster.docker_volumes import read_book

    return sorted(set(engine().volumes(cluster.home)) - set(read_book(cluster.home).values()))


def listens_on(cluster: Cluster, node: Node | Pooler) -> set[str]:
    """The addresses of this machine that a node can be reached at."""
    if cluster.backend.name == "embedded":
        found = psutil.Process(node.pid).net_connections("inet")
        return {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN}
    return {
        held["HostIp"]
        for ports in inspected(node)["NetworkSettings"]["Ports"].values()
        for held in ports or []
    }


def told_of(node: Node) -> str:
    """What everybody on the machine can see of a server's start: the words of its processes, or of its container."""
    if (node.home.root / node.name).exists():
        lines = [" ".join(found.info["cmdline"] or []) for found in psutil.process_iter(["cmdline"])]
        assert any(str(node.data) in line for line in lines)
        return "\n".join(lines)
    return json.dumps(inspected(node))


def left_over(node: Node) -> list[psutil.Process]:
    """Processes that outlived their postmaster. A container's all end with it."""
    if not (node.home.root / node.name).exists():
        return []
    return [each for each in orphans(node.data) if each.ppid() != node.pid and each.pid != node.pid]


def inspected(node: Node | Pooler) -> dict:  # type: ignore[type-arg]
    """A container, as `docker inspect` has it."""
    from pglab.cluster.docker_engine import engine
    from pglab.cluster.docker_pooler import DockerPooler
    from pglab.cluster.docker_runner import DockerRunner

    assert isinstance(node.runner, DockerRunner | DockerPooler)
    return dict(engine().docker.api.inspect_container(node.runner.container))
