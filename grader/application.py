"""The application that a student's function is part of, and every statement that reached the database meanwhile.

The function gets the connection of a role that is made for one check. The server lets that role in once, so what is
counted under its name went over that connection, and what is counted under any other name did not.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, cast

import psycopg
from psycopg import sql

from grader.context import Context, StudentError
from grader.roles import end_sessions, ensure_counting
from pglab.cluster.link import Link
from pglab.cluster.node import ADMIN
from pglab.measure import Query, Statements

ONE_CONNECTION: Final = "use the connection that the function is given, and no other session, thread or role"
MOST_KINDS: Final = 1000  # of statements; an honest notebook has some dozens
_COUNTED: Final = """
SELECT r.rolname, s.queryid, s.toplevel, s.query, s.calls, s.rows, s.plans, s.shared_blks_hit, s.shared_blks_read,
       s.wal_bytes::bigint, s.total_exec_time, i.dealloc, i.stats_reset
  FROM pg_stat_statements_info i
  LEFT JOIN (pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid)
    ON s.dbid = (SELECT oid FROM pg_database WHERE datname = %s) AND r.rolname <> %s AND s.queryid IS NOT NULL
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
        return begun([query for query in self.sent if query.toplevel and not query.control])

    @property
    def nested_calls(self) -> int:
        """Statements that functions in the database ran for it."""
        return begun([query for query in self.sent if not query.toplevel])

    @property
    def rows(self) -> int:
        """Rows sent to the client."""
        return sum(query.rows for query in self.sent if query.toplevel)

    @property
    def shared_blks(self) -> int:
        """Blocks of 8 kB, hit and read; nested statements are within those around them."""
        return sum(query.shared_blks_hit + query.shared_blks_read for query in self.sent if query.toplevel)


def begun(queries: Sequence[Query]) -> int:
    """How many statements were begun. What failed or has not ended yet was planned, and is not among the calls; in an open
    transaction the last one is counted with the next request, so only the sums compare."""
    return max(sum(query.calls for query in queries), sum(query.plans for query in queries))


