"""Which backend a home has, and Docker's errors as sentences that name the one which needs no Docker."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import docker.errors
import pytest
import requests.exceptions

from pglab.cluster import backend, docker_engine
from pglab.cluster.docker_errors import told
from pglab.cluster.docker_volumes import read_book, write_book
from pglab.cluster.process import PortTaken
from pglab.errors import ClusterError, DiskFull
from pglab.home import Home
from tests.conftest import make_home


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.delenv("PGLAB_BACKEND", raising=False)
    folder = make_home("backend")
    yield Home(folder)
    shutil.rmtree(folder)


def test_it_is_embedded_unless_asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend.chosen(home) == "embedded"
    assert backend.chosen(home, "docker") == "docker"
    monkeypatch.setenv("PGLAB_BACKEND", "docker")
    assert backend.chosen(home) == "docker"
    assert backend.chosen(home, "embedded") == "embedded"
    with pytest.raises(ClusterError, match=r"no backend 'podman'.*embedded, docker, external"):
        backend.chosen(home, "podman")


def test_it_is_remembered_and_another_one_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.note(home, "docker")
    assert backend.chosen(home) == "docker"
    with pytest.raises(
        ClusterError, match=r"made with the docker backend, not with embedded\. Take `--backend docker`"
    ):
        backend.chosen(home, "embedded")
    monkeypatch.setenv("PGLAB_BACKEND", "embedded")
    with pytest.raises(ClusterError, match="made with the docker backend"):
        backend.chosen(home)


def test_a_cluster_from_before_there_was_a_choice_is_embedded(home: Home) -> None:
    (home.root / "primary").mkdir()
    (home.root / "primary" / "PG_VERSION").write_text("18\n")
    with pytest.raises(ClusterError, match="made with the embedded backend"):
        backend.chosen(home, "docker")


def test_the_book_of_volumes(home: Home) -> None:
    assert read_book(home) == {}
    write_book(home, "primary", "one")
    write_book(home, "replica", "two")
    assert read_book(home) == {"primary": "one", "replica": "two"}
    write_book(home, "primary", None)
    write_book(home, "primary", None)
    assert read_book(home) == {"replica": "two"}


def refused(cause: Exception) -> docker.errors.DockerException:
    error = docker.errors.DockerException("Error while fetching server API version")
    error.__cause__ = cause
    return error


def api(words: str) -> docker.errors.APIError:
    return docker.errors.APIError("500 Server Error", explanation=words)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (refused(FileNotFoundError(2, "No such file")), ClusterError, r"^No Docker engine answers here\. Install or start Docker.*--backend embedded"),
        (refused(ConnectionRefusedError()), ClusterError, r"^No Docker engine answers here.*--backend embedded"),
        (refused(PermissionError(13, "Permission denied")), ClusterError, r"^You have no rights on Docker's socket\. Join its group.*--backend embedded"),
        (requests.exceptions.ReadTimeout("timed out"), ClusterError, r"^Docker did not answer within \d+ s when asked to try.*--backend embedded"),
        (api("driver failed: Bind for 127.0.0.1:5 failed: port is already allocated"), PortTaken, "taken"),
        (api("write /x: no space left on device"), DiskFull, r"^The disk that Docker keeps its data on is full\. Free.*--backend embedded"),
        (api("invalid mount\nmore words"), ClusterError, r"^Docker could not try: invalid mount\. `docker info`"),
    ],
)  # fmt: skip
def test_an_error_of_dockers_is_a_sentence_with_a_remedy(error: Exception, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words) as caught, told("try"):
        raise error
    assert "\n" not in str(caught.value)


def test_without_an_engine_it_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from pglab.cluster import Cluster

    docker_engine._engine.cache_clear()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{home.root}/none.sock")
    try:
        with pytest.raises(ClusterError, match="No Docker engine answers here"):
            Cluster(home, backend="docker").up()
    finally:
        docker_engine._engine.cache_clear()
    assert backend.read_note(home) == "", "a home without a cluster is free to take another"
