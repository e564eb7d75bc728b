"""Seeding against `pgbench -i`, and a clone against a plain recursive copy, on a server of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from bench._scratch import scratch_cluster
from pglab import clones
from pglab.cluster import Cluster
from pglab.dataset import Dataset, seed, template_name

ROUNDS = 2
SCALE = os.environ.get("PGLAB_BENCH_SCALE", "full")
MB = 1e6
PGBENCH_MB = 15.7  # table and index of one unit of pgbench's scale


def run() -> Iterator[tuple[str, float | str, str]]:
    """Rows of (name, value, goal)."""
    with scratch_cluster() as cluster:
        yield from _seeding(cluster)
        yield from _cloning(cluster, cluster.home.root)


def _seeding(cluster: Cluster) -> Iterator[tuple[str, float | str, str]]:
    """In turn, so that both meet the same machine; each one's best round counts."""
    shop = Dataset.load("shop")
    unverified = replace(shop, version=0, scales={SCALE: replace(shop.scales[SCALE], checksums={})})
    units = max(1, round(shop.scales[SCALE].bytes / MB / PGBENCH_MB))  # as many bytes
    pgbench, whole, load = [], [], []
    for _ in range(ROUNDS):
        pgbench.append(_rate(cluster, "pgbench", lambda: _pgbench(cluster, units)))
        whole.append(_rate(cluster, template_name(shop, SCALE), lambda: seed(cluster, shop, SCALE, _quiet)))
        load.append(
            _rate(cluster, template_name(unverified, SCALE), lambda: seed(cluster, unverified, SCALE, _quiet))
        )
    yield f"pgbench -i -s {units}, MB/s of table and index", max(pgbench), ""
    yield f"seeding shop {SCALE}, checksums verified, MB/s", max(whole), ""
    yield "seeding / pgbench -i", max(whole) / max(pgbench), "> 1"
    yield "seeding without checksums / pgbench -i", max(load) / max(pgbench), "> 1"


def _rate(cluster: Cluster, database: str, make: Callable[[], None]) -> float:
    """MB/s of making a database's tables and indexes. The database is dropped before."""
    with cluster.primary.connect() as admin:
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            admin.execute(f"ALTER DATABASE {database} IS_TEMPLATE false")
            admin.execute(f"DROP DATABASE {database}")
        admin.execute("CHECKPOINT")
    began = time.monotonic()
    make()
    took = time.monotonic() - began
    with cluster.primary.connect(database) as conn:
        return (
            _value(
                conn,
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
            )
            / MB
            / took
        )


def _pgbench(cluster: Cluster, units: int) -> None:
    with cluster.primary.connect() as admin:
        admin.execute("CREATE DATABASE pgbench")
    where = cluster.primary.conninfo("pgbench")
    subprocess.run(
        [cluster.binaries["pgbench"], "-i", "-q", "-s", str(units), "-h", where["host"], "-p", str(where["port"]), "-U", where["user"], "pgbench"],
        env={**os.environ, "PGPASSWORD": where["password"]}, check=True, capture_output=True,
    )  # fmt: skip


def _cloning(cluster: Cluster, folder: Path) -> Iterator[tuple[str, float | str, str]]:
    """The files are in the page cache for both. Postgres also waits until its copy is on the disk, cp does not."""
    template = template_name(Dataset.load("shop"), SCALE)
    with cluster.primary.connect() as admin:
        oid = int(_value(admin, f"SELECT oid FROM pg_database WHERE datname = '{template}'"))  # noqa: S608
    source = cluster.primary.data / "base" / str(oid)
    plain, durable, cloned = [], [], []
    for _ in range(ROUNDS + 1):
        target = folder / "copy"
        os.sync()
        began = time.monotonic()
        subprocess.run(["cp", "-r", source, target], check=True)
        plain.append(time.monotonic() - began)
        os.sync()
        durable.append(time.monotonic() - began)
        shutil.rmtree(target)
        os.sync()
        began = time.monotonic()
        clones.clone(cluster, template, "bench_clone", "pglab_admin")
        cloned.append(time.monotonic() - began)
        clones.drop(cluster, "bench_clone")
    yield f"clone of shop {SCALE}, s", min(cloned), ""
    yield "clone / cp -r", min(cloned) / min(plain), "≤ 1.3"
    yield "clone / cp -r and sync", min(cloned) / min(durable), ""


def _value(conn: psycopg.Connection[Any], query: str) -> float:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


def _quiet(fraction: float, step: str) -> None:
    pass
