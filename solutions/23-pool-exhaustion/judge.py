"""What the referee does for this lab. Students never see it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg

from grader.checks import answers, loads, pool_settings
from grader.checks.connections import Watch
from grader.checks.student_pooler import Refused, Started, started
from grader.context import Context, public_rng
from grader.database import LabDatabase
from grader.spec import Spec
from grader.verdict import Status, Target
from pglab import load
from pglab.errors import ClusterError

workload = Spec.load("23-pool-exhaustion").workload()

POOL = 20  # of each service, in the incident
MOST_SERVERS = 50  # 003
# A tenth more than the launch: consoles, jobs, a deployment's second instances.
CLIENTS = 1.1 * workload.CROWD
STALL_S = 2.0
PATIENCE_S = {  # what drops a client sooner than that gives up on it
    "query_wait_timeout": 10, "query_timeout": 10, "transaction_timeout": 10, "idle_transaction_timeout": 5, "client_idle_timeout": 60,
}  # fmt: skip
PATIENT = "none: a stall may last 10 s"
LONGEST_WAIT_S = 600.0
DIRECT = "direct"  # how the baseline's connections are named
BASELINE_POOL = 24  # three times what is in a transaction at a time
LEAST_SHARE = 0.5  # of the baseline's throughput; a right fix has 1.0, a pool of one 0.1
MOST_SLOWER = 5.0  # × the baseline's p99; a right fix has 1.0, a pool of one 15 and more
MOST_HOLDS = 12.0  # × the time that a request works: where the baseline's p99 is above that, nothing can be said of the fleet
QUICKER = 2.0  # × as quick as the learner's fleet: as many transactions at a time, as many requests in half the time
RUN_S = 2
CROWD_S = 1  # after the last of them has come in; each has been answered by then
TRIES = 3
DIAGNOSED = "your cluster and your fleet"


def prepare(db: LabDatabase) -> dict[str, Any]:
    """Draw a fleet. The failure is there already: its pools do not fit into max_connections."""
    rng = public_rng(db)
    with db.admin() as admin:
        rows = admin.execute(
            "SELECT name, setting::int FROM pg_settings WHERE name = 'max_connections' OR name LIKE '%reserved_connections'"
        ).fetchall()
    limits: dict[str, int] = dict(rows)
    most = limits.pop("max_connections")
    return {"params": {"fleet": _draw(rng)}, "most": most, "usable": most - sum(limits.values())}


def _draw(rng: random.Random, quicker: float = 1.0) -> dict[str, Any]:
    """A fleet of about fifty services with about eight transactions at a time."""
    busy, hold_ms = rng.uniform(7.2, 8.8), round(rng.randrange(115, 146) / quicker)
    return {
        "services": rng.randrange(46, 55), "rate": round(busy / hold_ms * 1000), "hold_ms": hold_ms, "seed": rng.randrange(1, 10**6)
    }  # fmt: skip


def diagnose_demand(ctx: Context) -> list[Target]:
    """{"wanted": …, "usable": …}"""
    given = ctx.answer if isinstance(ctx.answer, dict) else {}
    wanted, most = ctx.facts["params"]["fleet"]["services"] * POOL, ctx.facts["most"]
    return [
        answers.number("connections that the fleet wants", given.get("wanted"), wanted, 0.5, source=DIAGNOSED, within=0,
                       hint="every service opens its whole pool: services × pool"),
        answers.number("connections that it can have", given.get("usable"), ctx.facts["usable"], 0.5, source="pg_settings", within=0,
                       hint="max_connections, less what the server keeps for others",
                       traps=[(most, "max_connections counts every connection; superuser_reserved_connections of them are not for applications")]),
    ]  # fmt: skip


def diagnose_dark(ctx: Context) -> list[Target]:
    """A number."""
    services = ctx.facts["params"]["fleet"]["services"]
    lit = -(-ctx.facts["usable"] // POOL)  # the last of them has part of its pool
    dark = services - lit - 1  # in the rush for the last places, two or three share them: give or take two
    trap = (lit, "that is how many have connections; how many services are there in all?")
    hint = "count the different application_name of the fleet in pg_stat_activity while it is at work, and compare with the number of services"
    return [answers.number("services without a connection", ctx.answer, dark, 1, source=DIAGNOSED, within=2.01 / dark, hint=hint, traps=[trap])]  # fmt: skip


def diagnose_busy(ctx: Context) -> list[Target]:
    """A number, by how the machine was that day: from half to twice what Little's law says."""
    fleet = ctx.facts["params"]["fleet"]
    busy = fleet["rate"] * fleet["hold_ms"] / 1000
    most = fleet["services"] * POOL
    return [
        answers.number(
            "connections in a transaction at a time", ctx.answer, 1.25 * busy, 1, source="rate × transaction time (Little's law)", within=0.62,
            hint="count those whose state is not idle: active, and idle in transaction, which is a service at work on an answer",
            traps=[(most * share, "that counts idle connections as well: they have nothing to do") for share in (0.3, 0.8)],
        )
    ]  # fmt: skip


