"""The application that a student's function is part of, and every statement that reached the database meanwhile.

The function gets the connection of a role that is made for one check. The server lets that role in once, so what is
counted under its name went over that connection, and what is counted under any other name did not.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from grader.context import Context, StudentError
from pglab.cluster.link import Link
from pglab.cluster.node import ADMIN
from pglab.measure import Query, Statements

ONE_CONNECTION: Final = "use the connection that the function is given, and no other session, thread or role"
_UNCOUNTED: Final = "-c pg_stat_statements.track=none"  # it keeps texts, and one is the role's password
_COUNTED: Final = """
SELECT r.rolname, s.queryid, s.toplevel, s.query, s.calls, s.rows, s.plans, s.shared_blks_hit, s.shared_blks_read,
       s.wal_bytes::bigint, s.total_exec_time, i.dealloc, i.stats_reset
  FROM pg_stat_statements_info i
  LEFT JOIN (pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid)
    ON s.dbid = (SELECT oid FROM pg_database WHERE datname = %s) AND r.rolname <> ALL(%s) AND s.queryid IS NOT NULL
"""


@dataclass(frozen=True)
class Request:
    """One call of the student's function, and what the server counted meanwhile.

    Attributes:
        label: for a person, such as "80 orders"; ms: by the referee's clock, with the way to the kernel and back;
        sent: over the connection that the function was given; others: (role, query) of anybody else's.
    """

    label: str
    answer: Any
    ms: float
    sent: tuple[Query, ...]
    others: tuple[tuple[str, Query], ...]

    @property
    def calls(self) -> int:
        """Statements that the function sent; BEGIN, COMMIT and SET are none."""
        return sum(query.calls for query in self.sent if query.toplevel and not query.control)

    @property
    def nested_calls(self) -> int:
        """Statements that functions in the database ran for it."""
        return sum(query.calls for query in self.sent if not query.toplevel)

    @property
    def rows(self) -> int:
        """Rows sent to the client."""
        return sum(query.rows for query in self.sent if query.toplevel)

    @property
    def shared_blks(self) -> int:
        """Blocks of 8 kB, hit and read; nested statements are within those around them."""
        return sum(query.shared_blks_hit + query.shared_blks_read for query in self.sent if query.toplevel)


class Application:
    """The application that the student's function is part of: one connection, a stated round trip away.

    with Application(ctx, rtt_ms=1) as application:
        request = application.call("80 orders", "order_summary", 4711)

    The kernel opens the connection itself (see pglab.lab.Lab.connected) with the conninfo that is each call's first
    argument, and keeps it. Nothing that anybody sends between two calls stays uncounted, but for what happens
    inside `with application.uncounted():`.
    """

    def __init__(self, ctx: Context, *, rtt_ms: float = 0.0, **settings: str) -> None:
        """Args: rtt_ms: 0 for no link; settings: of the connection, such as default_transaction_read_only="on"."""
        self._ctx, self._rtt_ms = ctx, rtt_ms
        self.role = f"{ctx.db.name}_app"
        self.link: Link | None = None
        self.conninfo: dict[str, Any] = {}
        self._options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._last: dict[str, Statements] | None = None

    def __enter__(self) -> Self:
        db = self._ctx.db
        with ExitStack() as stack:
            # Two kernels of one student take turns.
            stack.enter_context(db.cluster.home.lock(f"app-{db.name}"))
            # In a database that no student can enter: nothing of theirs stands in the way of a name.
            self._admin = stack.enter_context(db.cluster.primary.connect(options=_UNCOUNTED))
            _ensure_counting(self._admin)
            password = secrets.token_hex(16)
            self._remove_role()
            stack.callback(self._remove_role)
            self._admin.execute(
                sql.SQL("CREATE ROLE {} LOGIN INHERIT CONNECTION LIMIT 1 PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(self.role), sql.Literal(password), sql.Identifier(db.name)
                )
            )
            self.conninfo = db.cluster.primary.conninfo(db.name, self.role, password)
            if self._options:
                self.conninfo["options"] = self._options
            if self._rtt_ms:
                # A Unix socket: a kernel without a network reaches it. The name is short, as socket paths must be.
                folder = Path(tempfile.mkdtemp(prefix="l", dir=db.cluster.home.run))
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                self.link = stack.enter_context(Link(self.conninfo, self._rtt_ms, str(folder)))
                self.conninfo |= self.link.conninfo
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def call(self, label: str, function: str, *arguments: Any, limit_s: float = 30.0) -> Request:
        """Run the student's function in their kernel.

        Raises:
            StudentError: it raised, or did not return; PglabError: the server forgot counters meanwhile.
        """
        before = self._last or self._counted()
        start = time.perf_counter()
        try:
            answer = self._ctx.call(function, self.conninfo, *arguments, limit_s=limit_s)
        except StudentError as error:
            if "too many connections for role" in str(error):
                raise StudentError(f"{function} opens a connection of its own", ONE_CONNECTION) from error
            raise
        elapsed_ms = (time.perf_counter() - start) * 1000
        after = self._last = self._counted()
        none = Statements({}, *_epoch(before))
        found = [
            (role, query)
            for role, statements in after.items()
            for query in statements.since(before.get(role, none))
        ]
        return Request(
            label,
            answer,
            elapsed_ms,
            tuple(query for role, query in found if role == self.role),
            tuple((role, query) for role, query in found if role != self.role and not query.control),
        )

    @contextmanager
    def judge(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of the judge's over the same link."""
        with self._ctx.judge() as direct:
            dsn, password = direct.info.dsn, direct.info.password
        link = self.link.conninfo if self.link else {}
        with psycopg.connect(dsn, password=password, autocommit=True, **link) as far:
            yield far

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """What runs in here is not the application's: rows that the referee inserts, and what they set off."""
        yield
        self._last = self._counted()

    def session_state(self) -> str:
        """The connection's state as pg_stat_activity has it: "idle", "idle in transaction" …, "gone"."""
        row = self._admin.execute(
            "SELECT state FROM pg_stat_activity WHERE usename = %s", [self.role]
        ).fetchone()
        return str(row[0]) if row else "gone"

    def _counted(self) -> dict[str, Statements]:
        """Role → its counters in the lab's database; all roles but the admin's and the judge's."""
        referee = [ADMIN, self._ctx.db.judge_role]
        rows = self._admin.execute(_COUNTED, [self._ctx.db.name, referee]).fetchall()
        dealloc, stats_reset = rows[0][-2:]
        found: dict[str, Statements] = {"": Statements({}, dealloc, stats_reset)}
        for role, queryid, toplevel, text, calls, sent, plans, hit, read, wal, exec_ms, *_ in rows:
            if role is not None:
                statements = found.setdefault(role, Statements({}, dealloc, stats_reset))
                query = Query(text or "", calls, sent, hit, read, wal, exec_ms, plans, toplevel)
                statements.queries[queryid, toplevel] = query
        return found

    def _remove_role(self) -> None:
        """Its session is ended; what it made in the database becomes the student's."""
        role, owner = sql.Identifier(self.role), sql.Identifier(self._ctx.db.name)
        if not self._admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [self.role]).fetchone():
            return
        self._admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [self.role]
        )
        with suppress(psycopg.OperationalError), self._ctx.db.admin() as there:  # dropped by the student
            there.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, owner))
            there.execute(sql.SQL("DROP OWNED BY {}").format(role))
        # A class leaves thousands of counters behind, and a full table of them forgets others'.
        self._admin.execute("SELECT pg_stat_statements_reset(%s::regrole::oid, 0, 0)", [self.role])
        self._admin.execute(sql.SQL("DROP ROLE {}").format(role))


def _ensure_counting(admin: psycopg.Connection[Any]) -> None:
    # Two referees at once: the slower one finds it made.
    with suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject):
        if not admin.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'").fetchone():
            admin.execute("CREATE EXTENSION pg_stat_statements")


def _epoch(counted: dict[str, Statements]) -> tuple[int, object]:
    return counted[""].dealloc, counted[""].stats_reset
