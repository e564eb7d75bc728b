"""A primary that somebody else runs: pglab works in it and never touches the server itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from pglab.cluster import Cluster
from pglab.errors import ClusterError, NotRunning
from pglab.home import Home
from tests.conftest import make_home

pytestmark = pytest.mark.embedded


@pytest.fixture
def elsewhere(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A home whose primary is the shared cluster's, by its address and password."""
    home = Home(make_home("external"))
    home.make()
    shutil.copy(cluster.home.root / "secrets.json", home.root)
    monkeypatch.setenv("PGLAB_BACKEND", "external")
    monkeypatch.setenv("PGLAB_PRIMARY", f"127.0.0.1:{cluster.primary.port}")
    found = Cluster(home)
    yield found
    found.down()
    shutil.rmtree(home.root)


def test_it_is_used_and_never_stopped(cluster: Cluster, elsewhere: Cluster) -> None:
    elsewhere.up()
    with elsewhere.primary.connect() as admin:
        assert admin.execute("SELECT current_user::text").fetchone() == ("pglab_admin",)
    assert elsewhere.status()["postgres"] == cluster.status()["postgres"]
    assert elsewhere.down() is False
    assert cluster.primary.is_running()
    elsewhere.require_running()
    for verb in (lambda: elsewhere.primary.runner.signal(15), elsewhere.add_replica):
        with pytest.raises(ClusterError, match=r"not pglab's to run|has no replica"):
            verb()


def test_a_labs_own_cluster_is_of_this_machine(elsewhere: Cluster) -> None:
    own = elsewhere.own("lab_1")
    try:
        own.up()
        assert own.backend.name == "embedded"
        assert own.primary.port != elsewhere.primary.port
        assert elsewhere.down() is True  # the lab's own
        assert not own.primary.is_running()
    finally:
        own.remove()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "PGLAB_PRIMARY names no server"),
        ("nowhere", "PGLAB_PRIMARY names no server"),
        ("127.0.0.1:1", "at 127.0.0.1:1 does not answer"),
    ],
)
def test_a_wrong_address_is_said(
    elsewhere: Cluster, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv("PGLAB_PRIMARY", address)
    with pytest.raises((ClusterError, NotRunning), match=said):
        elsewhere.up()
