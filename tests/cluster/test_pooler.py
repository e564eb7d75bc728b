"""PgBouncer as a node: a student's configuration, thousands of clients, the console, and what can happen to it."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from pglab.cluster import Cluster, pgbouncer, ports
from pglab.cluster.pooler import Pooler
from pglab.cluster.process import is_alive, wait_until
from pglab.cluster.scram import scram_secret, scram_secrets
from pglab.errors import ClusterError, NotRunning
from pglab.home import Home, course_root
from tests.cluster import look

LIMIT_S = 60.0
CLIENTS, SERVERS = 1000, 5
APP, PASSWORD = "pooled", "not-so-secret"
INI = f"""\
[databases]
{APP} = dbname={APP}

[pgbouncer]
pool_mode = transaction
default_pool_size = {SERVERS}
max_client_conn = 2000
"""


@pytest.fixture(scope="module")
def users(cluster: Cluster) -> Iterator[dict[str, str]]:
    """A role with a database of its own; few iterations, so that a thousand logins take no minute."""
    role = sql.Identifier(APP)
    with cluster.primary.connect() as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, scram_secret(PASSWORD, 16)))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        yield scram_secrets(cluster.primary, APP)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(role))
        admin.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def pooler(cluster: Cluster, home: Home) -> Iterator[Pooler]:
    pooler = cluster.pooler("pooler")
    try:
        pooler.fetch()
    except ClusterError as error:
        pytest.skip(str(error))
    yield pooler
    pooler.stop()


@pytest.fixture
def running(cluster: Cluster, pooler: Pooler, users: dict[str, str]) -> Pooler:
    assert pooler.start(INI, users, cluster.primary) == []
    return pooler


def connect(pooler: Pooler, **more: object) -> psycopg.Connection[tuple[int]]:
    return psycopg.connect(
        **{**pooler.conninfo(APP, APP, PASSWORD), "autocommit": True, "connect_timeout": 10, **more}
    )


def ask(pooler: Pooler, **more: object) -> int:
    with connect(pooler, **more) as conn:
        row = conn.execute("SELECT 42").fetchone()
    assert row is not None
    return row[0]


# -- pooling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_clients_get_in_by_socket_and_by_port(running: Pooler, host: str | None) -> None:
    assert ask(running, **({"host": host} if host else {})) == 42


def test_a_thousand_clients_share_five_server_connections(
    cluster: Cluster, running: Pooler, tmp_path: Path
) -> None:
    script = tmp_path / "one.sql"
    script.write_text("SELECT 1;\n")
    bench = subprocess.Popen(
        [cluster.binaries["pgbench"], "-n", "-c", str(CLIENTS), "-j", "2", "-T", "5", "-f", str(script)]
        + ["-h", str(running.sockets), "-p", str(running.port), "-U", APP, APP],
        env={"PGPASSWORD": PASSWORD}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        seen = running.connections()

        def all_there() -> bool:
            nonlocal seen
            seen = running.connections()
            return seen.clients == CLIENTS and seen.servers > 0

        wait_until("all clients to be there", all_there, LIMIT_S)
        with cluster.primary.connect() as admin:
            row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [APP]).fetchone()
        told, _ = bench.communicate(timeout=LIMIT_S)
    finally:
        bench.kill()
    assert seen.servers <= SERVERS
    assert row is not None and 1 <= row[0] <= SERVERS  # what the server saw
    assert bench.returncode == 0, told
    assert "number of failed transactions: 0 " in told


def test_only_known_users_get_in_and_only_to_look(running: Pooler) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password|SASL"):
        ask(running, password="wrong")
    with pytest.raises(psycopg.OperationalError, match=r"password|SASL|no such user"):
        ask(running, user="nobody")
    with connect(running, dbname="pgbouncer") as console:
        assert console.execute("SHOW POOLS").fetchall()
        with pytest.raises(psycopg.Error, match="admin access needed"):
            console.execute("PAUSE")


@pytest.mark.embedded
def test_it_runs_as_the_servers_user(cluster: Cluster, running: Pooler) -> None:
    assert psutil.Process(running.pid).uids() == psutil.Process(cluster.primary.pid).uids()


def test_it_is_not_root_and_its_files_are_closed(running: Pooler) -> None:
    assert os.geteuid() != 0 or psutil.Process(running.pid).uids().effective != 0
    for path in (running.ini, running.data / "users.txt"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert PASSWORD not in path.read_text()
    assert stat.S_IMODE(running.data.stat().st_mode) == 0o700


def test_it_listens_on_loopback_alone(cluster: Cluster, running: Pooler) -> None:
    assert look.listens_on(cluster, running) == {"127.0.0.1"}


# -- configurations ---------------------------------------------------------------------------------------------------


def test_what_is_ours_is_left_out_and_said(
    cluster: Cluster, pooler: Pooler, users: dict[str, str], backend: str
) -> None:
    notes = pooler.start(INI + "listen_addr = *\nauth_type = trust\n", users, cluster.primary)
    assert notes == [
        "Line 8: listen_addr was left out, because the laboratory sets it",
        "Line 9: auth_type was left out, because the laboratory sets it",
    ]
    config = {row["key"]: row["value"] for row in pooler.rows("CONFIG")}
    assert (config["listen_addr"], config["default_pool_size"], config["max_client_conn"]) == (
        "127.0.0.1" if backend == "embedded" else "0.0.0.0",  # the container's own
        "5",
        "2000",
    )
    with pytest.raises(psycopg.OperationalError):
        ask(pooler, password="wrong")


def test_more_clients_than_open_files_are_said(
    cluster: Cluster, pooler: Pooler, users: dict[str, str]
) -> None:
    notes = pooler.start(INI.replace("2000", "90000000"), users, cluster.primary)
    assert len(notes) == 1
    assert re.match(r"max_client_conn = 90000000 needs \d+ open files, and this machine allows \d+", notes[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (INI.replace("= 5", "= lots"), r'invalid value "lots" for parameter default_pool_size in configuration \(line 6\)'),
        (INI.replace("transaction", "transactions"), r'invalid value "transactions" for parameter pool_mode .*\(line 5\)'),
        (INI + "pool_siz = 3\n", r"unknown parameter: pgbouncer/pool_siz.*\(line 8\)"),
        (INI.replace("[pgb", "hello\n[pgb"), r"syntax error in configuration \(line 4\)"),
        ("[pgbouncer]\npool_mode = session\n[databases]\nx = host=a port=b\n", r"invalid port: b; .*\(line 4\)"),
        ("[pools]\na = 1\n", r'invalid section "pools" in configuration \(line 1\)'),
    ],
)  # fmt: skip
def test_a_bad_one_is_said_in_its_own_words_and_leaves_nothing(
    cluster: Cluster, pooler: Pooler, users: dict[str, str], text: str, said: str
) -> None:
    with pytest.raises(ClusterError, match=f"^PgBouncer did not start: {said}.*Its log is [^\n]*$") as caught:
        pooler.start(text, users, cluster.primary)
    assert str(caught.value).count("\n") == 0
    assert not pooler.is_running()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(pooler.ini) in (p.info["cmdline"] or [])]
    with pytest.raises(NotRunning, match="pooler is stopped"):
        pooler.show("POOLS")


def test_one_that_never_answers_is_ended(
    cluster: Cluster, pooler: Pooler, users: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pglab.cluster.pooler.START_LIMIT_S", 0.3)
    monkeypatch.setattr(pooler, "_is_ready", lambda port, used: False)
    with pytest.raises(
        ClusterError, match=r"Waited 0\.3 s for the pooler to take clients; seen last: .*process up"
    ):
        pooler.start(INI, users, cluster.primary)
    assert not pooler.is_running()


def test_a_reload_keeps_clients_and_a_bad_one_keeps_the_old(
    cluster: Cluster, running: Pooler, users: dict[str, str]
) -> None:
    def pool_size() -> int:
        return next(int(row["pool_size"]) for row in running.rows("DATABASES") if row["name"] == APP)

    pid = running.pid
    with connect(running) as client:
        assert running.reload(INI.replace("= 5", "= 7") + "user = root\n", users, cluster.primary) == [
            "Line 8: user was left out, because the laboratory sets it"
        ]
        assert pool_size() == 7
        for bad in ("default_pool_size = 9\npool_mode = x\n", "hello\n"):
            with pytest.raises(
                ClusterError, match=r"did not take the configuration: .*\(line \d+\).*The one before"
            ):
                running.reload(INI + bad, users, cluster.primary)
            assert pool_size() == 7
        assert client.execute("SELECT 1").fetchone() == (1,)
    assert running.pid == pid
    assert ask(running) == 42


@pytest.mark.embedded
def test_without_the_program_the_remedy_is_told(
    cluster: Cluster, users: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGLAB_PGBOUNCER", "/nowhere/pgbouncer")
    with pytest.raises(ClusterError, match="PgBouncer is not installed"):
        cluster.pooler("none").start(INI, users)
    assert not cluster.pooler("none").is_made()


@pytest.mark.parametrize("name", ["pg", "", "../x", "Pooler"])
def test_names_that_cannot_be(cluster: Cluster, name: str) -> None:
    with pytest.raises(ClusterError, match="cannot be called"):
        cluster.pooler(name)


@pytest.mark.embedded
def test_a_name_too_long_for_a_socket(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="too long for a Unix socket"):
        cluster.pooler("x" * 80)


# -- the console ------------------------------------------------------------------------------------------------------


def test_it_shows_frames(running: Pooler) -> None:
    assert ask(running) == 42
    pools = running.show("POOLS").set_index("database")
    assert pools.loc[APP, "pool_mode"] == "transaction"
    assert int(pools.loc[APP, ["sv_active", "sv_idle", "sv_used"]].sum()) == 1
    for what, column in {
        "CLIENTS": "state",
        "SERVERS": "state",
        "STATS": "total_xact_count",
        "config": "key",
    }.items():
        assert column in running.show(what).columns
    with pytest.raises(ClusterError, match="SHOW NONSENSE failed"):
        running.show("NONSENSE")
    with pytest.raises(ClusterError, match="nothing that the console knows"):
        running.show("POOLS; SHUTDOWN")


def test_a_pause_holds_clients_until_resume(running: Pooler) -> None:
    with connect(running) as client:
        running.pause()
        got: list[int] = []
        asking = threading.Thread(target=lambda: got.append(client.execute("SELECT 42").fetchone()[0]))  # type: ignore[index]
        asking.start()
        wait_until("the client to wait", lambda: running.connections().cl_waiting == 1, LIMIT_S)
        assert running.connections().servers == 0
        assert got == []
        running.resume()
        asking.join(LIMIT_S)
        assert got == [42]


def test_a_pause_that_waits_too_long_is_given_up(running: Pooler) -> None:
    with connect(running, autocommit=False) as client:
        client.execute("SELECT 1")
        with pytest.raises(ClusterError, match=r"PAUSE waited 0\.3 s for transactions to end\. End them"):
            running.pause(limit_s=0.3)
        assert client.execute("SELECT 2").fetchone() == (2,)
    assert ask(running) == 42


def test_killed_clients_are_cut_off_until_resume(running: Pooler) -> None:
    with connect(running) as client:
        client.execute("SELECT 1")
        running.kill(APP)
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    running.resume(APP)
    assert ask(running) == 42
    with pytest.raises(ClusterError, match=r"KILL failed: .*no.such"):
        running.kill("no_such")


# -- stopped, killed, in the way --------------------------------------------------------------------------------------


def test_another_process_finds_and_stops_it(cluster: Cluster, running: Pooler) -> None:
    code = "from pglab.cluster import Cluster; p = Cluster().pooler(); print(p.pid, p.port, p.connections()); p.stop()"
    environment = {**os.environ, "PYTHONPATH": str(course_root())}
    pid, port = running.pid, running.port
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert told.stdout.startswith(f"{pid} {port} Connections(clients=0"), told.stderr
    assert not running.is_running()
    running.stop()  # a second time changes nothing
    states = {node["name"]: node["state"] for node in cluster.status()["nodes"]}
    assert states["pooler"] == "stopped"


def test_down_stops_poolers_too(own_home: Home, pooler: Pooler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGLAB_PGBOUNCER", str(pgbouncer.find(pooler.home)))
    cluster = Cluster(own_home)
    cluster.up()
    own = cluster.pooler()
    own.start(INI, {}, cluster.primary)
    steps: list[str] = []
    try:
        assert Cluster(own_home).down(steps.append)
        assert steps == ["stopping the pooler", "stopping the primary"]
        assert not own.is_running()
    finally:
        own.stop()


def test_killed_it_starts_again(
    cluster: Cluster, running: Pooler, users: dict[str, str], backend: str
) -> None:
    assert running.pid
    os.kill(running.pid, signal.SIGKILL)
    wait_until("the kernel to end it", lambda: not running.is_running(), LIMIT_S)
    if backend == "embedded":
        assert (running.sockets / "pgbouncer.pid").exists()
        (running.sockets / "pgbouncer.pid").write_text(
            f"{os.getpid()}\n"
        )  # its number is another program's by now
        assert not running.is_running()
    running.start(INI, users, cluster.primary)
    assert ask(running) == 42


def test_a_taken_port_is_stepped_over(
    cluster: Cluster, running: Pooler, users: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = running.port
    running.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", before))
        squatter.listen()
        running.start(INI, users, cluster.primary)
        assert running.port != before
        assert ask(running, host="127.0.0.1") == 42
        # And when it is taken between the look and the start.
        pick, offered = ports.pick, [before]
        monkeypatch.setattr(
            ports, "pick", lambda preferred=None, *, avoid: offered.pop() if offered else pick(avoid=avoid)
        )
        running.start(INI, users, cluster.primary)
        assert not offered
        assert running.port != before
        assert ask(running, host="127.0.0.1") == 42


def test_started_again_it_takes_the_new_configuration(
    cluster: Cluster, running: Pooler, users: dict[str, str]
) -> None:
    before = psutil.Process(running.pid)
    with connect(running):  # 1.23 and newer would wait for it to leave
        running.start(INI.replace("transaction", "session"), users, cluster.primary)
    assert not is_alive(before)
    assert {row["key"]: row["value"] for row in running.rows("CONFIG")}["pool_mode"] == "session"
