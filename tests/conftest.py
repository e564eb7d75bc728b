"""One cluster for all tests that need one, with the dataset at scale small, in a folder of its own.

PGLAB_TEST_HOME keeps it between runs. Without it, it is made anew and removed at the end.
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
from pglab.home import Home

os.environ.setdefault("PGLAB_SHARED_BUFFERS", "512MB")
os.environ.setdefault("PGLAB_STUDENT", "tester")
os.environ.setdefault("MPLCONFIGDIR", tempfile.gettempdir())


def make_home(prefix: str) -> Path:
    """A new folder with a short path: Unix sockets lie below it. Open to pass through, for the servers' user."""
    folder = Path(tempfile.mkdtemp(prefix=f"pglab-{prefix}-", dir="/tmp"))
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """The shared cluster's home; PGLAB_HOME points to it for every process that a test starts."""
    kept = os.environ.get("PGLAB_TEST_HOME")
    folder = Path(kept) if kept else make_home("test")
    before = os.environ.get("PGLAB_HOME")
    os.environ["PGLAB_HOME"] = str(folder)
    yield Home(folder)
    if before is None:
        os.environ.pop("PGLAB_HOME", None)
    else:
        os.environ["PGLAB_HOME"] = before
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)


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
def own_home() -> Iterator[Home]:
    """A home that one test may break; whatever still runs in it is killed at the end."""
    folder = make_home("own")
    yield Home(folder)
    from pglab.cluster.process import orphans, postmaster

    server = postmaster(folder / "primary")
    for process in [*([server] if server else []), *orphans(folder / "primary")]:
        with suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)