# -- what the settings say --------------------------------------------------------------------------------------------


def _read(ctx: Context) -> tuple[str, int]:
    """The answer: {"ini": text, "service_pool": number}."""
    given, source = ctx.answer if isinstance(ctx.answer, dict) else {}, "your answer"
    ini, pool = given.get("ini"), given.get("service_pool")
    if "max_connections" in given:
        hint = "a pooler is there so that the primary needs no more of them: each costs it memory and a process, idle or not"
        raise Refused(f"max_connections = {given['max_connections']}", f"max_connections stays {ctx.facts['most']}", source, hint)  # fmt: skip
    if not isinstance(ini, str) or not ini.strip():
        raise Refused(
            "no pgbouncer.ini yet", "pgbouncer.ini as text", source, "start with [databases] and [pgbouncer]"
        )
    if isinstance(pool, bool) or not isinstance(pool, int) or not 1 <= pool <= 100:
        raise Refused(
            f"service_pool = {pool!r}",
            "a whole number from 1 to 100",
            source,
            "how many connections does each service open?",
        )
    return ini, pool


def _room(trial: Started, service_pool: int, fleet: dict[str, Any]) -> Target:
    """No pool is smaller than what is in a transaction at a time, on average."""
    busy = fleet["rate"] * fleet["hold_ms"] / 1000
    busiest = workload.BUSIEST * busy
    enough = trial.may.servers > busy and service_pool > busiest
    return Target(
        "room for the work itself", "pass" if enough else "fail", f"{trial.may.servers} server connections, {service_pool} for each service",
        f"> {busy:.1f}, and > {busiest:.1f} for the busiest service", "rate × transaction time (Little's law)",
        "" if enough else "that is how many are in a transaction at a time, on average: with less room the queue grows without end", required=True,
    )  # fmt: skip


# -- fix --------------------------------------------------------------------------------------------------------------


def fix(ctx: Context) -> list[Target]:
    """The student's PgBouncer under the fleet, in a stall, and under the crowd of the launch."""
    try:
        ini, service_pool = _read(ctx)
        with started(ctx, ini) as trial:
            return _fix(ctx, trial, service_pool)
    except Refused as refused:
        return [refused.target(6)]


def _fix(ctx: Context, trial: Started, service_pool: int) -> list[Target]:
    plan, clients = _draw(ctx.rng, QUICKER), workload.most_clients()
    crowd: load.LoadResult | None = None
    with Watch(ctx.db.cluster.primary, trial.pooler, trial.past["user"], f"{DIRECT}%") as watch:
        ctx.step(f"the fleet: {plan['services']} services with {service_pool} connections each")
        run, stall, waited = asyncio.run(_drive(trial, service_pool, plan, watch))
        if stall is not None and not loads.lost(stall):
            ctx.step(f"the launch: {clients:,} clients")
            program = str(ctx.db.cluster.binaries["pgbench"])
            crowd = load.pgbench(
                trial.through, workload.CROWD_SCRIPT, clients=clients, seconds=CROWD_S, seed=plan["seed"], program=program
            )  # fmt: skip
    if watch.trouble:
        raise ClusterError(f"The referee's own connection broke ({watch.trouble})", "Check again")
    untried: Status = "fail" if run.good or run.clear else "error"
    few_files = f"; this machine's limit on open files allows no {workload.CROWD:,}"
    return [
        pool_settings.taken(trial),
        pool_settings.transaction_mode(trial),
        _room(trial, service_pool, plan),
        *run.targets("the fleet", f"{BASELINE_POOL} direct connections", _why(run, trial, service_pool, waited)),
        pool_settings.drops_nobody(trial, PATIENCE_S, PATIENT),
        loads.nothing_lost(
            f"requests lost while long queries hold every connection for {STALL_S:g} s", stall, "the fleet, and pg_sleep on each server connection",
            "the pooler's own words: what does that setting do to a client that has to wait?", after="the fleet", untried=untried,
        ),
        loads.nothing_lost(
            f"errors of {clients:,} clients at once", crowd, "pgbench" + (few_files if clients < workload.CROWD else ""),
            "max_client_conn is the number at the front door: how many come?", 1, after="the stall", untried=untried, served=True,
        ),
        pool_settings.server_connections(trial, MOST_SERVERS, ctx.facts["usable"], 2, watch),
    ]  # fmt: skip


