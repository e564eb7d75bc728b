"""`docker compose up`: a primary, a replica, PgBouncer and JupyterLab, and nothing of them after `down`."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

from pglab.home import course_root
from tests.docker.conftest import PROJECT, Compose, commands, until

ROOT = course_root()
FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
LABS = sorted(path.name for path in (ROOT / "solutions").iterdir() if (path / "lab.toml").exists())
TOGETHER = ("primary", "replica", "pooler", "lab")


# -- what can be said without an engine -------------------------------------------------------------------------------


def test_no_secret_stands_in_the_files() -> None:
    given = [pair for service in FILE["services"].values() for pair in service.get("environment", {}).items()]
    given += re.findall(r"(?m)^(\w+)=(.*)$", (ROOT / ".env").read_text())
    telling = {name: value for name, value in given if re.search("PASSWORD|SECRET|TOKEN|KEY", name)}
    assert telling == {"POSTGRES_PASSWORD_FILE": "/run/pglab/admin"}


def test_all_ports_are_of_127_0_0_1_unless_asked() -> None:
    ports = [port for service in FILE["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert all(port.startswith("${PGLAB_BIND:-127.0.0.1}:") for port in ports)


def test_env_says_every_setting_that_the_file_asks_for() -> None:
    asked = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    said = dict(re.findall(r"(?m)^(\w+)=(.*)$", (ROOT / ".env").read_text()))
    assert set(said) == set(asked)
    assert {name: value for name, value in asked.items() if name != "PGLAB_STUDENTS"} == {
        name: value for name, value in said.items() if name != "PGLAB_STUDENTS"
    }


def test_every_service_has_a_health_check_but_the_one_that_ends() -> None:
    assert {name for name, service in FILE["services"].items() if "healthcheck" not in service} == {"secrets"}


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_it_is_valid_for_each_compose(command: list[str]) -> None:
    subprocess.run([*command, "--profile", "class", "config", "-q"], cwd=ROOT, check=True, timeout=60)


# -- up ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def up(compose: Compose) -> Iterator[Compose]:
    compose("up", "-d", *TOGETHER)
    until("JupyterLab's address", lambda: address(compose))
    yield compose
    compose("rm", "--stop", "--force", *TOGETHER)


def address(compose: Compose) -> str:
    found = re.findall(r"pglab: open (http\S+)", compose("logs", "lab"))
    return str(found[-1]) if found else ""


def password(compose: Compose) -> str:
    return compose.run("primary", "cat", "/run/pglab/admin").strip()


def connect(compose: Compose, port: int) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host="127.0.0.1", port=port, user="pglab_admin", dbname="postgres", password=password(compose), autocommit=True,
        prepare_threshold=None,
    )  # fmt: skip


@pytest.mark.docker
@pytest.mark.slow
def test_the_printed_address_opens_lab_10(up: Compose) -> None:
    url = address(up)
    assert url.startswith(f"http://127.0.0.1:{up.port}/lab/tree/notebooks/10-missing-index/")
    with urllib.request.urlopen(url, timeout=30) as page:
        assert page.status == 200
    up.run("lab", "test", "-f", "/course/notebooks/10-missing-index/10-missing-index.ipynb")


@pytest.mark.docker
@pytest.mark.slow
def test_all_become_healthy(up: Compose) -> None:
    until("all to be healthy", lambda: all(up.health(service) == "healthy" for service in TOGETHER), 120)


@pytest.mark.docker
@pytest.mark.slow
def test_the_replica_streams_and_the_pooler_serves(up: Compose) -> None:
    _, primary, replica, pooler, _ = up.ports
    with connect(up, primary) as admin:
        admin.execute("DROP TABLE IF EXISTS note")
        admin.execute("CREATE TABLE note AS SELECT 42 AS answer")
    with connect(up, pooler) as client:
        assert client.execute("SELECT answer FROM note").fetchone() == (42,)
    with connect(up, replica) as reader:
        streams = "SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        assert reader.execute(streams).fetchone() == (True,)
        there = "SELECT to_regclass('note') IS NOT NULL"
        until("the row on the replica", lambda: reader.execute(there).fetchone() == (True,), 30)


@pytest.mark.docker
@pytest.mark.slow
def test_nobody_gets_in_without_the_password(up: Compose) -> None:
    for port in up.ports[1:4]:
        with pytest.raises(psycopg.OperationalError, match=r"password|SASL"):
            psycopg.connect(
                host="127.0.0.1", port=port, user="pglab_admin", dbname="postgres", password="wrong"
            )


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("lab", LABS)
def test_a_labs_solution_earns_full_points_inside(up: Compose, lab: str) -> None:
    told = up.run("lab", "python", "-m", "grader.trial", lab, "release", "solution", limit_s=590)
    assert re.findall(r"(?m)^(ok|MISS) +(\w+)", told) == [("ok", "release"), ("ok", "solution")], told


@pytest.mark.docker
@pytest.mark.slow
def test_the_data_survives_down_and_up_and_goes_with_its_volumes(up: Compose) -> None:
    with connect(up, up.ports[1]) as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS seven")
    up("down")
    assert left("container") == left("network") == ""
    up("up", "-d", *TOGETHER)
    until("all to be healthy", lambda: all(up.health(service) == "healthy" for service in TOGETHER))
    with connect(up, up.ports[1]) as admin:
        assert admin.execute("SELECT seven FROM kept").fetchone() == (7,)
    up("down", "--volumes")
    assert left("container") == left("network") == left("volume") == ""


def left(kind: str) -> str:
    """What is there of this project: ids of containers, networks or volumes."""
    command = ["docker", kind, "ls", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}"]
    return subprocess.run(
        [*command, *(["-a"] if kind == "container" else [])], capture_output=True, text=True
    ).stdout


def test_the_image_has_no_secret_and_nothing_of_a_learners() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".env", ".git", ".venv", "notebooks", "gradebook.db", "submitted"} <= set(ignored)
    assert Path(ROOT / "docker" / "Dockerfile").exists()
