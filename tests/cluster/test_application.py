"""The connection that a student's function gets in a check: one, counted, and gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from grader.application import Application
from grader.context import Context, StudentError
from grader.session import Session
from pglab.cluster import Cluster

LAB = "01-n-plus-one"
ONE = "SELECT id FROM orders WHERE user_id = 1"


@pytest.fixture(scope="module")
def session(seeded: Cluster) -> Iterator[Session]:
    session = Session(seeded, "anna", graded=True)
    session.start(LAB)
    yield session
    session.close()


def context(session: Session, function: Callable[..., Any]) -> Context:
    """A context whose kernel is this process."""
    assert session.db
    return Context(session.db, "fix", None, 1, call=lambda name, arguments, limit_s: function(*arguments))


def roles(session: Session) -> list[str]:
    assert session.db
    with session.db.cluster.primary.connect() as admin:
        found = admin.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE %s", [f"{session.db.name}_app%"]
        )
        return [row[0] for row in found]


def test_what_goes_over_the_connection_is_told_from_all_else(session: Session) -> None:
    db = session.db
    assert db
    kept: list[psycopg.Connection[Any]] = []

    def function(conninfo: dict[str, Any], others: int) -> int:
        kept[:] = kept or [psycopg.connect(**conninfo, autocommit=True)]
        for _ in range(others):
            elsewhere.execute(ONE)
        return len(kept[0].execute(ONE).fetchall())

    with (
        psycopg.connect(**db.conninfo(), autocommit=True) as elsewhere,
        Application(context(session, function), rtt_ms=1) as application,
    ):
        application.call("warm", "function", 0)
        request = application.call("one", "function", 7)
        with application.uncounted():
            elsewhere.execute(ONE)
        with db.judge() as judge:
            judge.execute(ONE)  # between two calls it is the referee's
        after = application.call("two", "function", 0)
        assert application.session_state() == "idle"
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            psycopg.connect(**db.conninfo())
    assert (request.calls, request.rows) == (1, request.answer)
    assert [(role, query.calls) for role, query in request.others] == [(db.name, 7), (db.name, 1)]
    assert (after.calls, after.others) == (1, ())
    with pytest.raises(psycopg.OperationalError):
        kept[0].execute("SELECT 1")  # its session has been ended
    psycopg.connect(**db.conninfo()).close()


def test_what_fails_or_goes_on_or_runs_as_the_judge_is_seen_too(session: Session) -> None:
    db = session.db
    assert db
    kept: list[psycopg.Connection[Any]] = []

    def function(conninfo: dict[str, Any], how: str) -> None:
        kept[:] = kept or [psycopg.connect(**conninfo, autocommit=True)]
        kept[0].execute(ONE)
        match how:
            case "fails":
                for _ in range(5):
                    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                        kept[0].execute("SELECT min(status)::int FROM orders")
            case "judge":
                with db.judge() as judge:
                    judge.execute(ONE)
            case "goes on":
                elsewhere.pgconn.send_query(b"SELECT pg_sleep(60)")

    with (
        closing(psycopg.connect(**db.conninfo(), autocommit=True)) as elsewhere,
        Application(context(session, function)) as application,
    ):
        assert application.call("honest", "function", "").others == ()
        assert application.call("fails", "function", "fails").calls == 6
        assert {role for role, _ in application.call("judge", "function", "judge").others} == {db.judge_role}
        assert {role for role, _ in application.call("goes on", "function", "goes on").others} == {db.name}


def test_a_second_session_is_refused_and_nothing_stays(session: Session) -> None:
    db = session.db
    assert db

    def function(conninfo: dict[str, Any]) -> None:
        with psycopg.connect(**conninfo, autocommit=True) as first:
            first.execute("CREATE TABLE left_behind (id int)")
            try:
                psycopg.connect(**conninfo)
            except psycopg.OperationalError as error:
                raise StudentError(str(error)) from None

    with Application(context(session, function)) as application:
        with pytest.raises(StudentError, match="a connection of its own"):
            application.call("one", "function")
        assert roles(session) == [application.role]
    assert roles(session) == []
    assert not (db.cluster.home.run / "l").exists()
    with psycopg.connect(**db.conninfo(), autocommit=True) as student:
        student.execute("DROP TABLE left_behind")  # it is theirs now


def test_settings_reach_the_connection(session: Session) -> None:
    def function(conninfo: dict[str, Any]) -> str:
        with psycopg.connect(**conninfo, autocommit=True) as conn:
            return str(conn.execute("SHOW default_transaction_read_only").fetchall()[0][0])

    with Application(context(session, function), default_transaction_read_only="on") as application:
        assert application.call("one", "function").answer == "on"