async def _drive(
    trial: Started, service_pool: int, plan: dict[str, Any], watch: Watch
) -> tuple[loads.SideBySide, load.LoadResult | None, str]:
    """The fleet and the baseline side by side, in one loop, with the same arrivals; then the fleet in a stall.

    Returns: the run, the stall when it came to that, and what waited in the pooler during the run.
    """
    fleet = workload.Fleet(trial.through, pool=service_pool, **plan)
    base = workload.Fleet(trial.past, pool=BASELINE_POOL, name=DIRECT, **{**plan, "services": 1})
    async with base, fleet:
        for _ in range(TRIES):
            past, through = await asyncio.gather(base.send(RUN_S), fleet.send(RUN_S))
            run = loads.SideBySide(through, past, LEAST_SHARE, MOST_SLOWER, MOST_HOLDS * plan["hold_ms"])
            if run.good or run.missed:
                break
        waited = f"{watch.waiting:,} clients waited for {watch.busy} busy server connections" if watch.waiting else ""  # fmt: skip
        if not run.good:
            return run, None, waited
        reports = [_report(trial.through) for _ in range(min(trial.may.servers, MOST_SERVERS))]
        stall, *_ = await asyncio.gather(fleet.send(STALL_S / 2), *reports, return_exceptions=True)
        if isinstance(stall, BaseException):
            raise stall
        return run, stall, waited


async def _report(conninfo: dict[str, Any]) -> None:
    """A long query that has a server connection to itself."""
    async with await psycopg.AsyncConnection.connect(
        **conninfo, autocommit=True, prepare_threshold=None
    ) as conn:
        await conn.execute("SELECT pg_sleep(%s)", [STALL_S])


def _why(run: loads.SideBySide, trial: Started, service_pool: int, waited: str) -> str:
    """The next step when the fleet did not go well."""
    if run.tried.errors:
        return "those are the words of the server or the pooler: which setting refuses or drops clients?"
    if trial.may.pool_mode == "session":
        return f"{waited or 'clients waited'} (SHOW POOLS): who holds those, and until when?"
    if waited:
        return f"{waited} (SHOW POOLS): how many transactions are open at a time?"
    return f"PgBouncer had connections to lend: requests waited in the services, for the {service_pool} of their own pool"


# -- safe -------------------------------------------------------------------------------------------------------------


def safe(ctx: Context) -> list[Target]:
    """What the numbers would do on other days. A configuration that cannot work has nothing to be safe."""
    try:
        ini, service_pool = _read(ctx)
        with started(ctx, ini) as trial:
            return _safe(ctx, trial, service_pool)
    except Refused as refused:
        return [refused.target(3)]


def _safe(ctx: Context, trial: Started, service_pool: int) -> list[Target]:
    fleet, may, usable = ctx.facts["params"]["fleet"], trial.may, ctx.facts["usable"]
    together = fleet["services"] * service_pool
    wait_s = may.timeouts.get("query_wait_timeout", float("inf"))
    return [
        pool_settings.transaction_mode(trial),
        pool_settings.drops_nobody(trial, PATIENCE_S, PATIENT),
        pool_settings.server_connections(trial, MOST_SERVERS, usable, 0),
        _room(trial, service_pool, fleet),
        Target("max_client_conn", "pass" if may.clients >= CLIENTS else "fail", f"{may.clients:,}", f"≥ {CLIENTS:,.0f}: the launch and a tenth more",
               "SHOW CONFIG", "" if may.clients >= CLIENTS else "who comes last is refused: a console, a job, the new half of a deployment", 1),
        Target("all the services' pools together", "pass" if together <= usable else "fail", f"{fleet['services']} × {service_pool} = {together:,}", f"≤ {usable}",
               "your fleet; pg_settings", "" if together <= usable else "one day somebody points the fleet past the pooler: then this is what the primary gets", 1),
        Target("the longest that a client waits in vain", "pass" if wait_s <= LONGEST_WAIT_S else "fail", "forever" if wait_s == float("inf") else f"{wait_s:g} s",
               f"≤ {LONGEST_WAIT_S:g} s", "query_wait_timeout", "" if wait_s <= LONGEST_WAIT_S else "0 turns the limit off: a dead primary then looks like a slow one", 1),
    ]  # fmt: skip


CHECKS = {
    "diagnose-demand": diagnose_demand,
    "diagnose-dark": diagnose_dark,
    "diagnose-busy": diagnose_busy,
    "fix": fix,
    "safe": safe,
}
