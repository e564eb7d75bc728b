"""What a student's pooler is set to, as its own console says it: mode, patience, connections."""

from __future__ import annotations

from collections.abc import Mapping

from grader.checks.connections import Watch
from grader.checks.student_pooler import Started
from grader.verdict import Target

_OTHER_MODES = {
    "session": "in session mode a client keeps its server connection until it disconnects, and a service's pool never does",
    "statement": "in statement mode a transaction of two statements is refused",
}


def taken(trial: Started) -> Target:
    """PgBouncer runs with it; with a note on each line that was left out."""
    said = "; ".join(["taken", *trial.notes])
    return Target("your configuration", "pass", said, "PgBouncer takes it", "PgBouncer's log", required=True)


def transaction_mode(trial: Started) -> Target:
    """A server connection is lent for one transaction."""
    mode = trial.may.pool_mode
    hint = _OTHER_MODES.get(mode, "")
    status, wanted = "fail" if hint else "pass", "transaction"
    return Target("pool_mode", status, mode, wanted, "SHOW POOLS", hint, required=True)  # type: ignore[arg-type]


def drops_nobody(trial: Started, least_s: Mapping[str, float], wanted: str) -> Target:
    """No setting drops a client sooner than after so many seconds. least_s: setting → seconds."""
    hasty = [f"{name} = {at:g} s" for name, at in trial.may.timeouts.items() if at < least_s[name]]
    hint = "a request that waits is late; one that is dropped is lost, and the fleet gives up without a word to anybody"
    return Target(
        "settings that drop clients too soon", "fail" if hasty else "pass", ", ".join(hasty) or "none", wanted,
        "SHOW CONFIG", hint if hasty else "", required=True,
    )  # fmt: skip


def server_connections(
    trial: Started, most: int, usable: int, points: float, watch: Watch | None = None
) -> Target:
    """Both what was seen and what the settings allow stay at or under a number.

    Args:
        most: that number; usable: connections that the primary has for applications; watch: of a load that has ended.
    """
    may, seen = trial.may, watch.most if watch else 0
    good = seen <= most and may.servers <= most
    if may.servers > usable:
        hint = f"that is more than the {usable} that the primary has for applications, and no pooler raises max_connections: let clients share fewer"
    elif may.reserve and may.servers - may.reserve <= most:
        hint = "reserve_pool_size comes on top of default_pool_size: their sum counts"
    else:
        hint = "each of them is a process of the primary: how many are in a transaction at a time?"
    return Target(
        "server connections", "pass" if good else "fail", (f"{seen} seen, " if watch else "") + f"{may.servers} allowed", f"≤ {most}",
        (f"pg_stat_activity, {watch.samples} samples; " if watch else "") + "SHOW DATABASES", "" if good else hint, points, required=True,
    )  # fmt: skip
