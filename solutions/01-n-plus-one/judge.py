"""What the referee does for this lab. Students never see it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg

from grader.application import Application, Request
from grader.checks import answers, queries, safety
from grader.checks.ratio import paired_ratio
from grader.checks.structure import first_difference
from grader.context import Context, StudentError, expected_rows, public_rng
from grader.database import LabDatabase
from grader.shop import (
    FRESH_ID,
    NOW,
    Order,
    change,
    changed,
    draw_changes,
    new_orders,
    place,
    sweep,
    users_by_orders,
    what_is_wrong,
)
from grader.spec import Spec
from grader.verdict import Target
from pglab.dataset import checksum
from pglab.measure import statements
from pglab.wire import plain

workload = Spec.load("01-n-plus-one").workload()

RTT_MS = 1.0
SIZES = (10, 80, 300)  # orders of the users that are drawn; the dataset has 10 and 80 and 300, and 26
MOST_CALLS = 3  # the issue's; the incident sends 21, 161 and 601
MOST_ROWS = 2.0  # × what the answer holds; a join of all three repeats some rows
MOST_BLOCKS = (
    4.0  # × what the incident reads; a join of all three reads 1.7 ×, a scan of a table 10 × and more
)
LEAST_RATIO = 4  # a right fix gives 15 and more, one statement that reads whole tables less than 1
DIAGNOSED = "your database when the incident began"
TABLES = ("order_items", "shipments")
FUNCTION = "order_summary"
ROWS_HINT = "which rows does the page not show? Let the WHERE clause leave them out"
BLOCKS_HINT = "explain your queries: which of them reads rows of other users, only to throw them away?"
CHANGES = "changes"  # in the facts: what the referee has changed at the moment
RATIO = "the page's time, before against after"


# -- the incident -----------------------------------------------------------------------------------------------------


def prepare(db: LabDatabase) -> dict[str, Any]:
    """Two customers get more orders, so that every student's numbers are their own."""
    rows = db.dataset.scales[db.scale].rows
    rng = public_rng(db)
    with db.oracle() as oracle:
        known = users_by_orders(oracle, rng, rows["users"], (10, 26, 80, 300), 4)
    yours, largest = known[80].pop(), known[300].pop()
    counts = {yours: rng.randrange(3, 20), largest: rng.randrange(11, 60)}
    with db.admin() as admin, admin.transaction():
        for number, (user, count) in enumerate(counts.items()):
            place(admin, user, new_orders(rng, count, max(rows.values()) + 1 + 1000 * number, NOW - timedelta(days=30)))  # fmt: skip
        added = {}
        for table in ("orders", *TABLES):
            row = admin.execute(f"SELECT count(*) FROM public.{table} WHERE id > %s", [rows[table]]).fetchone()  # fmt: skip
            assert row is not None
            added[table] = (row[0], int(checksum(admin, table, f"id > {rows[table]}")))
    requests = known[10] + known[26] + known[80][:2] + known[300][:1]
    rng.shuffle(requests)
    orders, most = 80 + counts[yours], 300 + counts[largest]
    return {
        "params": {
            "user_id": yours,
            "requests": requests,
            "by_orders": {str(size): known[size][0] for size in known},
            "rtt_ms": RTT_MS,
        },
        "public_users": sorted({yours, largest, *requests}),
        "orders": orders,
        "calls": 1 + 2 * orders,
        "most_orders": most,
        "most_calls": 1 + 2 * most,
        "expected": expected_rows(db, added),
    }


# -- diagnose ---------------------------------------------------------------------------------------------------------


def diagnose_tables(ctx: Context) -> list[Target]:
    """A list of tables."""
    given = [ctx.answer] if isinstance(ctx.answer, str) else ctx.answer
    named = (
        {str(table).casefold().removeprefix("public.").strip() for table in given}
        if isinstance(given, list)
        else set()
    )
    truth = set(TABLES)
    hint = ""
    if named != truth:
        hint = "look at the statements with the most calls: which tables do they read?"
        if named and named < truth:
            hint = "one of them; another statement is sent just as often"
        elif "orders" in named:
            hint = "orders is read once in a request: compare its calls with the number of requests"
    return [
        Target(
            "tables read once for each order", "pass" if named == truth else "fail", ", ".join(sorted(named))[:80] or "no answer yet",
            "what your server counted", queries.SOURCE, hint, 1,
        )
    ]  # fmt: skip


