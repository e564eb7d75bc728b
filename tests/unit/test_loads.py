"""What is made of a load that has ended, alone and beside a baseline."""

from __future__ import annotations

from typing import Any

import pytest

from grader.checks.loads import SideBySide, lost, nothing_lost
from pglab.load import LoadResult


def result(requests: int = 200, p99_ms: float = 200.0, **more: Any) -> LoadResult:
    told = {"failed": 0, "dropped": 0, "unfinished": 0, "errors": {}, **more}
    return LoadResult(
        requests=requests, seconds=2.0, tps=requests / 2, p50_ms=p99_ms / 2, p95_ms=p99_ms, p99_ms=p99_ms,
        max_ms=p99_ms, mean_ms=p99_ms / 2, **told,
    )  # fmt: skip


def beside(tried: LoadResult, base: LoadResult | None = None) -> SideBySide:
    return SideBySide(tried, base or result(), least_share=0.5, most_slower=5.0, baseline_ms=800.0)


REFUSED = result(150, failed=50, errors={"FATAL: no more connections allowed": 50})


def statuses(run: SideBySide) -> list[str]:
    found = run.targets("the fleet", "24 connections", "which setting?")
    assert all(target.required and target.max_points == 1 for target in found)
    assert all(bool(target.hint) == (target.status != "pass") for target in found)
    return [target.status for target in found]


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (beside(result()), ["pass", "pass", "pass"]),
        (beside(result(p99_ms=1000)), ["pass", "pass", "pass"]),
        (beside(result(p99_ms=1001)), ["pass", "pass", "fail"]),
        (beside(result(99)), ["pass", "fail", "pass"]),
        (beside(REFUSED), ["fail", "pass", "pass"]),
        (beside(result(190, unfinished=1)), ["fail", "pass", "pass"]),
        (beside(result(190, dropped=1)), ["fail", "pass", "pass"]),
        (beside(result(0, p99_ms=float("nan"), failed=9)), ["fail", "fail", "fail"]),
        # A baseline that went badly proves nothing, but for what was lost.
        (beside(result(20, p99_ms=5000), result(p99_ms=801)), ["pass", "error", "error"]),
        (beside(REFUSED, result(p99_ms=801)), ["fail", "pass", "pass"]),
        (beside(REFUSED, result(failed=1)), ["error", "pass", "pass"]),
    ],
)
def test_a_load_beside_its_baseline(run: SideBySide, found: list[str]) -> None:
    assert statuses(run) == found
    assert run.good == (found == ["pass", "pass", "pass"] and run.clear)


def test_a_slow_machine_is_no_failure_and_says_so() -> None:
    run = beside(result(20, p99_ms=5000), result(p99_ms=801))
    assert not run.clear and not run.good
    assert "check again" in run.targets("the fleet", "24 connections", "which setting?")[1].hint


@pytest.mark.parametrize(
    ("run", "again"),
    [
        (beside(result()), False),
        (beside(result(p99_ms=1001)), True),  # one late request of a hundred
        (beside(result(p99_ms=2001)), False),
        (beside(result(99)), True),
        (beside(result(49)), False),
        (beside(REFUSED), False),
        (beside(result(), result(p99_ms=801)), True),
        (beside(REFUSED, result(failed=1)), True),
    ],
)
def test_what_is_neither_good_nor_far_off_is_tried_again(run: SideBySide, again: bool) -> None:
    assert (run.good or run.missed) is not again


def test_what_was_lost_is_said_in_the_servers_words() -> None:
    both = result(150, failed=50, unfinished=2, errors={"FATAL: a": 49, "FATAL: b": 1})
    assert lost(both) == 52
    target = nothing_lost("lost", both, "pgbench", "why?", 1, after="the fleet")
    assert target.measured == "52 of 202; 49 × FATAL: a; 1 × FATAL: b; 2 still waited 5 s after the end"
    assert (target.status, target.hint, target.points, target.required) == ("fail", "why?", 0.0, True)


@pytest.mark.parametrize(("load", "status"), [(result(), "pass"), (result(0), "fail"), (REFUSED, "fail")])
def test_nothing_is_lost_only_where_something_was_answered(load: LoadResult, status: str) -> None:
    target = nothing_lost("lost", load, "pgbench", "why?", 1, after="the fleet", served=True)
    assert target.status == status
    assert ("per second" in target.measured) == (status == "pass")


@pytest.mark.parametrize("untried", ["fail", "error"])
def test_what_was_not_tried_says_after_what_it_comes(untried: Any) -> None:
    target = nothing_lost("lost", None, "pgbench", "why?", 1, after="the stall", untried=untried)
    assert (target.status, target.measured, target.source) == (untried, "not tried", "comes after the stall")
