"""Clones on a real server: copied, listed, dropped when room is needed, never one in use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pglab import clones
from pglab.cluster import Cluster, Node
from pglab.dataset import Dataset, checksum, seed, template_name
from pglab.errors import DatasetError, DiskFull, NotRunning
from pglab.home import Home

SHOP = Dataset.load("shop")
TEMPLATE = template_name(SHOP, "tiny")
ROLE = f"owner_{os.getpid()}"
NAMES = [f"lab_{letter}_{os.getpid()}" for letter in "abc"]


@pytest.fixture
def owner(cluster: Cluster) -> Iterator[str]:
    """A role without rights, and no clone of ours before or after."""
    seed(cluster, SHOP, "tiny", lambda fraction, step: None)
    with cluster.primary.connect() as admin:
        admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'x'")
        yield ROLE
        for name in NAMES:
            clones.drop(cluster, name)
        admin.execute(f"DROP ROLE {ROLE}")


def ours(cluster: Cluster) -> list[clones.Clone]:
    return [each for each in clones.listing(cluster) if each.name in NAMES]


def test_a_clone_has_the_template_s_rows_and_is_the_owner_s_alone(cluster: Cluster, owner: str) -> None:
    clones.clone(cluster, TEMPLATE, NAMES[0], owner, lab="10-missing-index")
    with cluster.primary.connect(NAMES[0]) as admin:
        assert checksum(admin, "order_items") == SHOP.scales["tiny"].checksums["order_items"]
        admin.execute(f"CREATE ROLE other_{owner} LOGIN PASSWORD 'x'")
        try:
            cluster.primary.connect(NAMES[0], owner, "x").close()
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                cluster.primary.connect(NAMES[0], f"other_{owner}", "x")
        finally:
            admin.execute(f"DROP ROLE other_{owner}")
        (found,) = ours(cluster)
        assert (found.lab, found.connections) == ("10-missing-index", 1)
        assert found.bytes > 20_000_000


def test_a_clone_that_is_there_is_not_replaced(cluster: Cluster, owner: str) -> None:
    clones.clone(cluster, TEMPLATE, NAMES[0], owner)
    with pytest.raises(DatasetError, match="is there already"):
        clones.clone(cluster, TEMPLATE, NAMES[0], owner)


def test_what_a_killed_process_left_is_replaced(cluster: Cluster, owner: str) -> None:
    with cluster.primary.connect() as admin:
        admin.execute(f"CREATE DATABASE {NAMES[0]}")
    clones.clone(cluster, TEMPLATE, NAMES[0], owner)
    assert [each.name for each in ours(cluster)] == NAMES[:1]


def test_a_missing_template_is_an_error(cluster: Cluster, owner: str) -> None:
    with pytest.raises(DatasetError, match="no template database shop_none_1"):
        clones.clone(cluster, "shop_none_1", NAMES[0], owner)


def test_a_failed_clone_leaves_nothing(cluster: Cluster, owner: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedObject):
        clones.clone(cluster, TEMPLATE, NAMES[0], "no_such_role")
    assert not ours(cluster)


def test_a_session_in_the_template_that_ends_only_delays(cluster: Cluster, owner: str) -> None:
    # Each attempt waits up to 5 s in the server. The session ends in the second one.
    with cluster.primary.connect(TEMPLATE) as oracle:
        oracle.execute("SET idle_session_timeout = '6s'")
        clones.clone(cluster, TEMPLATE, NAMES[0], owner)
    assert ours(cluster)


def test_the_least_recently_used_goes_first(cluster: Cluster, owner: str) -> None:
    for name in NAMES:
        clones.clone(cluster, TEMPLATE, name, owner)
    clones.touch(cluster, NAMES[0])
    assert [each.name for each in ours(cluster)] == [NAMES[1], NAMES[2], NAMES[0]]
    size, others = (
        ours(cluster)[0].bytes,
        sum(each.bytes for each in clones.listing(cluster) if each.name not in NAMES),
    )
    assert not others, "this test counts bytes: it needs a cluster without other clones"
    assert clones.make_room(cluster, size, 4 * size + 1_000_000) == []
    assert clones.make_room(cluster, size, 3 * size + 1_000_000) == [NAMES[1]]
    assert [each.name for each in ours(cluster)] == [NAMES[2], NAMES[0]]


def test_one_in_use_is_never_dropped(cluster: Cluster, owner: str) -> None:
    for name in NAMES[:2]:
        clones.clone(cluster, TEMPLATE, name, owner)
    with cluster.primary.connect(NAMES[0], owner, "x") as student:
        with pytest.raises(DiskFull, match=r"clones in use take 0\.03 GB, all together may take 0\.00 GB"):
            clones.make_room(cluster, 1_000_000, 1_000_000)
        assert student.execute("SELECT 1").fetchone() == (1,)
    assert [each.name for each in ours(cluster)] == NAMES[:1]


def test_budget(cluster: Cluster, owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 10**12
    monkeypatch.setattr(Node, "free_bytes", lambda node: free)
    monkeypatch.delenv("PGLAB_CLONE_BUDGET_GB", raising=False)
    assert clones.budget(cluster, 10**9) == 10 * 10**9
    assert clones.budget(cluster, 5 * 10**9) == 15 * 10**9
    monkeypatch.setenv("PGLAB_CLONE_BUDGET_GB", "2.5")
    assert clones.budget(cluster, 5 * 10**9) == 2_500_000_000
    used = sum(each.bytes for each in clones.listing(cluster))
    free = 4 * 10**9
    assert clones.budget(cluster, 10**9) == (free + used) // 2
    monkeypatch.setenv("PGLAB_CLONE_BUDGET_GB", "a lot")
    with pytest.raises(DatasetError, match="'a lot', which is no number"):
        clones.budget(cluster, 10**9)


def test_a_clone_beyond_the_disk_is_refused_before_it_is_made(
    cluster: Cluster, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Node, "free_bytes", lambda node: 1_000_000)
    with pytest.raises(DiskFull, match=r"0\.00 GB"):
        clones.clone(cluster, TEMPLATE, NAMES[0], owner)
    assert not ours(cluster)


def test_where_blocks_cannot_be_shared_they_are_copied(
    cluster: Cluster, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    create = clones._create

    def unable(admin: psycopg.Connection[Any], statement: Any, template: str) -> None:
        row = admin.execute("SELECT current_setting('file_copy_method', true)").fetchone()
        tried.append(row[0] if row else "")
        if tried == ["clone"]:
            raise psycopg.errors.InternalError_("could not clone file: Operation not supported")
        create(admin, statement, template)

    monkeypatch.setattr(clones, "_create", unable)
    if cluster.primary.major < 18:
        pytest.skip("file_copy_method came with Postgres 18")
    clones.clone(cluster, TEMPLATE, NAMES[0], owner)
    assert tried == ["clone", "copy"]
    assert ours(cluster)


def test_a_stopped_cluster_is_said(own_home: Home) -> None:
    with pytest.raises(NotRunning):
        clones.listing(Cluster(own_home))
