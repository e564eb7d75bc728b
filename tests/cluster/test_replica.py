"""A replica really lags, holds back, catches up, and comes back after all that can happen to it and to its primary."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pglab.cluster import Cluster, Node, standby
from pglab.cluster.process import wait_until
from pglab.cluster.replica import Replica
from pglab.errors import ClusterError, DiskFull, NotRunning
from pglab.home import Home, course_root
from tests.cluster import look

LIMIT_S = 60.0  # generous: the machine may be busy


@pytest.fixture(scope="module")
def own_cluster(backend: str) -> Iterator[Cluster]:
    """A primary of this module's own."""
    folder = Path(tempfile.mkdtemp(prefix="pglab-replica-", dir="/tmp"))
    folder.chmod(0o711)
    cluster = Cluster(Home(folder))
    cluster.up()
    with cluster.primary.connect() as admin:
        admin.execute("CREATE TABLE note (number int)")
    yield cluster
    for node in reversed(cluster.nodes):
        node.stop()
    cluster.down()
    cluster.discard()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(own_cluster: Cluster) -> Cluster:
    own_cluster.up()
    return own_cluster


@pytest.fixture
def replica(cluster: Cluster) -> Replica:
    """A replica that runs and is up to date, with no delay and no pause."""
    replica = cluster.add_replica("replica")
    replica.resume()
    replica.set_apply_delay(0)
    replica.wait_for_catchup(limit_s=LIMIT_S)
    return replica


@pytest.fixture
def spare(cluster: Cluster) -> Replica:
    """One that a test may break. The next test gets it as it is left, if it still follows: copying takes seconds."""
    spare = cluster.replica("spare")
    try:
        spare.up()
    except ClusterError:
        spare.remake()
    if not spare.is_standby():
        spare.remake()
    return spare


def write(cluster: Cluster, number: int) -> str:
    """Insert a note; where the WAL is then."""
    with cluster.primary.connect() as admin:
        admin.execute("INSERT INTO note VALUES (%s)", [number])
    return cluster.primary.lsn()


def shows(replica: Replica, number: int) -> bool:
    with replica.connect() as reader:
        return reader.execute("SELECT FROM note WHERE number = %s", [number]).fetchone() is not None


def slots(cluster: Cluster) -> list[str]:
    with cluster.primary.connect() as admin:
        return [
            row[0]
            for row in admin.execute("SELECT slot_name FROM pg_replication_slots ORDER BY 1").fetchall()
        ]


