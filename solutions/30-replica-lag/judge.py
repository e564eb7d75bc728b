"""What the referee does for this lab. Students never see it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from grader.checks import answers, staleness
from grader.context import Context, public_rng
from grader.database import LabDatabase
from grader.router import RouterInTheKernel
from grader.spec import Spec
from grader.verdict import Target
from pglab.cluster import ports
from pglab.errors import ClusterError

workload = Spec.load("30-replica-lag").workload()

LAG_MS = 400  # the lab's, and the story's: 10 to 500 ms
LOG = "your request_log"

REQUEST_LOG = """
CREATE TABLE public.request_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, session text NOT NULL, kind text NOT NULL,
    node text NOT NULL, user_id bigint NOT NULL, phone text NOT NULL, lsn pg_lsn
)"""


# -- the incident -----------------------------------------------------------------------------------------------------


def prepare(db: LabDatabase) -> dict[str, Any]:
    """Hold the replica back, and let sessions write and read through the router of the incident; keep its log."""
    rng = public_rng(db)
    replica = db.cluster.replica()
    replica.wait_for_catchup()
    replica.set_apply_delay(LAG_MS)
    with db.judge() as on_primary, db.judge(replica) as on_replica:
        # A read or a write of a user whose number is NULL would need IS DISTINCT FROM to be told apart.
        known = on_primary.execute("SELECT id FROM users WHERE phone IS NOT NULL ORDER BY id").fetchall()
        users = [user for (user,) in rng.sample(known, 120)]
        shop = workload.Shop(on_primary, on_replica, workload.ReadsToTheReplica())
        evening = workload.Evening(shop, rng, users[80:])
        for _ in range(rng.randrange(14, 20)):
            after = [rng.uniform(0.02, 0.7) for _ in range(rng.randrange(2, 6))]
            evening.add(rng.uniform(0, 0.8), evening.write, evening.session(), after)
        evening.visitors(20, 60, 0, 1.4)
        evening.run()
    profiles = [read for read in shop.reads if read.statement == workload.PROFILE]
    with db.admin() as admin, admin.transaction():
        _keep_log(admin, db.name, shop.writes, profiles)
    replica.wait_for_catchup()
    own = [read for read in profiles if read.last is not None]
    stale = [read for read in own if read.stale]
    firsts = {read.session: read for read in reversed(own)}
    tickets = [read for read in firsts.values() if read.stale and read.told]
    if not tickets:
        raise ClusterError("The replica was not behind when it should have been", "Run the cell again")
    ticket = rng.choice(tickets)
    return {
        "params": {"session": ticket.session, "user_id": users[0], "users": users[:80]},
        "stale": len(stale),
        "stale_sessions": len({read.session for read in stale}),
        "after_a_write": len(own),
        "bytes": workload.as_number(ticket.last.lsn) - workload.as_number(ticket.told),
    }


def _keep_log(admin: psycopg.Connection[Any], owner: str, writes: list[Any], reads: list[Any]) -> None:
    admin.execute(REQUEST_LOG)
    admin.execute(sql.SQL("ALTER TABLE public.request_log OWNER TO {}").format(sql.Identifier(owner)))
    entries = [(w.at, w.session, "write", "primary", w.user_id, w.phone, w.lsn) for w in writes]
    entries += [(r.at, r.session, "read", r.node, r.key, r.found, r.told) for r in reads]
    with admin.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO public.request_log (at, session, kind, node, user_id, phone, lsn) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(datetime.fromtimestamp(entry[0], UTC), *entry[1:]) for entry in sorted(entries)],
        )


# -- diagnose ---------------------------------------------------------------------------------------------------------


def diagnose_lag(ctx: Context) -> list[Target]:
    """A number of ms, as well as it can be measured on a busy machine."""
    answer = (
        round(ctx.answer, 1) if isinstance(ctx.answer, float) and math.isfinite(ctx.answer) else ctx.answer
    )
    return [
        answers.number(
            "ms until the replica shows a write", answer, LAG_MS * 1.1, 1,
            source="your replica, as you could measure it", within=0.2,
            hint="write, take the time, and ask the replica until it shows the write",
            traps=[(LAG_MS / 900, "that is seconds")],
        )
    ]  # fmt: skip


def diagnose_stale(ctx: Context) -> list[Target]:
    """A number of reads."""
    facts = ctx.facts
    return [
        answers.number(
            "reads older than the session's own write", ctx.answer, facts["stale"], 1, source=LOG, within=0.0005,
            hint="compare each read's phone with the last write of the same session before it",
            traps=[
                (facts["stale_sessions"], "that is the number of sessions: count their reads"),
                (facts["after_a_write"], "that is every read of a session that had written: some of them were right"),
            ],
        )
    ]  # fmt: skip


def diagnose_bytes(ctx: Context) -> list[Target]:
    """A number of bytes."""
    truth = ctx.facts["bytes"]
    return [
        answers.number(
            "bytes of WAL between the write and the read", ctx.answer, truth, 1, source=LOG, within=0.0005,
            hint="the lsn of the write less the lsn of that session's first read after it",
            traps=[(-truth, "the other way round: which of the two positions is further on?")],
        )
    ]  # fmt: skip


# -- the student's router ---------------------------------------------------------------------------------------------


@contextmanager
def _evening(ctx: Context) -> Iterator[Any]:
    """An evening on both nodes as the lab says they are; they are so again afterwards."""
    replica = ctx.db.cluster.replica()
    replica.start()
    replica.set_apply_delay(LAG_MS)
    replica.wait_for_catchup()
    users = ctx.rng.sample(range(1, ctx.db.dataset.scales[ctx.db.scale].rows["users"] + 1), 200)
    # Whatever the student set for the role: a commit must not return before its WAL is written.
    with ctx.judge(synchronous_commit="on") as primary, ctx.judge(replica) as on_replica:
        try:
            shop = workload.Shop(primary, on_replica, RouterInTheKernel(ctx))
            yield workload.Evening(shop, ctx.rng, users)
        finally:
            replica.start()
            replica.set_apply_delay(LAG_MS)


def _run(evening: Any) -> None:
    """To the end; a router that waits each time is found out before it."""

    def enough() -> bool:
        slow = staleness.slow_calls(evening.shop.router_ms, LAG_MS)
        return len(slow) >= 4 * staleness.MOST_WAITS or (
            len(slow) > staleness.MOST_WAITS and sum(slow) > 8_000
        )

    evening.run(enough)


def fix(ctx: Context) -> list[Target]:
    """400 ms behind, then about 700; who wrote in the first second is back at the end, five seconds later."""
    rng, lag, longer = ctx.rng, LAG_MS / 1000, ctx.rng.uniform(0.65, 0.75)
    with _evening(ctx) as evening:
        early = [evening.session() for _ in range(14)]

        def write_once(who: tuple[str, int]) -> None:
            evening.write(who, [*evening.soon(lag, 4), 2.0])
            written.append(who)
            if len(written) == len(early):
                ctx.step(f"the replica is {longer * 1000:.0f} ms behind now")
                ctx.db.cluster.replica().set_apply_delay(int(longer * 1000))
                for session in early * 62:
                    evening.add(evening.now() + rng.uniform(5.3, 5.9), evening.shop.read, *session)

        def write_often(who: tuple[str, int]) -> None:
            evening.write(who, evening.soon(longer, 4))
            if evening.now() < 5.4:
                evening.add(evening.now() + rng.uniform(0.6, 1.4), write_often, who)

        written: list[tuple[str, int]] = []
        ctx.step(f"sessions write and read, the replica is {LAG_MS} ms behind")
        for who in early:
            evening.add(rng.uniform(0, 1.0), write_once, who)
        for _ in range(12):
            evening.add(rng.uniform(1.2, 2.2), write_often, evening.session())
        evening.visitors(40, 480, 0, 7.0)
        _run(evening)
    reads, router_ms = evening.shop.reads, evening.shop.router_ms
    return [
        staleness.stale_reads(reads, 3),
        staleness.visitors_on_the_primary(reads, 1),
        staleness.share_of_the_replica(reads, 2),
        staleness.no_waiting(router_ms, LAG_MS),
        staleness.no_write_refused(evening.shop.refused),
        _users_untouched(ctx),
    ]


def safe(ctx: Context) -> list[Target]:
    """The replica is stopped, and comes back 1.5 s behind."""
    rng, lag, behind = ctx.rng, LAG_MS / 1000, ctx.rng.uniform(1.4, 1.6)
    replica = ctx.db.cluster.replica()
    with _evening(ctx) as evening, ExitStack() as opened, ExitStack() as port_kept:

        def stop() -> None:
            ctx.step("the replica is stopped")
            shown = replica.replay_lsn()
            evening.shop.replica = None
            port = replica.port
            replica.stop()
            port_kept.enter_context(ports.held(port))  # the student's kernel knows the replica by it
            now = evening.now()
            evening.visitors(10, 60, now, now + 0.8)
            for _ in range(6):
                evening.add(rng.uniform(now, now + 0.6), evening.write, evening.session(), [0.1, 0.4, 2.4])
            evening.add(now + 0.8, come_back, shown)

        def come_back(shown: str) -> None:
            ctx.step(f"the replica is back, {behind * 1000:.0f} ms behind")
            replica.set_apply_delay(int(behind * 1000))
            port_kept.close()
            replica.start()
            replica.wait_for_catchup(shown)  # what it showed once, it shows again
            conn = opened.enter_context(ctx.judge(replica))
            for _ in range(8):
                evening.write(evening.session(), [rng.uniform(0, behind) for _ in range(6)])
            evening.shop.replica = conn
            now = evening.now()
            evening.visitors(30, 520, now, now + behind)
            for _ in range(8):
                after = [rng.uniform(0.1, behind)]
                evening.add(now + rng.uniform(0, 0.6), evening.write, evening.session(), after)

        evening.visitors(20, 200, 0, 0.8)
        for _ in range(6):
            evening.add(rng.uniform(0, 0.7), evening.write, evening.session(), evening.soon(lag, 3))
        evening.add(0.8, stop)
        _run(evening)
    reads, router_ms = evening.shop.reads, evening.shop.router_ms
    return [
        staleness.answered_without_the_replica(reads, 1),
        staleness.stale_reads(reads, 1),
        staleness.visitors_on_the_primary(reads, 0),
        staleness.share_of_the_replica(reads, 0.5, required=True),
        _positions(ctx, router_ms),
        staleness.no_waiting(router_ms, LAG_MS),
        staleness.no_write_refused(evening.shop.refused),
        _users_untouched(ctx),
    ]


def _positions(ctx: Context, router_ms: list[float]) -> Target:
    """The router, asked about positions that this young cluster has not reached yet: a text compares them wrong.

    One that waits is not asked: it would wait for ever.
    """
    router = RouterInTheKernel(ctx)
    waits = len(staleness.slow_calls(router_ms, LAG_MS)) > staleness.MOST_WAITS
    wrong = "not asked, the router waits" if waits else ""
    for earlier, later in () if waits else (("9/FFFFFFF8", "10/28"), ("0/FFFFFF8", "0/10000000")):
        session = f"s{ctx.rng.randrange(16**6):06x}"
        router.wrote(session, later)
        if router.route(session, workload.PROFILE, earlier) != "primary":
            wrong = f"a session that wrote at {later} was sent to a replica that was at {earlier}"
    return Target(
        "positions of which one has more digits", "fail" if wrong else "pass", wrong or "compared as numbers", "compared as numbers",
        "your router, asked about made-up positions", "0/FFFFFF8 is the smaller number, and as text it is the greater one" if wrong and not waits else "", 0.5,
    )  # fmt: skip


def _users_untouched(ctx: Context) -> Target:
    """The table is one, with no trigger, rule or policy of the student's: what is read there was written there."""
    then, now = ctx.snapshot_then(), ctx.snapshot_now()
    good = now["tables"].get("users") == then["tables"]["users"]
    return Target(
        "table users", "pass" if good else "fail", "as it was" if good else "changed", "as it was", "pg_class",
        "" if good else "put it back; lab.reset() gives you a fresh incident", required=True,
    )  # fmt: skip


CHECKS = {
    "diagnose-lag": diagnose_lag,
    "diagnose-stale": diagnose_stale,
    "diagnose-bytes": diagnose_bytes,
    "fix": fix,
    "safe": safe,
}
