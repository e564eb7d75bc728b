"""Connections that are used again, on a real server."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from grader.kept import Connection, Kept
from grader.session import Session
from pglab.cluster import Cluster

LAB = "10-missing-index"


def backend(connection: Connection) -> int:
    return connection.info.backend_pid


@pytest.fixture
def connect(cluster: Cluster) -> Callable[[], Connection]:
    return cluster.primary.connect


def test_a_connection_is_lent_again_until_the_end_of_the_block(connect: Callable[[], Connection]) -> None:
    kept = Kept()
    with kept.keeping():
        with kept.lend("a", connect) as first:
            pass
        with kept.lend("a", connect) as again, kept.lend("a", connect) as another:
            assert again is first
            assert backend(another) != backend(first)
        with kept.lend("b", connect) as other:
            assert other not in (first, another)
    assert first.closed and another.closed and other.closed


def test_outside_of_a_block_nothing_is_kept(connect: Callable[[], Connection]) -> None:
    with Kept().lend("a", connect) as connection:
        assert not connection.closed
    assert connection.closed


def test_a_connection_that_broke_or_is_in_a_transaction_is_not_lent_again(
    connect: Callable[[], Connection],
) -> None:
    kept = Kept()
    with kept.keeping():
        with pytest.raises(psycopg.OperationalError), kept.lend("a", connect) as broken:  # noqa: PT012
            with connect() as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", [backend(broken)])
            broken.execute("SELECT 1")
        with kept.lend("a", connect) as open_one:
            open_one.execute("BEGIN")
        with kept.lend("a", connect) as good:
            assert good not in (broken, open_one)
            assert good.execute("SELECT 1").fetchone() == (1,)


def test_a_learners_database_that_is_not_whole_is_made_anew(seeded: Cluster) -> None:
    session = Session(seeded, "alice")
    try:
        session.start(LAB)
        assert session.db
        session.db.note("template", "another one")
        again = Session(seeded, "alice")
        again.start(LAB)
        assert again.db and again.db.facts()["template"] == again.db.template
        again.close()
    finally:
        assert session.db
        session.db.drop()
        session.close()
