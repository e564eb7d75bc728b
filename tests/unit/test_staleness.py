"""Reads on a lagging replica: which of them count against a router, and what the learner is told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from grader.checks import staleness


@dataclass(frozen=True)
class Write:
    phone: str = "new"
    lsn: str = "0/2000"


@dataclass(frozen=True)
class Read:
    session: str = "s1"
    node: str = "replica"
    told: str | None = "0/1000"
    last: Write | None = None
    found: str | None = "new"
    age_ms: float | None = None
    stale: bool = False
    free: bool = True
    failed: str = ""


STALE = Read(last=Write(), found="old", age_ms=212, stale=True, free=False)
VISIT = Read()


def test_a_stale_read_is_told_with_its_session_values_and_positions() -> None:
    found = staleness.stale_reads([VISIT, STALE], 3)
    assert (found.status, found.points, found.required) == ("fail", 0, True)
    for evidence in ("1 of 1 reads", "s1", "'new' at 0/2000", "212 ms later", "'old'", "replica", "0/1000"):
        assert evidence in found.measured


def test_no_value_is_told_as_the_database_says_it() -> None:
    found = staleness.stale_reads([Read(last=Write(), age_ms=5, stale=True, free=False, found=None)], 3)
    assert "read NULL from the replica" in found.measured


def test_without_a_stale_read_all_points() -> None:
    found = staleness.stale_reads([VISIT, Read(last=Write(), age_ms=900)], 3)
    assert (found.status, found.points, found.hint) == ("pass", 3, "")


def test_a_window_that_is_too_short_is_told_apart_from_none() -> None:
    at_once = Read(last=Write(), found="old", age_ms=2, stale=True, free=False)
    assert "know of the session" in staleness.stale_reads([STALE, at_once], 3).hint
    assert "from 212 ms on" in staleness.stale_reads([STALE], 3).hint


def test_a_visitor_on_the_primary_counts_while_the_replica_is_in_service() -> None:
    during = Read(node="primary", told=None, free=False)
    assert staleness.visitors_on_the_primary([VISIT, during], 1).status == "pass"
    found = staleness.visitors_on_the_primary([VISIT, Read(node="primary")], 1)
    assert found.status == "fail"
    assert "1 of 2" in found.measured
    assert "by session" in found.hint
    assert "no work" in staleness.visitors_on_the_primary([Read(node="primary")], 1).hint


@pytest.mark.parametrize(("on_replica", "status"), [(80, "pass"), (79, "fail")])
def test_the_share_is_of_the_reads_that_the_replica_could_answer(on_replica: int, status: str) -> None:
    needed = [Read(node="primary", free=False)] * 500
    reads = [VISIT] * on_replica + [Read(node="primary")] * (100 - on_replica) + needed
    assert staleness.share_of_the_replica(reads, 2).status == status


def test_who_never_goes_back_to_the_replica_is_told_so() -> None:
    long_ago = Read(node="primary", last=Write(), age_ms=6_000)
    found = staleness.share_of_the_replica([VISIT, *[long_ago] * 9], 2)
    assert found.measured == "10% of 10"
    assert found.hint.startswith("9 of the others")


def test_no_reads_are_no_pass() -> None:
    assert staleness.share_of_the_replica([], 2).status == "fail"


def test_a_few_slow_calls_are_the_machines_many_are_the_routers() -> None:
    assert staleness.no_waiting([1.0] * 90 + [250.0] * 3, 400).status == "pass"
    found = staleness.no_waiting([1.0] * 90 + [250.0] * 4, 400)
    assert (found.status, found.required) == ("fail", True)
    assert "4 of 94, the longest 250 ms" in found.measured
    assert staleness.no_waiting([150.0] * 50, 400).status == "pass"


def test_reads_without_the_replica() -> None:
    fine, failed = Read(node="primary", told=None), Read(told=None, failed="the replica was stopped")
    assert staleness.answered_without_the_replica([VISIT, fine], 1).status == "pass"
    found = staleness.answered_without_the_replica([VISIT, fine, failed], 1)
    assert (found.status, found.measured) == ("fail", "1 of 2 reads")


def test_a_refused_write_costs_the_check() -> None:
    found = staleness.no_write_refused(["s1: cannot execute UPDATE in a read-only transaction"])
    assert (found.status, found.required) == ("fail", True)
    assert "read-only" in found.measured
