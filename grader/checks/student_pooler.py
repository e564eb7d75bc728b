"""A student's pgbouncer.ini, started in front of the lab's own primary, for the judge's role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from grader.checks.connections import Allowed, allowed, own_hosts, reaches_beyond
from grader.context import Context
from grader.verdict import Target
from pglab.cluster.pooler import Pooler
from pglab.cluster.scram import scram_secret
from pglab.errors import ClusterError
from pglab.load.result import told


@dataclass(frozen=True)
class Started:
    """A pooler that runs with the student's configuration.

    Attributes:
        notes: what it has to say about lines of theirs; may: what its settings allow; through, past: conninfo of the
        judge's role by way of the pooler, and directly.
    """

    pooler: Pooler
    notes: list[str]
    may: Allowed
    through: dict[str, Any]
    past: dict[str, Any]


class Refused(Exception):
    """The configuration was not tried, or PgBouncer did not take it: a fail, with the reason as a target."""

    def __init__(self, measured: str, wanted: str, source: str, hint: str) -> None:
        super().__init__(measured)
        self._text = (measured, wanted, source, hint)

    def target(self, points: float) -> Target:
        """Worth as much as the whole check."""
        return Target("your configuration", "fail", *self._text, max_points=points, required=True)


@contextmanager
def started(ctx: Context, ini: str) -> Iterator[Started]:
    """Start it, see that one client is served, and stop it at the end.

    Raises:
        Refused: with what is wrong with it; ClusterError: PgBouncer is not here, which is nobody's failure.
    """
    node, pooler = ctx.db.cluster.primary, ctx.db.cluster.pooler()
    pooler.runner.require()
    beyond = reaches_beyond(ini, pooler.reach(node), ctx.db.name)
    if beyond:
        hint = "leave out host, port, user and password (the lab puts its own primary there), other files, and doors that are open to all"
        wanted = "pools of the lab's own database"
        raise Refused("; ".join(beyond[:4]), wanted, "your pgbouncer.ini", hint)
    past, secret = _judges_secret(ctx)
    try:
        try:
            notes = pooler.start(ini, {past["user"]: secret}, node)
        except ClusterError as error:
            if "did not start:" not in error.message:
                raise
            raise Refused(
                error.message, "PgBouncer takes it", "PgBouncer's log", "mend the line that it names"
            ) from error
        through = {**past, "host": str(pooler.sockets), "port": pooler.port}
        _serve_one(through)
        may = allowed(pooler, past["dbname"], past["user"])
        host, port, dbname, role = may.where
        if host not in own_hosts(pooler.reach(node)) or (port, dbname, role) != (
            pooler.reach(node)[1],
            past["dbname"],
            "",
        ):
            elsewhere = f"a server at {host}, port {port}, database {dbname}"
            raise Refused(elsewhere, "the lab's own primary", "SHOW DATABASES", "leave host and port out")
        yield Started(pooler, notes, may, through, past)
    finally:
        pooler.stop()


def _judges_secret(ctx: Context) -> tuple[dict[str, Any], str]:
    """The judge's direct conninfo, and its secret with one iteration: else thousands of clients log in for a minute,
    all of it work of the clients' own."""
    with ctx.judge() as judge:
        node = ctx.db.cluster.primary
        past = node.conninfo(judge.info.dbname, judge.info.user, judge.info.password)
    secret = scram_secret(past["password"], iterations=1)
    with node.connect() as admin:
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        admin.execute(statement.format(sql.Identifier(past["user"]), sql.Literal(secret)))
    return past, secret


def _serve_one(through: dict[str, Any]) -> None:
    try:
        with psycopg.connect(**through, connect_timeout=10, prepare_threshold=None) as first:
            first.execute("SELECT 1")
    except psycopg.Error as error:
        hint = f"does [databases] have an entry for {through['dbname']}, or * for all of them?"
        raise Refused(told(error), "one client is served", "SELECT 1 through your PgBouncer", hint) from error
