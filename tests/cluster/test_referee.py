"""The referee with a real database: who may do what, and what is nobody's failure."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import psycopg
import pytest

from grader.referee import RefereeProcess
from grader.session import Session
from pglab import clones, wire
from pglab.cluster import Cluster
from pglab.cluster.process import wait_until
from pglab.errors import DiskFull, LabError, NotRunning, RefereeError

LAB = "10-missing-index"


@pytest.fixture
def session(seeded: Cluster) -> Iterator[Session]:
    session = Session(seeded, "alice", graded=True)
    session.start(LAB)
    yield session
    session.close()


@pytest.fixture
def student(session: Session) -> Iterator[psycopg.Connection[Any]]:
    assert session.db
    with psycopg.connect(**session.db.conninfo(), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def watched(seeded: Cluster) -> Iterator[Session]:
    """A session that no test changes."""
    session = Session(seeded, "wendy", graded=True)
    session.start(LAB)
    yield session
    session.close()


@pytest.fixture
def role(watched: Session) -> Iterator[psycopg.Connection[Any]]:
    """Its student's connection."""
    assert watched.db
    with psycopg.connect(**watched.db.conninfo(), autocommit=True) as connection:
        yield connection


def target(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    return next(t for t in verdict["targets"] if t["name"] == name)


# -- what the student's role may do ------------------------------------------------------------------------------------


def test_the_student_owns_what_is_in_the_database_and_is_no_superuser(role: psycopg.Connection[Any]) -> None:
    row = role.execute(
        "SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls, d.datdba = r.oid, "
        "(SELECT bool_and(tableowner = current_user) FROM pg_tables WHERE schemaname = 'public') "
        "FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()"
    ).fetchone()
    assert row == (False, False, True)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM pglab.facts", "DELETE FROM pglab.ddl_log", "DROP SCHEMA pglab CASCADE", "DROP EVENT TRIGGER pglab_log_ddl",
        "ALTER EVENT TRIGGER pglab_log_ddl DISABLE", "SET session_replication_role = replica", "SELECT pg_stat_statements_reset()",
        "SET ROLE pglab_admin", "SET SESSION AUTHORIZATION pglab_admin", "COPY order_items TO PROGRAM 'cat'", "COPY order_items TO '/tmp/x'",
        "SELECT pg_read_file('PG_VERSION')", "CREATE ROLE friend", "CREATE DATABASE friend", "ALTER SYSTEM SET fsync = off",
        "CREATE OR REPLACE FUNCTION pglab.log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'", "SELECT pg_stat_reset()",
        "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
        "DROP EXTENSION pg_stat_statements", "SELECT passwd FROM pg_shadow",
    ],
)  # fmt: skip
def test_the_student_cannot(role: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)):
        role.execute(statement.encode())


