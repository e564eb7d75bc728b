"""A cluster comes up, and comes up again after all that can happen to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pglab.cluster import Cluster
from pglab.cluster.process import orphans, postmaster, wait_until
from pglab.errors import ClusterError, DiskFull, NotRunning
from pglab.home import LONGEST_HOME, Home, course_root
from tests.cluster import look

UP = "from pglab.cluster import Cluster; Cluster().up(print)"


def setting(cluster: Cluster, name: str) -> str:
    with cluster.primary.connect() as admin:
        row = admin.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def write_note(cluster: Cluster) -> None:
    with cluster.primary.connect() as admin:
        admin.execute("CREATE TABLE note AS SELECT 42 AS answer")


def read_note(cluster: Cluster) -> int:
    with cluster.primary.connect() as admin:
        row = admin.execute("SELECT answer FROM note").fetchone()
    assert row is not None
    return int(row[0])


# -- the shared cluster ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on"), ("data_checksums", "on"), ("track_io_timing", "on"),
     ("pg_stat_statements.track", "all"), ("password_encryption", "scram-sha-256"), ("wal_level", "replica")],
)  # fmt: skip
def test_settings_are_a_production_servers(cluster: Cluster, name: str, value: str) -> None:
    assert setting(cluster, name) == value


def test_auto_explain_is_loaded(cluster: Cluster) -> None:
    assert setting(cluster, "auto_explain.log_min_duration") == "-1"


def test_nobody_gets_in_without_the_password(cluster: Cluster) -> None:
    for host in (cluster.primary.conninfo()["host"], "127.0.0.1"):
        for password in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match=r"password"):
                psycopg.connect(
                    host=host,
                    port=cluster.primary.port,
                    user="pglab_admin",
                    dbname="postgres",
                    password=password,
                )


def test_it_listens_on_loopback_alone(cluster: Cluster) -> None:
    addresses = look.listens_on(cluster, cluster.primary)
    assert addresses and addresses <= {"127.0.0.1", "::1"}


def test_secrets_are_closed_to_other_users(cluster: Cluster, home: Home) -> None:
    home.secrets()
    assert stat.S_IMODE((home.root / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.root.stat().st_mode) & 0o066 == 0


@pytest.mark.embedded
def test_data_is_closed_to_other_users(cluster: Cluster) -> None:
    assert stat.S_IMODE(cluster.primary.data.stat().st_mode) == 0o700
    assert stat.S_IMODE(cluster.primary.sockets.stat().st_mode) & 0o066 == 0


def test_a_second_up_changes_nothing(cluster: Cluster) -> None:
    pid = cluster.primary.pid
    cluster.up()
    assert cluster.primary.pid == pid


# -- one of its own, to break -----------------------------------------------------------------------------------------


@pytest.fixture
def own(own_home: Home) -> Cluster:
    cluster = Cluster(own_home)
    cluster.up()
    return cluster


def test_down_and_up_keep_the_data(own: Cluster) -> None:
    write_note(own)
    assert own.down() is True
    assert own.down() is False
    with pytest.raises(NotRunning, match=r"pglab up"):
        own.require_running()
    own.up()
    assert read_note(own) == 42


def test_a_killed_postmaster_is_recovered_from(own: Cluster, own_home: Home) -> None:
    write_note(own)
    assert own.primary.pid
    os.kill(own.primary.pid, signal.SIGKILL)
    Cluster(own_home).up()  # at once, while its children still end
    assert read_note(own) == 42
    assert look.left_over(own.primary) == []


def test_a_power_cut_is_recovered_from(own: Cluster) -> None:
    write_note(own)
    own.primary.stop("immediate")
    own.up()
    assert read_note(own) == 42


@pytest.mark.embedded
def test_a_pid_file_with_another_programs_number_is_no_postmaster(own: Cluster) -> None:
    own.down()
    pid_file = own.primary.data / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{own.primary.data}\n1700000000\n1\n\n\n\nready\n")
    assert postmaster(own.primary.data) is None
    own.up()
    assert own.primary.is_running()


def test_a_taken_port_is_stepped_over(own: Cluster) -> None:
    own.down()
    before = own.primary.port
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", before))
        squatter.listen()
        own.up()
        assert own.primary.port != before
        own.primary.connect().close()


def test_two_ups_at_the_same_moment_make_one_cluster(own_home: Home) -> None:
    environment = {**os.environ, "PGLAB_HOME": str(own_home.root), "PYTHONPATH": str(course_root())}
    both = [
        subprocess.Popen([sys.executable, "-c", UP], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("making" in text for text in told) == 1
    assert Cluster(own_home).primary.is_running()


def test_an_up_that_was_killed_leaves_nothing_half_made(own_home: Home) -> None:
    environment = {**os.environ, "PGLAB_HOME": str(own_home.root), "PYTHONPATH": str(course_root())}
    first = subprocess.Popen([sys.executable, "-c", UP], env=environment, stdout=subprocess.DEVNULL)
    cluster = Cluster(own_home)
    wait_until("initdb to begin", lambda: bool(look.half_made(cluster, "primary")), 60)
    first.kill()
    first.wait()
    assert not cluster.primary.is_made()
    cluster.up()
    cluster.primary.connect().close()
    assert look.half_made(cluster, "primary") == []


def test_data_of_another_major_version_is_left_alone(own: Cluster) -> None:
    write_note(own)
    own.down()
    own.primary.runner.write("PG_VERSION", "14\n")
    with pytest.raises(
        ClusterError, match=r"was made by Postgres 14, and this is Postgres \d+\. Set PGLAB_\w+"
    ):
        own.up()
    own.primary.runner.write("PG_VERSION", f"{own.primary.major}\n")
    own.up()
    assert read_note(own) == 42


def test_broken_settings_are_said_with_the_servers_own_words(own: Cluster) -> None:
    own.down()
    own.primary.append_conf({"max_connections": "many"})
    with pytest.raises(ClusterError, match=r"max_connections"):
        own.up()


# -- places where no cluster can be ------------------------------------------------------------------------------------


def test_a_home_too_long_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"too long for a Unix socket.*Set PGLAB_HOME"):
        Cluster(Home(tmp_path / ("x" * LONGEST_HOME))).up()


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClusterError, match=r"cannot be written.*Set PGLAB_HOME"):
        Cluster(Home(Path("/proc/pglab"))).up()


@pytest.mark.embedded
@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")
def test_as_root_a_home_that_the_servers_cannot_reach(own_home: Home) -> None:
    closed = own_home.root / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ClusterError, match=r"closed to other users.*PGLAB_HOME"):
        Cluster(Home(closed / "home")).up()


@pytest.fixture
def small_disk(own_home: Home) -> Iterator[Path]:
    """A file system of 450 MB."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    folder = own_home.root / "disk"
    folder.mkdir(mode=0o711, parents=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=450m,mode=711", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    server = postmaster(folder / "home" / "primary")
    if server is not None:
        server.kill()
        wait_until("the server to end", lambda: not orphans(folder / "home" / "primary"), 30)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, keep_mb: int) -> Path:
    free = shutil.disk_usage(folder).free
    path = folder / "ballast"
    with path.open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free - keep_mb * 2**20)
    return path


@pytest.mark.embedded
def test_too_small_a_disk_is_said_before_anything_is_written(small_disk: Path) -> None:
    fill(small_disk, 300)
    cluster = Cluster(Home(small_disk / "home"))
    with pytest.raises(
        DiskFull, match=r"has \d+ MB free, and a cluster needs \d+ MB. Free some space, or set PGLAB_HOME"
    ):
        cluster.up()
    assert not cluster.primary.data.exists()


@pytest.mark.embedded
def test_a_disk_that_fills_up_loses_nothing(small_disk: Path) -> None:
    cluster = Cluster(Home(small_disk / "home"))
    cluster.up()
    write_note(cluster)
    cluster.primary.stop("immediate")
    ballast = fill(small_disk, 0)
    with pytest.raises(DiskFull, match=r"is full \(0 MB free\).*Free some space"):
        cluster.up()
    ballast.unlink()
    cluster.up()
    assert read_note(cluster) == 42