def diagnose_calls(ctx: Context) -> list[Target]:
    """A number."""
    orders, truth = ctx.facts["orders"], ctx.facts["calls"]
    return [
        answers.number(
            "statements in one request", ctx.answer, truth, 1, source=DIAGNOSED, within=0,
            hint="measure one request of the customer in the question, and add up the calls of all its statements",
            traps=[
                (orders, "that is one of the statements alone, or the number of orders"),
                (orders + 1, "one statement is sent once, and one for each order: is there a third?"),
                (2 * orders, "one more: the statement that finds the orders"),
                (2 * truth, "that is two requests: lab.measure runs one before it starts to count, and pg_stat_statements keeps it"),
            ],
        )
    ]  # fmt: skip


def diagnose_largest(ctx: Context) -> list[Target]:
    """A number."""
    orders, truth = ctx.facts["most_orders"], ctx.facts["most_calls"]
    return [
        answers.number(
            "statements in one request", ctx.answer, truth, 1, source=DIAGNOSED, within=0,
            hint="count the orders of each customer, take the largest, and put it into your formula",
            traps=[
                (orders, "that is how many orders they have"),
                (2 * orders, "one more: the statement that finds the orders"),
                (601, "somebody has more than 300 orders: count in the database, do not guess"),
            ],
        )
    ]  # fmt: skip


# -- fix --------------------------------------------------------------------------------------------------------------


def fix(ctx: Context) -> list[Target]:
    """The summary of users that the student never saw, and of orders that did not exist a moment ago."""
    lost = _as_it_was(ctx)
    if lost.status == "fail":  # the referee's own orders could not come in
        return [lost, _not_measured("the page", 6)]
    users = _drawn(ctx)
    with ctx.oracle() as oracle:
        wanted = {size: plain(workload.get_order_summary(oracle, user)) for size, user in users.items()}
    with Application(ctx, rtt_ms=RTT_MS) as application:
        ctx.step(f"asking for users with {', '.join(map(str, SIZES))} orders")
        asked = _Asked()
        for size, user in users.items():
            if asked.affordable():
                asked.add(application.call(f"{size} orders", FUNCTION, user), wanted[size])
        if asked.affordable():
            with _shop_is_open(ctx, application, {users[size]: wanted[size] for size in users}) as now:
                for size, user in users.items():
                    more = len(now[user]) - len(wanted[size])
                    label = f"{size} orders and {more} new"
                    asked.add(application.call(label, FUNCTION, user), now[user])
                asked.add(application.call("no orders", FUNCTION, FRESH_ID), [])
        before = _blocks_of_the_incident(ctx, users[80])
        found = asked.targets(ctx, before)
        if any(target.status != "pass" for target in found):
            ratio = _not_measured(RATIO, 1)
        else:
            ctx.step("running both versions in turn")
            ratio = _ratio(application, users[80], wanted[80], asked)
            found = asked.targets(ctx, before)
    return [*found, ratio]