def test_the_student_cannot_touch_the_judge(watched: Session, role: psycopg.Connection[Any]) -> None:
    assert watched.db
    for verb in (
        f"ALTER ROLE {watched.db.judge_role} PASSWORD 'x'",
        f"DROP ROLE {watched.db.judge_role}",
        f"SET ROLE {watched.db.judge_role}",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            role.execute(verb.encode())
    with watched.db.judge() as judge, pytest.raises(psycopg.errors.InsufficientPrivilege):
        role.execute("SELECT pg_terminate_backend(%s)", [judge.info.backend_pid])


def test_the_student_sees_no_other_database(watched: Session) -> None:
    assert watched.db
    for other in (watched.db.template, "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match=r"permission denied"):
            psycopg.connect(**{**watched.db.conninfo(), "dbname": other})


def test_settings_of_the_student_do_not_reach_the_judge(
    session: Session, student: psycopg.Connection[Any]
) -> None:
    assert session.db
    student.execute(f"ALTER ROLE {session.db.name} SET enable_seqscan = off".encode())
    student.execute(f"ALTER ROLE {session.db.name} SET search_path = nowhere".encode())
    for setting in ("enable_seqscan = off", "search_path = nowhere", "statement_timeout = 1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            student.execute(f"ALTER DATABASE {session.db.name} SET {setting}".encode())
    with session.db.judge() as judge:
        assert judge.execute(
            "SELECT current_setting('enable_seqscan'), current_setting('search_path')"
        ).fetchone() == ("on", "public")


def test_what_the_student_defines_runs_with_the_students_rights(
    session: Session, student: psycopg.Connection[Any]
) -> None:
    """A view in place of a table, with a function that tries to become superuser."""
    student.execute(
        "CREATE FUNCTION climb() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN "
        "EXECUTE 'ALTER ROLE ' || quote_ident(current_database()) || ' SUPERUSER'; RETURN 1; END $$"
    )
    student.execute("ALTER TABLE order_items RENAME TO kept")
    student.execute("CREATE VIEW order_items AS SELECT * FROM kept WHERE climb() = 1")
    session.check("fix", None)
    session.check("safe", None)
    assert student.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (
        False,
    )


# -- the log of DDL ------------------------------------------------------------------------------------------------------


def test_a_build_with_the_lock_is_seen_and_one_without_it_is_not(
    session: Session, student: psycopg.Connection[Any]
) -> None:
    student.execute("CREATE INDEX CONCURRENTLY one ON order_items (order_id)")
    assert target(session.check("safe", None), "DDL that stopped writers")["status"] == "pass"
    student.execute("/* CONCURRENTLY */ CREATE INDEX two ON order_items (order_id)")
    seen = target(session.check("safe", None), "DDL that stopped writers")
    assert seen["status"] == "fail"
    assert "ShareLock on order_items" in seen["measured"]


def test_a_build_in_a_transaction_or_a_function_is_seen_too(
    session: Session, student: psycopg.Connection[Any]
) -> None:
    student.execute("CREATE INDEX CONCURRENTLY one ON order_items (order_id)")
    student.execute(
        "DO $$ BEGIN EXECUTE 'CREATE INDEX two ON order_items (order_id)'; DROP INDEX two; END $$"
    )
    assert target(session.check("safe", None), "DDL that stopped writers")["status"] == "fail"


# -- what is nobody's failure --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("graded", "status"), [(False, "error"), (True, "fail")])
def test_a_lock_that_the_student_holds(
    session: Session, student: psycopg.Connection[Any], graded: bool, status: str
) -> None:
    """At home it is said and not counted; in class nobody else is in the database."""
    session.graded = graded
    with student.transaction():
        student.execute("LOCK TABLE order_items")
        verdict = session.check("fix", None)
    session.graded = True
    assert verdict["status"] == status
    assert ("holds a lock" in verdict["message"]) != graded
    assert target(session.check("fix", None), "kind of order_items")["status"] == "pass"


def test_a_stopped_server_is_an_error_and_comes_back(own_home: Any) -> None:
    from pglab.dataset import Dataset, seed

    cluster = Cluster(own_home)
    cluster.up()
    seed(cluster, Dataset.load("shop"), "tiny", lambda fraction, step: None)
    session = Session(cluster, "alice", graded=True)
    session.start(LAB)
    cluster.down()
    verdict = session.check("fix", None)
    assert (verdict["status"], verdict["points"]) == ("error", 0.0)
    assert "pglab" in verdict["message"]
    unlucky = Session(cluster, "bob", graded=True)
    with pytest.raises(NotRunning, match=r"Run `pglab up`"):
        unlucky.start(LAB)
    assert [verdict["status"] for verdict in unlucky.record().values()] == ["error"]  # never a 0
    cluster.up()
    assert session.check("fix", None)["status"] == "fail"


def test_a_dropped_database_is_a_fail_with_the_way_back(session: Session) -> None:
    assert session.db
    clones.drop(session.cluster, session.db.name)
    verdict = session.check("fix", None)
    assert verdict["status"] == "fail"
    assert "lab.reset()" in verdict["targets"][0]["hint"]
    session.reset()
    assert target(session.check("fix", None), "kind of order_items")["status"] == "pass"


def test_a_dropped_table_is_a_fail_in_the_servers_own_words(
    session: Session, student: psycopg.Connection[Any]
) -> None:
    student.execute("DROP TABLE order_items CASCADE")
    verdict = session.check("fix", None)
    assert verdict["status"] == "fail"
    assert 'relation "order_items" does not exist' in verdict["targets"][0]["measured"]


# -- sessions -------------------------------------------------------------------------------------------------------------


def test_parameters_are_the_students_own_and_the_same_each_time(seeded: Cluster) -> None:
    def params(student: str) -> Any:
        session = Session(seeded, student, graded=True)
        try:
            return session.start(LAB)["params"]
        finally:
            session.close()

    assert params("alice") == params("alice")
    assert params("alice") != params("bob")


def test_a_graded_session_leaves_no_database_behind(session: Session, seeded: Cluster) -> None:
    assert session.db
    session.close()
    with seeded.primary.connect() as admin:
        assert (
            admin.execute("SELECT FROM pg_database WHERE datname = %s", [session.db.name]).fetchone() is None
        )
        assert (
            admin.execute(
                "SELECT FROM pg_roles WHERE rolname = ANY(%s)", [[session.db.name, session.db.judge_role]]
            ).fetchone()
            is None
        )


def test_a_database_that_waits_for_its_notebook_is_not_dropped_for_another(
    session: Session, seeded: Cluster
) -> None:
    assert session.db
    name = session.db.name
    wait_until("the referee to hold it", lambda: [c.connections for c in clones.listing(seeded) if c.name == name] == [1], 10)  # fmt: skip
    with pytest.raises(DiskFull):
        clones.make_room(seeded, 1, 0)
    assert name in [clone.name for clone in clones.listing(seeded)]


def test_starting_again_keeps_what_was_done(session: Session, student: psycopg.Connection[Any]) -> None:
    student.execute("CREATE INDEX CONCURRENTLY mine ON order_items (order_id)")
    session.start(LAB)
    assert session.check("fix", None)["status"] == "pass"


def test_an_unknown_lab_or_check_says_which_there_are(session: Session) -> None:
    with pytest.raises(LabError, match=r"There is no lab '99-none'. The labs are: .*10-missing-index"):
        Session(session.cluster, "alice").start("99-none")
    with pytest.raises(LabError, match=r"has no check 'none'. Its checks are: .*fix"):
        session.check("none", None)


def test_a_referee_process_serves_checks_at_once_and_ends_with_its_owner(seeded: Cluster) -> None:
    referee = RefereeProcess("carol", home=seeded.home)
    pid = referee._process.pid
    first = wire.dial(referee.socket, referee.secret)
    wire.ask(first, {"do": "start", "lab": LAB})
    verdicts: list[Any] = []

    def one() -> None:
        channel = wire.dial(referee.socket, referee.secret)
        verdicts.append(
            wire.ask(
                channel,
                {
                    "do": "check",
                    "check": "diagnose-node",
                    "answer": {"node": "Seq Scan", "table": "order_items"},
                },
            )
        )
        channel.close()

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [verdict["points"] for verdict in verdicts] == [1.0] * 10
    assert referee.record()["diagnose-node"]["status"] == "pass"
    with pytest.raises(RefereeError, match=r"does not know this request"):
        wire.ask(first, {"do": "record"})  # the record is its owner's alone
    first.close()
    referee.close()
    assert not psutil.pid_exists(pid)
    assert not referee.socket.exists()
    with pytest.raises(RefereeError, match=r"does not answer"):
        wire.dial(referee.socket, referee.secret)


def test_a_referee_whose_owner_was_killed_ends_too(seeded: Cluster) -> None:
    import subprocess
    import sys

    from pglab.home import course_root

    code = "from grader.referee import RefereeProcess; r = RefereeProcess('dave'); print(r._process.pid, flush=True); input()"
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(course_root()), "PGLAB_HOME": str(seeded.home.root)},
    )  # fmt: skip
    assert owner.stdout and owner.stdin
    pid = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()
    wait_until(
        "the referee to end",
        lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE,
        30,
    )
