"""One cluster for all tests that need one, with the dataset at scale small, in a folder of its own.

PGLAB_TEST_HOME keeps it between runs. Without it, it is made anew and removed at the end.

The tests of tests/cluster run over both backends: each has a variant `[docker]`, skipped with the reason where no engine
answers or an image is missing. One that looks behind the embedded backend's curtain says so with `@pytest.mark.embedded`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pglab.cluster import Cluster
from pglab.errors import PglabError
from pglab.home import Home

os.environ.setdefault("PGLAB_SHARED_BUFFERS", "512MB")
os.environ.setdefault("PGLAB_STUDENT", "tester")
os.environ.setdefault("MPLCONFIGDIR", tempfile.gettempdir())


BOTH = Path(__file__).parent / "cluster"
DOCKER = pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow])
EMBEDDED = pytest.param("embedded", id=pytest.HIDDEN_PARAM)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give what needs a cluster its backend: both, below tests/cluster."""
    if "backend" in metafunc.fixturenames:
        alone = BOTH not in metafunc.definition.path.parents or any(
            metafunc.definition.iter_markers("embedded")
        )
        metafunc.parametrize(
            "backend", [EMBEDDED] if alone else [EMBEDDED, DOCKER], indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """What the clusters of a test run on; PGLAB_BACKEND says it to every process that a test starts."""
    name: str = request.param
    if name == "docker":
        require_docker()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGLAB_BACKEND", name)
        yield name


def require_docker() -> None:
    """Skip without an engine, or without the images: a test pulls nothing."""
    from pglab.cluster import docker_engine, docker_pooler, docker_runner

    try:
        found = docker_engine.engine()
        for image in (docker_runner.postgres_image(), docker_pooler.pgbouncer_image()):
            if not found.has_image(image):
                pytest.skip(
                    f"The image {image} is not here (tests/docker/standins/build.sh makes a stand-in)"
                )
    except PglabError as error:
        pytest.skip(error.message)


def make_home(prefix: str) -> Path:
    """A new folder with a short path: Unix sockets lie below it. Open to pass through, for the servers' user."""
    folder = Path(tempfile.mkdtemp(prefix=f"pglab-{prefix}-", dir="/tmp"))
    folder.chmod(0o711)
    return folder


def discard(home: Home) -> None:
    """Stop and remove the containers and volumes of a home, and remove its folder."""
    if (home.root / "backend").exists() and (home.root / "backend").read_text().strip() == "docker":
        cluster = Cluster(home, backend="docker")
        cluster.down()
        cluster.discard()
    shutil.rmtree(home.root, ignore_errors=True)


@pytest.fixture(scope="session")
def home(backend: str) -> Iterator[Home]:
    """The shared cluster's home; PGLAB_HOME points to it for every process that a test starts."""
    kept = os.environ.get("PGLAB_TEST_HOME")
    suffix = "" if backend == "embedded" else f"-{backend}"
    folder = Path(f"{kept}{suffix}") if kept else make_home("test")
    before = os.environ.get("PGLAB_HOME")
    os.environ["PGLAB_HOME"] = str(folder)
    yield Home(folder)
    if before is None:
        os.environ.pop("PGLAB_HOME", None)
    else:
        os.environ["PGLAB_HOME"] = before
    if not kept:
        discard(Home(folder))


@pytest.fixture(scope="session")
def cluster(home: Home) -> Iterator[Cluster]:
    """The shared cluster, running."""
    cluster = Cluster(home)
    cluster.up()
    yield cluster
    if not os.environ.get("PGLAB_TEST_HOME"):
        cluster.down()


@pytest.fixture(scope="session")
def seeded(cluster: Cluster) -> Cluster:
    """The shared cluster with the dataset shop at scale small."""
    from pglab.dataset import Dataset, seed

    seed(cluster, Dataset.load("shop"), "small", lambda fraction, step: None)
    return cluster


@pytest.fixture
def own_home(backend: str) -> Iterator[Home]:
    """A home that one test may break; whatever still runs in it is killed at the end."""
    folder = make_home("own")
    yield Home(folder)
    from pglab.cluster.process import orphans, postmaster

    server = postmaster(folder / "primary")
    for process in [*([server] if server else []), *orphans(folder / "primary")]:
        with suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
            process.kill()
    discard(Home(folder))