class Application:
    """The application that the student's function is part of: one connection, a stated round trip away.

    Nobody else gets in meanwhile: the student's role cannot log in, and a session of it that is open already is watched.

    with Application(ctx, rtt_ms=1) as application:
        request = application.call("80 orders", "order_summary", 4711)

    The kernel opens the connection itself (see pglab.lab.Lab.connected) with the conninfo that is each call's first
    argument, and keeps it. Nothing that anybody sends between two calls stays uncounted, but for what happens
    inside `with application.uncounted():`.
    """

    def __init__(self, ctx: Context, *, rtt_ms: float = 0.0, **settings: str) -> None:
        """Args: rtt_ms: 0 for no link; settings: of the connection, such as default_transaction_read_only="on"."""
        self._ctx, self._rtt_ms = ctx, rtt_ms
        self.role = ctx.db.app_role
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
            self._admin = stack.enter_context(db.server())
            ensure_counting(self._admin)
            password = secrets.token_hex(16)
            self._remove_role()
            stack.callback(self._remove_role)
            self._let_in(False)
            stack.callback(self._let_in, True)
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
                folder = self._ctx.folder / "l"
                folder.mkdir(mode=0o711)
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
        now, began = self._counted(), self._clock()
        # Between two calls the judge works too; during one, a session of its role is not the referee's.
        before = {
            **(self._last or now),
            self._ctx.db.judge_role: now.get(self._ctx.db.judge_role, _none(now)),
        }
        start = time.perf_counter()
        try:
            answer = self._ctx.call(function, self.conninfo, *arguments, limit_s=limit_s)
        except StudentError as error:
            if any(
                said in str(error) for said in ("too many connections for role", "is not permitted to log in")
            ):
                raise StudentError(f"{function} opens a connection of its own", ONE_CONNECTION) from error
            raise
        elapsed_ms = (time.perf_counter() - start) * 1000
        after = self._last = self._counted()
        self._refuse_a_flood(before, after)
        found = [
            (role, query)
            for role, statements in after.items()
            for query in statements.since(before.get(role, _none(before)))
        ]
        return Request(
            label,
            answer,
            elapsed_ms,
            tuple(query for role, query in found if role == self.role),
            (
                *((role, query) for role, query in found if role != self.role and not query.control),
                *self._others_at_work(began),
            ),
        )

    @contextmanager
    def judge(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of the judge's over the same link."""
        with self._ctx.judge() as direct:
            dsn, password = direct.info.dsn, direct.info.password
        # psycopg adds the address that it found for a name, and libpq would go by that.
        link = {**self.link.conninfo, "hostaddr": ""} if self.link else {}
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
        """Role → its counters in the lab's database; all roles but the admin's."""
        rows = self._admin.execute(_COUNTED, [self._ctx.db.name, ADMIN]).fetchall()
        dealloc, stats_reset = rows[0][-2:]
        found: dict[str, Statements] = {"": Statements({}, dealloc, stats_reset)}
        for role, queryid, toplevel, text, calls, sent, plans, hit, read, wal, exec_ms, *_ in rows:
            if role is not None:
                statements = found.setdefault(role, Statements({}, dealloc, stats_reset))
                query = Query(text or "", calls, sent, hit, read, wal, exec_ms, plans, toplevel)
                statements.queries[queryid, toplevel] = query
        return found

    def _clock(self) -> datetime:
        row = self._admin.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        return cast(datetime, row[0])

    def _others_at_work(self, began: datetime) -> list[tuple[str, Query]]:
        """(role, what it sent) of other sessions that worked since: also what failed, or has not ended, is seen here."""
        rows = self._admin.execute(
            "SELECT usename, query FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' "
            "AND usename <> ALL(%s) AND (query_start >= %s OR state IN ('active', 'fastpath function call'))",
            [self._ctx.db.name, [ADMIN, self.role], began],
        ).fetchall()
        return [(str(role), Query(text, 1, 0, 0, 0, 0, 0.0)) for role, text in rows]

    def _refuse_a_flood(self, before: dict[str, Statements], after: dict[str, Statements]) -> None:
        """Where the server forgot counters: was it this database that filled its table?"""
        kinds = sum(len(statements.queries) for statements in after.values())
        if _epoch(before) != _epoch(after) and kinds > MOST_KINDS:
            raise StudentError(
                f"the server counts {kinds:,} kinds of statements in this database, and forgets some",
                "send values as parameters, not as part of the text",
            )

    def _let_in(self, may: bool) -> None:
        self._admin.execute(
            sql.SQL("ALTER ROLE {} {}").format(
                sql.Identifier(self._ctx.db.name), sql.SQL("LOGIN" if may else "NOLOGIN")
            )
        )

    def _remove_role(self) -> None:
        """Its session is ended; what it made in the database becomes the student's."""
        db, role = self._ctx.db, sql.Identifier(self.role)
        if not self._admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [self.role]).fetchone():
            return
        end_sessions(self._admin, db.name, [self.role])
        try:
            self._give_away()
        except psycopg.errors.LockNotAvailable:  # a session of the student's keeps it
            db.end_sessions()
            self._give_away()
        # A class leaves thousands of counters behind, and a full table of them forgets others'.
        self._admin.execute("SELECT pg_stat_statements_reset(%s::regrole::oid, 0, 0)", [self.role])
        self._admin.execute(sql.SQL("DROP ROLE {}").format(role))

    def _give_away(self) -> None:
        role, owner = sql.Identifier(self.role), sql.Identifier(self._ctx.db.name)
        with self._ctx.db.admin() as there:
            there.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, owner))
            there.execute(sql.SQL("DROP OWNED BY {}").format(role))


def _none(counted: dict[str, Statements]) -> Statements:
    return Statements({}, *_epoch(counted))


def _epoch(counted: dict[str, Statements]) -> tuple[int, object]:
    return counted[""].dealloc, counted[""].stats_reset
