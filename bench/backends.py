"""The embedded and the docker backend side by side, in turn on the same machine: start, seeding, memory, a round trip.

Without a Docker engine, or without its images, that half is left out and said.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from pglab.cluster import Cluster
from pglab.dataset import Dataset, seed
from pglab.errors import PglabError
from pglab.home import Home

ROUNDS = 3
PINGS = 1000
MB = 2**20
SCALE = os.environ.get("PGLAB_BENCH_SCALE", "small")


def run() -> Iterator[tuple[str, float | str, str]]:
    """Rows of (name, value, goal)."""
    measured: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        for backend in ("embedded", *(["docker"] if _has_docker() else [])):
            for what, value in _once(backend).items():
                measured.setdefault(what, defaultdict(list))[backend].append(value)
    for what, values in measured.items():
        for backend, found in values.items():
            yield f"{backend}: {what}", statistics.median(found), ""
    if not _has_docker():
        yield "docker", "no engine, or no images", ""


def _has_docker() -> bool:
    from pglab.cluster import docker_engine, docker_runner

    try:
        return docker_engine.engine().has_image(docker_runner.postgres_image())
    except PglabError:
        return False


def _once(backend: str) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="pglab-bench-", dir="/tmp"))
    folder.chmod(0o711)  # as root the servers run as another user
    cluster = Cluster(Home(folder), backend=backend)
    try:
        found = {"a new cluster, s": _took(cluster.up)}
        found[f"seeding {SCALE}, s"] = _took(
            lambda: seed(cluster, Dataset.load(), SCALE, lambda done, step: None)
        )
        found["memory of an idle seeded primary (PSS), MB"] = _memory(cluster) / MB
        found["a round trip, ms"] = _ping_ms(cluster)
        found["a replica, s"] = _took(lambda: cluster.add_replica())
        found["down with a replica, s"] = _took(cluster.down)
        found["up with a replica, s"] = _took(cluster.up)
        cluster.down()
        return found
    finally:
        cluster.down()
        cluster.discard()
        shutil.rmtree(folder, ignore_errors=True)


def _took(verb: Callable[[], object]) -> float:
    began = time.monotonic()
    verb()
    return time.monotonic() - began


def _memory(cluster: Cluster) -> float:
    """Bytes of the primary's processes, shared pages counted once, and of what Docker runs for its container."""
    pid = cluster.primary.pid
    assert pid
    server = psutil.Process(pid)
    family = [server, *server.children(recursive=True)]
    if cluster.backend.name == "docker":
        beside = ("docker-proxy", "containerd-shim")
        parent = server.parent()
        proxies = [
            each for each in psutil.process_iter(["name", "cmdline"]) if each.info["name"] == beside[0]
        ]
        family += [each for each in proxies if str(cluster.primary.port) in (each.info["cmdline"] or [])]
        family += [parent] if parent and parent.name().startswith(beside[1]) else []
    total = 0.0
    for each in family:
        with suppress(psutil.NoSuchProcess):  # a worker that ended meanwhile
            total += each.memory_full_info().pss
    return total


def _ping_ms(cluster: Cluster) -> float:
    took = []
    with cluster.primary.connect() as conn:
        for _ in range(PINGS):
            began = time.perf_counter()
            conn.execute("SELECT 1")
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)
