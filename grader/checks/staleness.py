"""Reads on a primary and a lagging replica: who was given old data, and who did the work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from grader.verdict import Status, Target

SEEN = "the referee's sessions on both nodes"
LEAST_SHARE = 0.8
LONG_AGO_MS = 5_000  # the longest window that is usual
MOST_WAITS = 3


class Write(Protocol):
    """A committed write."""

    @property
    def phone(self) -> str: ...
    @property
    def lsn(self) -> str: ...


class Read(Protocol):
    """A read as it happened.

    told: the replica's position just before it, None while it was out of service; last: the session's last write;
    age_ms: since that; stale: an older value than that came back; free: the replica could have answered it;
    failed: why nothing came back.
    """

    @property
    def session(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def told(self) -> str | None: ...
    @property
    def last(self) -> Write | None: ...
    @property
    def found(self) -> str | None: ...
    @property
    def age_ms(self) -> float | None: ...
    @property
    def stale(self) -> bool: ...
    @property
    def free(self) -> bool: ...
    @property
    def failed(self) -> str: ...


def stale_reads(reads: Sequence[Read], points: float) -> Target:
    """No session is given an older value than it wrote; nothing else counts when one is."""
    own = [read for read in reads if read.last is not None]
    stale = [read for read in own if read.stale]
    measured, hint = f"{len(stale):,} of {len(own):,} reads", ""
    if stale:
        worst = max(stale, key=lambda read: read.age_ms or 0)
        assert worst.last is not None
        measured += (
            f": session {worst.session} wrote {worst.last.phone!r} at {worst.last.lsn}, and {worst.age_ms:,.0f} ms later read "
            f"{'NULL' if worst.found is None else repr(worst.found)} from the {worst.node}"
            + (f", which was at {worst.told}" if worst.told else "")
        )
        soonest = min(read.age_ms or 0 for read in stale)
        hint = (
            "the replica had not replayed that write yet. What did the router know of the session's last write?"
            if soonest < 50
            else f"reads right after a write were fine, those from {soonest:,.0f} ms on were not: the replica was further "
            "behind than your router allows for"
        )
    return Target(
        "reads that gave a session an older value than it wrote", _status(not stale), measured, "0", SEEN, hint, points, required=True
    )  # fmt: skip


def visitors_on_the_primary(reads: Sequence[Read], points: float) -> Target:
    """A session that never wrote reads from the replica, whatever the others do, while the replica is in service."""
    visits = [read for read in reads if read.last is None and read.told is not None]
    sent = [read for read in visits if read.node == "primary"]
    measured, hint = f"{len(sent):,} of {len(visits):,} reads", ""
    if sent:
        measured += f", session {sent[0].session} among them"
        hint = (
            "the replica does no work now, and the primary all of it: which sessions have written what they could miss?"
            if len(sent) == len(visits)
            else "that one of the sessions wrote says nothing about the others: remember it by session"
        )
    return Target(
        "reads of sessions that never wrote, sent to the primary", _status(not sent), measured, "0", SEEN, hint, points, required=True
    )  # fmt: skip


def share_of_the_replica(reads: Sequence[Read], points: float, *, required: bool = False) -> Target:
    """Of the reads that the replica could have answered right, most went there."""
    free = [read for read in reads if read.free]
    there = [read for read in free if read.node == "replica"]
    share = len(there) / len(free) if free else 0.0
    long_ago = [read for read in free if read.node == "primary" and (read.age_ms or 0) > LONG_AGO_MS]
    hint = "which of these sessions have a write that the replica does not show yet? Only their reads need the primary"
    if long_ago:
        hint = (
            f"{len(long_ago):,} of the others were reads of sessions whose last write was more than {LONG_AGO_MS / 1000:g} s ago: "
            "when may a session that wrote go back to the replica?"
        )
    good = share >= LEAST_SHARE
    return Target(
        "other reads answered by the replica", _status(good), f"{share:.0%} of {len(free):,}", f"≥ {LEAST_SHARE:.0%}", SEEN,
        "" if good else hint, points, required,
    )  # fmt: skip


def slow_calls(router_ms: Sequence[float], lag_ms: float) -> list[float]:
    """The calls of the router that took longer than half the lag: they waited for the replica, or for a clock."""
    return [ms for ms in router_ms if ms > lag_ms / 2]


def no_waiting(router_ms: Sequence[float], lag_ms: float) -> Target:
    """The router decides; it does not keep people waiting until the replica has caught up."""
    slow = slow_calls(router_ms, lag_ms)
    good = len(slow) <= MOST_WAITS
    return Target(
        "calls of the router that waited", _status(good),
        f"{len(slow):,} of {len(router_ms):,}" + (f", the longest {max(slow):,.0f} ms" if slow else ""),
        f"≤ {MOST_WAITS}, longer than half of the replica's lag of {lag_ms:,.0f} ms", "the referee's clock",
        "" if good else "a sleep makes each request as slow as the lag, and is too short when the lag grows. The primary has the data now",
        required=True,
    )  # fmt: skip


def no_write_refused(refused: Sequence[str]) -> Target:
    """Every write goes to the primary: a replica refuses it."""
    return Target(
        "writes sent to the replica", _status(not refused), f"{len(refused)}" + (f": {refused[0]}" if refused else ""), "0", SEEN,
        "only the primary takes writes" if refused else "", required=True,
    )  # fmt: skip


def answered_without_the_replica(reads: Sequence[Read], points: float) -> Target:
    """While the replica was stopped, every read was answered."""
    there = [read for read in reads if read.told is None]
    failed = [read for read in there if read.failed]
    return Target(
        "reads that failed while the replica was stopped", _status(not failed), f"{len(failed):,} of {len(there):,} reads", "0", SEEN,
        "replica_lsn was None: the replica is out of service, and the primary is there" if failed else "", points,
    )  # fmt: skip


def _status(good: bool) -> Status:
    return "pass" if good else "fail"
