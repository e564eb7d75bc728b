"""What a notebook imports.

import pglab
lab = pglab.start("10-missing-index")
before = lab.reproduce(order_page)
lab.explain("SELECT …", [4829])
lab.execute("CREATE INDEX …")
lab.compare(before, lab.measure(order_page))
lab.check("fix")
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.rows import dict_row

from pglab import show, wire
from pglab.cluster.link import Link
from pglab.cluster.own_pooler import own_pooler
from pglab.cluster.pooler import Pooler
from pglab.errors import LabError, RefereeError
from pglab.launch import SECRET, SOCKET, RefereeHandle
from pglab.measure import Measurement, measure_each
from pglab.plan import Plan

Request = Callable[[psycopg.Connection[Any], Any], Any]

_referee: RefereeHandle | None = None  # of this kernel; its pipe closes, and it ends, with the kernel


class Lab:
    """A lab that is open: its database, its measurements, its checks."""

    def __init__(self, channel: wire.Channel, about: dict[str, Any]) -> None:
        self._channel = channel
        self._hints_given: dict[str, int] = {}
        self._connection: psycopg.Connection[Any] | None = None
        self._links: dict[str, Link] = {}
        self._learn(about)

    def _learn(self, about: dict[str, Any]) -> None:
        self.id: str = about["id"]
        self.title: str = about["title"]
        self.student: str = about["student"]
        self.scale: str = about["scale"]
        self.conninfo: dict[str, Any] = about["conninfo"]
        self.nodes: dict[str, dict[str, Any]] = about["nodes"]
        self.params: dict[str, Any] = about["params"]
        self._checks: dict[str, dict[str, Any]] = about["checks"]

    def __repr__(self) -> str:
        return f"<lab {self.id} of {self.student}, scale {self.scale}, database {self.conninfo['dbname']}>"

    # -- the database -------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """For SQLAlchemy and %sql."""
        c = self.conninfo
        return f"postgresql+psycopg://{quote(c['user'])}:{quote(c['password'])}@/{quote(c['dbname'])}?host={quote(c['host'], safe='')}&port={c['port']}"

    def connect(self, node: str = "primary", **more: Any) -> psycopg.Connection[Any]:
        """A new autocommit connection as the application's role, which owns the database.

        Args:
            node: "primary", or one of the lab's replicas, such as "replica".
        """
        if node not in self.nodes:
            raise LabError(f"This lab has no node {node!r}", f"Its nodes are: {', '.join(self.nodes)}")
        link = self._links[node].conninfo if node in self._links else {}
        return psycopg.connect(**(self.nodes[node] | link), **{"autocommit": True, **more})

    def set_round_trip(self, rtt_ms: float, node: str = "primary") -> None:
        """Put a node so many ms away: connections made from now on run over a link. 0 takes it away again."""
        if node not in self.nodes:
            raise LabError(f"This lab has no node {node!r}", f"Its nodes are: {', '.join(self.nodes)}")
        if node in self._links:
            self._links.pop(node).close()
        if rtt_ms:
            self._links[node] = Link(self.nodes[node], rtt_ms).start()

    def connected(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as the referee calls it: its first argument, a connection, is made from the conninfo that comes.

        The connection is kept from call to call, as a pool would, so opening it is no part of a request.
        """
        kept: list[Any] = [None, None]

        def call(conninfo: dict[str, Any], *arguments: Any) -> Any:
            if kept[0] != conninfo:
                kept[:] = conninfo, psycopg.connect(**conninfo, autocommit=True)
            return function(kept[1], *arguments)

        return call

    @contextmanager
    def pooler(self, ini: str) -> Iterator[Pooler]:
        """A PgBouncer of your own in front of the lab's primary, while the block runs; see through().

        Raises:
            ClusterError: PgBouncer is not installed, or did not take the configuration, in its own words.
        """
        with own_pooler(self.conninfo, ini) as (pooler, notes):
            for note in notes:
                print(f"pgbouncer.ini: {note}.")
            yield pooler

    def through(self, pooler: Pooler) -> dict[str, Any]:
        """How the application connects through a pooler: its conninfo with another address."""
        return {**self.conninfo, "host": str(pooler.sockets), "port": pooler.port}

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> Any:
        """Run a statement, each in a transaction of its own. Rows come back as a table; anything else as its status."""
        cursor = self._conn().execute(statement.encode(), parameters)
        if cursor.description is None:
            return cursor.statusmessage
        columns = [column.name for column in cursor.description]
        return show.table(cursor.fetchall(), columns)

    def rows(self, query: str, parameters: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Run a query and return its rows as dicts."""
        with self._conn().cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()

    def explain(self, query: str, parameters: Sequence[Any] | None = None) -> show.PlanTree:
        """EXPLAIN (ANALYZE, BUFFERS) of a query, as a tree with its costliest node marked. It runs the query."""
        row = (
            self._conn()
            .execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode(), parameters)
            .fetchone()
        )
        assert row is not None
        return show.plan_tree(Plan.from_explain(row[0]))

    def _conn(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = self.connect()
        return self._connection

    # -- measuring ----------------------------------------------------------------------------------------------------

    def measure(self, request: Request, arguments: Iterable[Any] | None = None) -> Measurement:
        """Run a request once for each argument (by default those drawn for you) and say what it cost."""
        chosen = list(self.params.get("requests", []) if arguments is None else arguments)
        if not chosen:
            raise LabError("There is nothing to measure", "Give a list of arguments, one for each request")
        with self.connect() as conn:
            request(conn, chosen[0])  # warm: the first request also reads the catalogs
            _, measured = measure_each(conn, lambda argument: request(conn, argument), chosen)
        return measured

    def reproduce(self, request: Request, arguments: Iterable[Any] | None = None) -> Measurement:
        """Measure, and show how long each request took."""
        measured = self.measure(request, arguments)
        _display(show.chart_requests(measured))
        return measured

    def compare(self, before: Measurement, after: Measurement) -> show.BeforeAfter:
        """Before and after, in one chart and one table."""
        return show.before_after(before, after)

    # -- the referee --------------------------------------------------------------------------------------------------

    def check(self, name: str, answer: Any = None, **functions: Callable[..., Any]) -> float:
        """Have the referee judge a check. Shows the verdict with its evidence; returns the points earned.

        Args:
            answer: what a question asked for; functions: by name, those that the referee is to run with parameters of
            its own.

        A check that could not be measured shows why and is no fail: run it again when the cause is gone.
        """
        try:
            request = {"do": "check", "check": name, "answer": wire.plain(answer)}
            verdict = wire.ask(self._channel, request, functions=functions)
        except RefereeError as error:
            known = self._checks.get(name, {})
            verdict = {
                "check": name, "part": "", "title": known.get("title", name), "status": "error", "points": 0.0,
                "max_points": known.get("points", 0.0), "targets": [], "message": f"could not measure: {error}",
            }  # fmt: skip
        _display(show.verdict(verdict))
        return float(verdict["points"])

    def hint(self, name: str) -> None:
        """Print the next hint of a check; each call one more."""
        if name not in self._checks:
            raise LabError(f"There is no check {name!r}", f"The checks are: {', '.join(self._checks)}")
        hints = self._checks[name]["hints"]
        given = self._hints_given.get(name, 0)
        if given < len(hints):
            self._hints_given[name] = given + 1
            print(f"Hint {given + 1} of {len(hints)}: {hints[given]}")
        else:
            print(f"That was the last hint for {name}." if hints else f"There are no hints for {name}.")

    def reset(self) -> None:
        """Make the incident anew: a fresh database, broken again. What you built in it is gone."""
        if self._connection is not None:
            self._connection.close()
        self._learn(wire.ask(self._channel, {"do": "reset"}, _tell))
        for node, link in list(self._links.items()):  # the node may listen elsewhere now
            self.set_round_trip(link.rtt_ms, node)
        _connect_sql_magic(self.url)
        print("A fresh incident. Run the notebook from the top.")


def start(lab: str) -> Lab:
    """Open a lab: its database is cloned and broken unless it is there already.

    Raises:
        LabError: there is no such lab; NotRunning, DatasetError: with the command that mends it; RefereeError.
    """
    global _referee
    if SOCKET in os.environ:
        path, secret = Path(os.environ[SOCKET]), os.environ.get(SECRET, "")
    else:
        if _referee is None or not _referee.alive():
            _referee = RefereeHandle()
        path, secret = _referee.socket, _referee.secret
    channel = wire.dial(path, secret)
    importing = threading.Thread(target=_import_sql_magic, name="pglab-import", daemon=True)
    importing.start()
    opened = Lab(channel, wire.ask(channel, {"do": "start", "lab": lab}, _tell))
    importing.join()  # half imported, it would be no extension
    _load_sql_magic(opened.url)
    print(
        f"{opened.id}: {opened.title}. Database {opened.conninfo['dbname']}, scale {opened.scale}, student {opened.student}."
    )
    return opened


def _tell(step: str) -> None:
    print(f"{step} …")


def _display(thing: Any) -> None:
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from IPython.display import display

        display(thing)
    else:
        print(thing)


def _import_sql_magic() -> None:
    """It takes one to two seconds, in which the referee makes the database."""
    if "IPython" in sys.modules:
        with suppress(ImportError):  # loading it says so
            importlib.import_module("sql.magic")


def _load_sql_magic(url: str) -> None:
    """%sql of ipython-sql, with the settings that it needs here. Outside IPython: nothing."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return
    shell.run_line_magic("load_ext", "sql")
    settings = shell.find_line_magic("sql").__self__ if shell.find_line_magic("sql") else None
    for name, value in {
        "displaycon": False,  # no password in the output
        "feedback": False,
        "short_errors": False,  # an SQL error must not look like success
        "autolimit": 0,
        "displaylimit": 40,
    }.items():
        if settings is not None and settings.has_trait(name):
            setattr(settings, name, value)
    # As lab.execute shows its rows: JupyterLab sets a plain table's text to the right.
    shell.display_formatter.formatters["text/html"].for_type_by_name(
        "sql.run",
        "ResultSet",
        lambda rows: show.table(rows, rows.field_names).html() if rows.pretty else None,
    )
    _connect_sql_magic(url)


def _connect_sql_magic(url: str) -> None:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        shell.run_line_magic("sql", url)