class _Asked:
    """Requests so far, with the answer that each should have given."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.wanted: list[list[Order]] = []

    def add(self, request: Request, wanted: list[Order]) -> None:
        self.requests.append(request)
        self.wanted.append(wanted)

    @property
    def most_rows(self) -> int:
        return 10 + round(MOST_ROWS * sum(map(_rows, self.wanted)))

    def affordable(self) -> bool:
        """Nobody waits for seven answers of which each fetches a table."""
        return sum(request.rows for request in self.requests) <= 10 * self.most_rows

    def targets(self, ctx: Context, blocks: int) -> list[Target]:
        """All but the ratio. blocks: of 8 kB, that the incident reads for 80 orders."""
        added = safety.nothing_added(ctx.snapshot_then(), ctx.snapshot_now(), 0, indexes=False)
        return [
            _same_answers(self),
            queries.calls_per_request(self.worth_showing(), MOST_CALLS, 3),
            queries.rows_sent(self.requests, self.most_rows, 1, ROWS_HINT),
            queries.blocks_against(
                blocks, self.requests[min(1, len(self.requests) - 1)], MOST_BLOCKS, 1, BLOCKS_HINT
            ),
            queries.by_nobody_else(self.requests),
            replace(added, required=True),
        ]

    def worth_showing(self) -> list[Request]:
        """The first round, and of the others one that needed more calls (or none)."""
        first, others = self.requests[: len(SIZES)], self.requests[len(SIZES) :]
        bad = [r for r in others if not 1 <= r.calls <= MOST_CALLS or r.nested_calls > MOST_CALLS]
        return first + bad[:1]


def _ratio(application: Application, user: int, wanted: list[Order], asked: _Asked) -> Target:
    with application.judge() as judge:
        workload.get_order_summary(judge, user)

        def broken(_: int) -> float:
            start = time.perf_counter()
            workload.get_order_summary(judge, user)
            return (time.perf_counter() - start) * 1000

        def fixed(_: int) -> float:
            request = application.call("80 orders", FUNCTION, user)
            asked.add(request, wanted)
            return request.ms

        return paired_ratio(
            RATIO, broken, fixed, LEAST_RATIO, 1,
            source=f"the referee's clock, 80 orders, {RTT_MS:g} ms of round trip",
            hint="few statements, and still slow: explain them. Does one read more than this user's rows?",
        )  # fmt: skip


def _blocks_of_the_incident(ctx: Context, user: int) -> int:
    with ctx.judge() as judge:
        workload.get_order_summary(judge, user)
        before = statements(judge)
        workload.get_order_summary(judge, user)
        return sum(
            query.shared_blks_hit + query.shared_blks_read for query in statements(judge).since(before)
        )


def _drawn(ctx: Context) -> dict[int, int]:
    """Number of orders → a user, whom no cell of the notebook names."""
    with ctx.oracle() as oracle:
        users = ctx.db.dataset.scales[ctx.db.scale].rows["users"]
        found = users_by_orders(oracle, ctx.rng, users, SIZES, 1, ctx.facts["public_users"])
    return {size: found[size][0] for size in SIZES}


@contextmanager
def _shop_is_open(
    ctx: Context, application: Application, wanted: dict[int, list[Order]]
) -> Iterator[dict[int, list[Order]]]:
    """Meanwhile each of the users has orders that were committed a moment ago, and old ones that are not what they were:
    whoever remembers the rest of the table answers wrong. Takes user → orders, gives user → orders of then, in JSON."""
    made = {
        user: new_orders(
            ctx.rng, 3 + number, FRESH_ID + ctx.rng.randrange(1, 10**9) * 1000, NOW + timedelta(days=1)
        )
        for number, user in enumerate(wanted)
    }
    changes = {user: draw_changes(ctx.rng, orders) for user, orders in wanted.items()}
    with ctx.judge() as judge:
        try:
            with application.uncounted():
                _close_the_shop(ctx, judge)
                ctx.db.note(CHANGES, [each for user in changes for each in changes[user]])
                for user, orders in made.items():
                    place(judge, user, orders)
                    change(judge, changes[user])
            yield {user: plain(made[user] + changed(wanted[user], changes[user])) for user in wanted}
        finally:
            with application.uncounted():
                _close_the_shop(ctx, judge)


def _close_the_shop(ctx: Context, judge: psycopg.Connection[Any]) -> None:
    """All is as it was; also what a referee left that was killed."""
    sweep(judge)
    change(judge, ctx.db.facts().get(CHANGES, []), back=True)
    ctx.db.note(CHANGES, [])


def _not_measured(name: str, points: float) -> Target:
    return Target(
        name, "fail", "not measured", "", "comes when what stands above is right", max_points=points
    )


def _rows(orders: list[Order]) -> int:
    return sum(1 + len(order["items"]) + len(order["shipments"]) for order in orders)


# -- answers ----------------------------------------------------------------------------------------------------------


def _same_answers(asked: _Asked) -> Target:
    pairs = [
        (request, request.answer, wanted)
        for request, wanted in zip(asked.requests, asked.wanted, strict=True)
    ]
    wrong = [
        (request, found, wanted)
        for request, found, wanted in pairs
        if found != wanted or first_difference(found, wanted)
    ]
    hint = f"{wrong[0][0].label}: {what_is_wrong(wrong[0][1], wrong[0][2])}" if wrong else ""
    return Target(
        "right answers", "fail" if wrong else "pass", f"{len(pairs) - len(wrong)} of {len(pairs)}", f"{len(pairs)} of {len(pairs)}",
        "the same users in the untouched dataset, and orders inserted just now", hint, required=True,
    )  # fmt: skip


def _as_it_was(ctx: Context) -> Target:
    """Tables, columns, constraints and indexes are those of the incident; required."""
    then, now = ctx.snapshot_then(), ctx.snapshot_now()
    found = safety.nothing_dropped(then, now, 0)
    for name, was in then["tables"].items():
        is_now = now["tables"].get(name, was)
        if (is_now["triggers"], is_now["rules"]) != (was["triggers"], was["rules"]):
            found = replace(
                found,
                measured=f"a trigger or rule on {name}",
                hint="every write pays for it from now on, and this page needs none: drop it",
            )
    return replace(found, name="tables, constraints, indexes and triggers changed", required=True)


# -- safe -------------------------------------------------------------------------------------------------------------


def safe(ctx: Context) -> list[Target]:
    """What the fix does besides. Without a fix there is nothing to be safe."""
    lost = _as_it_was(ctx)
    if lost.status == "fail":
        return [lost, _not_measured("the page", 3)]
    users = {80: _drawn(ctx)[80]}
    with ctx.oracle() as oracle:
        wanted = workload.get_order_summary(oracle, users[80])
    asked = _Asked()
    with Application(ctx) as application:
        application.call("80 orders", FUNCTION, users[80])  # the first one also reads the catalogs
        with _shop_is_open(ctx, application, {users[80]: wanted}) as now:
            request = application.call("80 orders and 3 new", FUNCTION, users[80])
            asked.add(request, now[users[80]])
        state = application.session_state()
    blocks = _blocks_of_the_incident(ctx, users[80])
    with ctx.judge() as judge:
        unchanged = safety.rows_unchanged(judge, ctx.facts["expected"], 0.5)
    return [
        lost,
        replace(_same_answers(asked), name="right answer"),
        queries.by_nobody_else(asked.requests),
        queries.calls_per_request(asked.requests, MOST_CALLS, 0),
        queries.rows_sent(asked.requests, asked.most_rows, 0, ROWS_HINT),
        queries.blocks_against(blocks, asked.requests[0], MOST_BLOCKS, 0, BLOCKS_HINT),
        replace(unchanged, required=True),
        safety.nothing_added(ctx.snapshot_then(), ctx.snapshot_now(), 1),
        _nothing_left_open(state),
        _on_a_read_only_connection(ctx, users[80]),
    ]  # fmt: skip


def _nothing_left_open(state: str) -> Target:
    good = state in ("idle", "gone")
    return Target(
        "the connection afterwards", "pass" if good else "fail", state, "idle", "pg_stat_activity",
        "" if good else "end what you begin: an open transaction holds back VACUUM, and its locks", 0.5,
    )  # fmt: skip


def _on_a_read_only_connection(ctx: Context, user: int) -> Target:
    """Reads go to a replica one day."""
    said = "answers"
    try:
        with Application(ctx, default_transaction_read_only="on") as application:
            application.call("80 orders", FUNCTION, user)
    except StudentError as error:
        said = str(error)[:160]
    good = said == "answers"
    return Target(
        "on a read-only connection", "pass" if good else "fail", said, "answers", "default_transaction_read_only = on",
        "" if good else "a page that only shows things must not write or lock: then a replica can serve it", 1,
    )  # fmt: skip


CHECKS = {
    "diagnose-tables": diagnose_tables,
    "diagnose-calls": diagnose_calls,
    "diagnose-largest": diagnose_largest,
    "fix": fix,
    "safe": safe,
}
