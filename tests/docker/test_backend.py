"""The docker backend as a user has it: remembered, gone after `down`, swept after a kill, in sentences when it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pglab.cluster import Cluster, backend
from pglab.errors import ClusterError
from pglab.home import Home, course_root
from tests.conftest import discard, make_home, require_docker
from tests.docker.conftest import until

pytestmark = [pytest.mark.docker, pytest.mark.slow]
PGLAB = [sys.executable, "-c", "from pglab.cli import main; main()"]
NONE = {"containers": 0, "volumes": 0, "networks": 0}


@pytest.fixture
def home() -> Iterator[Home]:
    require_docker()
    folder = make_home("dock")
    yield Home(folder)
    discard(Home(folder))


def there(home: Home) -> dict[str, int]:
    """What Docker has of a home, and of the labs' own clusters below it."""
    from pglab.cluster.docker_engine import HOME, engine

    def ours(labels: dict[str, str] | None) -> bool:
        return str((labels or {}).get(HOME, "")).startswith(str(home.root))

    api = engine().docker.api
    return {
        "containers": sum(ours(each["Labels"]) for each in api.containers(all=True)),
        "volumes": sum(ours(each["Labels"]) for each in api.volumes()["Volumes"] or []),
        "networks": sum(ours(each["Labels"]) for each in api.networks()),
    }


def pglab(home: Home, *words: str, **more: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PGLAB_BACKEND"}
    environment |= {"PGLAB_HOME": str(home.root), "PYTHONPATH": str(course_root()), **more}
    return subprocess.Popen(
        [*PGLAB, *words], env=environment, cwd=course_root(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def said(home: Home, *words: str, **more: str) -> str:
    process = pglab(home, *words, **more)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return told


def test_up_is_remembered_down_leaves_the_volume_and_delete_data_nothing(home: Home) -> None:
    assert "the cluster is up" in said(home, "up", "--backend", "docker", "--scale", "tiny")
    assert "(docker)" in said(home, "status")
    assert there(home) == {"containers": 1, "volumes": 1, "networks": 1}
    assert "stopping the primary" in said(home, "down")
    assert there(home) == {"containers": 0, "volumes": 1, "networks": 0}
    again = said(home, "up", "--scale", "tiny")
    assert "seeding" not in again and "making" not in again
    said(home, "down", "--delete-data")
    assert there(home) == NONE
    assert not home.root.exists()


def test_a_labs_own_cluster_and_a_pooler_go_too(home: Home) -> None:
    cluster = Cluster(home, backend="docker")
    cluster.up()
    own = cluster.own("lab_1")
    own.up()
    own.add_replica("replica")
    own.pooler().start("[databases]\n* =\n[pgbouncer]\n", {}, own.primary)
    assert there(home) == {"containers": 4, "volumes": 3, "networks": 2}
    Cluster(home).down()
    assert there(home) == {"containers": 0, "volumes": 3, "networks": 0}
    cluster.own("lab_1").remove()
    assert there(home) == {"containers": 0, "volumes": 1, "networks": 0}


@pytest.mark.parametrize("when", ["volumes", "containers", "networks"])
def test_what_a_killed_up_leaves_is_swept_at_the_next(home: Home, when: str) -> None:
    process = pglab(home, "up", "--backend", "docker", "--scale", "tiny")
    until(f"{when} to be made", lambda: there(home)[when] or process.poll() is not None, 120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    cluster = Cluster(home, backend="docker")
    cluster.up()
    cluster.primary.connect().close()
    assert there(home) == {"containers": 1, "volumes": 1, "networks": 1}
    cluster.down()
    cluster.discard()
    assert there(home) == NONE


def test_an_image_that_is_not_to_be_had(home: Home) -> None:
    process = pglab(home, "up", "--backend", "docker", PGLAB_POSTGRES_IMAGE="pglab-none/none:0")
    told, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    last = told.strip().splitlines()[-1]
    assert last.startswith("pglab: The image pglab-none/none:0 is not here and could not be pulled (")
    assert "PGLAB_POSTGRES_IMAGE" in last and "--backend embedded" in last
    assert backend.read_note(home) == ""
    assert there(home) == NONE


def test_a_volume_that_somebody_removed_is_said(home: Home) -> None:
    from pglab.cluster.docker_engine import engine

    cluster = Cluster(home, backend="docker")
    cluster.up()
    cluster.down()
    for volume in engine().volumes(home):
        engine().remove_volume(volume)
    with pytest.raises(ClusterError, match=r"The volume \S+ of the primary is gone\. Run `make clean`"):
        Cluster(home).up()
    assert Path(home.root).exists()
