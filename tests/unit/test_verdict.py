"""How targets add up."""

from __future__ import annotations

import json

from grader.verdict import Target, Verdict, could_not_measure


def verdict(*targets: Target) -> Verdict:
    return Verdict("fix", "fix", "t", 5.0, list(targets))


def target(status: str, points: float = 0.0, *, required: bool = False) -> Target:
    return Target("t", status, "m", "t", "s", "h", points, required)  # type: ignore[arg-type]


def test_partial_credit_is_the_sum_of_what_passed() -> None:
    found = verdict(target("pass", 3), target("fail", 2))
    assert (found.status, found.points) == ("fail", 3.0)


def test_a_required_target_that_fails_costs_everything() -> None:
    found = verdict(target("fail", required=True), target("pass", 5))
    assert (found.status, found.points) == ("fail", 0.0)
    assert all(shown["points"] == 0 for shown in found.as_dict()["targets"])


def test_an_error_is_neither_pass_nor_fail_and_earns_nothing() -> None:
    found = verdict(target("pass", 3), target("error", 2))
    assert (found.status, found.points) == ("error", 0.0)
    assert could_not_measure("fix", "fix", "t", 5, "the server is gone").status == "error"


def test_a_failed_requirement_outweighs_what_could_not_be_measured() -> None:
    assert verdict(target("fail", required=True), target("error", 5)).status == "fail"


def test_points_never_exceed_the_check_and_travel_as_plain_json() -> None:
    found = verdict(target("pass", 3), target("pass", 3)).as_dict()
    assert found["points"] == 5.0
    assert type(json.loads(json.dumps(found))["points"]) is float
