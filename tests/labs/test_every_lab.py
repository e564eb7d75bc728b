"""The contract of every lab: solutions/* is the list, and a sample's name is what it earns."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest

from grader import trial
from grader.build import drift
from grader.spec import Spec, all_labs
from grader.topology import has_own
from pglab.cluster import Cluster, pgbouncer
from pglab.errors import ClusterError
from pglab.home import course_root

LABS = all_labs()


def trials() -> Iterator[Any]:
    """Every trial of every lab; of the samples, all but the first of a kind are slow.

    In a lab with a cluster of its own a trial takes half a minute: there all of them are.
    """
    for spec in LABS:
        seen = {"pass", "fail", "cheat"} if has_own(spec) else set()
        for name in ["release", "solution", *trial.samples(spec)]:
            kind = name.split("_")[0]
            yield pytest.param(
                spec, name, id=f"{spec.id}-{name}", marks=[pytest.mark.slow] if kind in seen else []
            )
            seen.add(kind)


@pytest.mark.parametrize(("spec", "name"), list(trials()))
def test_a_trial_earns_what_its_name_says(seeded: Cluster, spec: Spec, name: str) -> None:
    if "pooler" in spec.topology:
        try:
            pgbouncer.fetch(seeded.home)
        except ClusterError as error:
            pytest.skip(str(error))
    found = trial.run(spec, name, seeded.home)
    assert trial.misses(found, trial.expected(spec, name)) == []
    if name in ("release", "solution"):
        assert found.errors == []  # each runs from top to bottom
        for check, verdict in found.record.items():
            assert verdict["targets"], f"{check} shows no evidence"
            assert all(target["source"] for target in verdict["targets"])
            assert float(found.printed[check]) == verdict["points"]
    if name == "release":
        for verdict in found.record.values():
            assert any(target["hint"] for target in verdict["targets"]), (
                f"{verdict['check']} leaves the student alone"
            )


@pytest.mark.parametrize("spec", LABS, ids=lambda spec: spec.id)
def test_the_release_is_what_the_source_generates(spec: Spec) -> None:
    assert drift(course_root().resolve(), [spec.id]) == []


@pytest.mark.parametrize("spec", LABS, ids=lambda spec: spec.id)
def test_a_lab_has_samples_of_each_kind_and_hints_for_each_check(spec: Spec) -> None:
    kinds = {name.split("_")[0] for name in trial.samples(spec)}
    assert kinds == {"pass", "fail", "cheat"}
    assert all(check.hints for check in spec.checks.values())
    for name in trial.samples(spec):
        ast.parse((spec.folder / "samples" / f"{name}.py").read_text())
        trial.expected(spec, name)


def test_numbers_and_order_are_given_once() -> None:
    assert len({spec.number for spec in LABS}) == len(LABS)
    assert len({(spec.module, spec.order) for spec in LABS}) == len(LABS)