def setting(replica: Replica, name: str) -> str:
    with replica.connect() as admin:
        row = admin.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def python(cluster: Cluster, code: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PGLAB_HOME": str(cluster.home.root), "PYTHONPATH": str(course_root())}
    return subprocess.Popen(
        [sys.executable, "-c", f"from pglab.cluster import Cluster; c = Cluster(); {code}"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


# -- following --------------------------------------------------------------------------------------------------------


def test_it_shows_what_the_primary_wrote_and_takes_no_writes(cluster: Cluster, replica: Replica) -> None:
    replica.wait_for_catchup(write(cluster, 1), LIMIT_S)
    assert shows(replica, 1)
    assert replica.lag_bytes() == 0
    assert replica.lag_ms() == 0
    with replica.connect() as reader, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute("INSERT INTO note VALUES (-1)")


@pytest.mark.parametrize("delay_ms", [300, 700])
def test_it_lags_by_at_least_the_delay(cluster: Cluster, replica: Replica, delay_ms: int) -> None:
    replica.set_apply_delay(delay_ms)
    began = time.monotonic()
    lsn = write(cluster, delay_ms)
    assert not shows(replica, delay_ms) or time.monotonic() - began >= delay_ms / 1000
    replica.wait_for_catchup(lsn, LIMIT_S)
    took = time.monotonic() - began
    assert shows(replica, delay_ms)
    assert delay_ms / 1000 <= took < LIMIT_S


def test_the_lag_can_be_read_and_the_delay_outlives_a_restart(cluster: Cluster, replica: Replica) -> None:
    replica.set_apply_delay(3_600_000)
    lsn = write(cluster, 3)
    wait_until("the commit to be received", lambda: replica.lag_bytes() > 0, LIMIT_S)
    before = replica.lag_ms()
    assert before > 0
    replica.restart()
    assert setting(replica, "recovery_min_apply_delay") == "1h"
    with pytest.raises(
        ClusterError, match=r"to show 0/\w+; it is at 0/\w+ with an apply delay of 3600000 ms"
    ):
        replica.wait_for_catchup(lsn, 0.2)
    assert replica.lag_ms() > before
    assert not shows(replica, 3)
    replica.set_apply_delay(0)
    replica.wait_for_catchup(lsn, LIMIT_S)
    assert shows(replica, 3)
    assert replica.lag_ms() == 0


@pytest.mark.parametrize("end", ["resume", "restart"])
def test_a_pause_holds_rows_back(cluster: Cluster, replica: Replica, end: str) -> None:
    number = 40 + len(end)
    replica.pause()
    at = replica.replay_lsn()
    lsn = write(cluster, number)
    with pytest.raises(ClusterError, match="its replay is paused: resume"):
        replica.wait_for_catchup(lsn, 0.3)
    assert not shows(replica, number)
    assert replica.replay_lsn() == at
    getattr(replica, end)()
    replica.wait_for_catchup(lsn, LIMIT_S)
    assert shows(replica, number)


def test_a_pause_while_a_commit_is_held_back_by_the_delay(cluster: Cluster, replica: Replica) -> None:
    replica.set_apply_delay(500)
    write(cluster, 50)
    replica.pause()
    replica.set_apply_delay(0)  # ends the delay at once, and the pause holds
    with pytest.raises(ClusterError, match="paused"):
        replica.wait_for_catchup(limit_s=1)
    assert not shows(replica, 50)
    replica.resume()
    replica.wait_for_catchup(limit_s=LIMIT_S)
    assert shows(replica, 50)


# -- stopped, killed, alone -------------------------------------------------------------------------------------------


def stop(replica: Replica) -> None:
    replica.stop()


def kill(replica: Replica) -> None:
    assert replica.pid
    os.kill(replica.pid, signal.SIGKILL)
    wait_until("the kernel to end it", lambda: not replica.is_running(), LIMIT_S)


@pytest.mark.parametrize("end", [stop, kill])
def test_it_catches_up_after_it_was_away(
    cluster: Cluster, replica: Replica, end: Callable[[Replica], None]
) -> None:
    number = 60 + (end is kill)
    end(replica)
    with pytest.raises(NotRunning, match="replica is stopped"):
        replica.replay_lsn()
    lsn = write(cluster, number)
    replica.start()
    replica.wait_for_catchup(lsn, LIMIT_S)
    assert shows(replica, number)


def test_a_stop_while_somebody_waits_is_said(cluster: Cluster, replica: Replica) -> None:
    replica.pause()
    lsn = write(cluster, 70)
    other = python(cluster, f"c.replica().wait_for_catchup({lsn!r}, 60)")
    with replica.connect() as admin:
        asks = (
            "SELECT FROM pg_stat_activity WHERE query LIKE '%%replay_lsn() >= %%' AND pid <> pg_backend_pid()"
        )
        wait_until("the other process to wait", lambda: admin.execute(asks).fetchone() is not None, LIMIT_S)
    replica.stop()
    told, _ = other.communicate(timeout=LIMIT_S)
    assert "stopped" in told.splitlines()[-1]


def test_it_reads_on_without_a_primary_and_follows_it_to_another_port(
    cluster: Cluster, replica: Replica
) -> None:
    port = cluster.primary.port
    replica.wait_for_catchup(write(cluster, 80), LIMIT_S)
    cluster.primary.stop()
    assert shows(replica, 80)
    assert replica.lag_bytes() == 0
    replica.restart()
    assert shows(replica, 80)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        cluster.up()
        assert cluster.primary.port not in (port, replica.port)
        replica.wait_for_catchup(write(cluster, 81), LIMIT_S)
    assert shows(replica, 81)


def test_it_allows_as_many_connections_as_the_primary(cluster: Cluster, replica: Replica) -> None:
    cluster.primary.append_conf({"max_connections": "150"})
    cluster.primary.stop()
    cluster.up()
    assert setting(replica, "max_connections") == "150"
    replica.wait_for_catchup(write(cluster, 90), LIMIT_S)
    # And the other way round: stopped meanwhile.
    replica.stop()
    cluster.primary.append_conf({"max_connections": "160", "max_worker_processes": "12"})
    cluster.primary.stop()
    cluster.up()
    assert (setting(replica, "max_connections"), setting(replica, "max_worker_processes")) == ("160", "12")
    replica.wait_for_catchup(write(cluster, 91), LIMIT_S)


def test_too_far_behind_is_said_and_remade(cluster: Cluster, spare: Replica) -> None:
    with cluster.primary.connect() as admin:
        assert admin.execute("SHOW max_slot_wal_keep_size").fetchone() == ("2GB",)
        spare.stop()
        admin.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        admin.execute("SELECT pg_reload_conf()")
        for _ in range(3):
            write(cluster, 100)
            admin.execute("SELECT pg_switch_wal()")
        others = "SELECT FROM pg_replication_slots WHERE active AND restart_lsn < pg_current_wal_lsn()"
        wait_until("the others to get all", lambda: admin.execute(others).fetchone() is None, LIMIT_S)
        admin.execute("CHECKPOINT")
        wait_until("the slot to be lost", spare.is_lost, LIMIT_S)
        with pytest.raises(ClusterError, match=r'too far behind.*cluster.replica\("spare"\).remake\(\)'):
            spare.start()
        steps: list[str] = []
        cluster.up(steps.append)  # the primary and the others go on
        assert any("too far behind" in step for step in steps)
        with pytest.raises(ClusterError, match="removed the WAL that it needs: remake"):
            spare.wait_for_catchup(limit_s=0.2)
        admin.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        admin.execute("SELECT pg_reload_conf()")
    spare.remake()
    spare.wait_for_catchup(write(cluster, 101), LIMIT_S)
    assert shows(spare, 100) and shows(spare, 101)


def test_a_primary_that_refuses_it_is_said(cluster: Cluster, replica: Replica) -> None:
    with cluster.primary.connect() as admin:
        admin.execute("ALTER ROLE pglab_replication NOLOGIN")
        try:
            replica.restart()
            lsn = write(cluster, 102)
            with pytest.raises(ClusterError, match=r"receives nothing from the primary\. Its log is"):
                replica.wait_for_catchup(lsn, 0.3)
        finally:
            admin.execute("ALTER ROLE pglab_replication LOGIN")
    replica.wait_for_catchup(lsn, LIMIT_S)


# -- made, promoted, removed ------------------------------------------------------------------------------------------


def test_removed_without_a_primary_its_slot_goes_later(cluster: Cluster, spare: Replica) -> None:
    cluster.primary.stop()
    spare.remove()
    cluster.up()
    assert spare.slot not in slots(cluster)


def test_killed_while_it_was_made_it_is_made_anew(cluster: Cluster) -> None:
    spare = cluster.replica("spare")
    spare.remove()
    other = python(cluster, "c.add_replica('spare')")
    wait_until("the copy to begin", lambda: bool(look.half_made(cluster, "spare")), LIMIT_S)
    other.kill()
    other.communicate()
    assert not spare.is_made()
    spare.up()
    pid = spare.pid
    assert cluster.add_replica("spare").pid == pid  # a second time changes nothing
    spare.wait_for_catchup(write(cluster, 120), LIMIT_S)
    assert look.half_made(cluster, "spare") == []


def test_removed_it_leaves_nothing(cluster: Cluster, spare: Replica) -> None:
    assert spare.slot in slots(cluster)
    spare.remove()
    spare.remove()
    assert spare.slot not in slots(cluster)
    assert not spare.is_made()
    assert spare.name not in [node.name for node in cluster.nodes]
    with pytest.raises(NotRunning):
        spare.replay_lsn()


def test_promoted_it_takes_writes_and_leaves_no_slot(cluster: Cluster, spare: Replica) -> None:
    spare.wait_for_catchup(write(cluster, 110), LIMIT_S)
    assert spare.slot in slots(cluster)
    spare.promote()
    assert spare.slot not in slots(cluster)
    with spare.connect() as admin:
        admin.execute("INSERT INTO note VALUES (111)")
    spare.restart()
    assert shows(spare, 111) and not spare.is_standby()
    with pytest.raises(ClusterError, match=r"follows nobody since it was promoted.*remake"):
        spare.pause()
    with cluster.primary.connect() as admin:
        assert admin.execute("SELECT FROM note WHERE number = 111").fetchone() is None


def test_no_room_is_said_before_anything_is_written(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.replica("spare").remove()
    monkeypatch.setattr(Node, "free_bytes", lambda node: 60 * 2**20)
    with pytest.raises(DiskFull, match=r"has 60 MB free, and a replica needs \d+ MB"):
        cluster.add_replica("spare")
    assert not cluster.replica("spare").is_made()
    assert "pglab_spare" not in slots(cluster)


def test_a_copy_that_fails_says_why_and_leaves_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.replica("spare").remove()
    monkeypatch.setattr(standby, "ROLE", "nobody")
    monkeypatch.setattr(standby, "make_role", lambda admin, password: None)
    with pytest.raises(
        ClusterError, match=r'spare could not be made: .*authentication failed for user "nobody"'
    ):
        cluster.add_replica("spare")
    assert "pglab_spare" not in slots(cluster)
    assert not list(cluster.home.root.glob("spare*"))


@pytest.mark.parametrize("name", ["primary", "", "../x", "Replica", "x" * 31])
def test_names_that_cannot_be(cluster: Cluster, name: str) -> None:
    with pytest.raises(ClusterError, match="cannot be called"):
        cluster.replica(name)


# -- in the cluster ---------------------------------------------------------------------------------------------------


def test_no_password_is_to_be_seen(cluster: Cluster, replica: Replica) -> None:
    secret = cluster.home.secrets()["replication"]
    assert secret not in look.told_of(replica)
    assert secret not in setting(replica, "primary_conninfo")
    with cluster.primary.connect() as admin:
        admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        told = admin.execute(
            "SELECT query FROM pg_stat_statements WHERE query ILIKE '%pglab_replication%'"
        ).fetchall()
    assert told and not any(secret in query for (query,) in told)
    assert setting(replica, "hot_standby_feedback") == "on"


@pytest.mark.embedded
def test_its_files_are_closed_to_other_users(replica: Replica) -> None:
    assert stat.S_IMODE((replica.data / "passfile").stat().st_mode) == 0o600
    assert stat.S_IMODE(replica.data.stat().st_mode) == 0o700


def test_another_process_finds_it_and_down_stops_it(cluster: Cluster, replica: Replica) -> None:
    seen, _ = python(
        cluster, "print(c.replica().pid, [n['name'] for n in c.status()['nodes']])"
    ).communicate()
    assert seen.strip() == f"{replica.pid} ['primary', 'replica']"
    told, _ = python(cluster, "c.down(print)").communicate()
    assert told.splitlines() == ["stopping the replica", "stopping the primary"]
    assert not replica.is_running() and not cluster.primary.is_running()
    with pytest.raises(NotRunning, match="pglab up"):
        cluster.replica("spare").up()
    steps: list[str] = []
    cluster.up(steps.append)
    assert steps == ["starting the primary", "starting the replica"]
    replica.wait_for_catchup(write(cluster, 130), LIMIT_S)


def test_down_goes_on_when_a_replica_fails_to_stop(
    cluster: Cluster, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(mode: str = "fast") -> None:
        raise ClusterError("It will not")

    monkeypatch.setattr(replica, "stop", fails)
    with pytest.raises(ClusterError, match="It will not"):
        cluster.down()
    assert not cluster.primary.is_running()
    assert replica.is_running()
