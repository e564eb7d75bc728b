"""Twenty honest, wrong, broken and hostile submissions for each lab, graded with one command that is killed five times."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.notebooknode import NotebookNode

from grader import trial
from grader.sandbox.bubblewrap import why_not
from grader.spec import Spec, all_labs
from grader.topology import has_own
from pglab.cluster import Cluster, pgbouncer
from pglab.errors import ClusterError
from tests.attacks.attack import all_attacks
from tests.course import GradedCourse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "bubblewrap works"),
    pytest.mark.timeout(3600),
]
COUNT = 20
KILLS = 5
Points = dict[str, float]


def honest(spec: Spec) -> list[tuple[str, NotebookNode, Points]]:
    names = ["release", "solution", *trial.samples(spec)]
    return [(name, trial.load(spec, name), trial.expected(spec, name)) for name in names]


def hostile(spec: Spec) -> list[tuple[str, NotebookNode, Points]]:
    return [
        (f"attack_{attack.name}", attack.notebook(), attack.points())
        for attack in all_attacks()
        if attack.lab == spec.id and not attack.slow
    ]


def broken(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "broken.txt").with_name(f"{folder.name}.ipynb").write_text(text) and None


def written(notebook: NotebookNode) -> Callable[[Path], None]:
    return lambda folder: nbformat.write(notebook, folder / f"{folder.name}.ipynb")


@pytest.mark.parametrize("spec", all_labs(), ids=lambda spec: spec.id)
def test_a_class_of_twenty_killed_five_times(seeded: Cluster, spec: Spec, tmp_path: Path) -> None:
    if "pooler" in spec.topology:
        try:
            pgbouncer.fetch(seeded.home)
        except ClusterError as error:
            pytest.skip(str(error))
    draws = random.Random(spec.id)
    course = GradedCourse(tmp_path, spec.id)
    ours, theirs = honest(spec), hostile(spec)
    chosen = ours[:2] + draws.sample(ours[2:], min(len(ours) - 2, 10 if theirs else 15))
    chosen += draws.sample(theirs, min(len(theirs), COUNT - 3 - len(chosen)))
    for name, notebook, _ in chosen:
        course.hand_in(name, written(notebook))
    for number, text in enumerate(["", '{"cells": [', "[]"]):
        course.hand_in(f"broken{number}", broken(text))
    longest = 40.0 if has_own(spec) else 20.0
    for _ in range(KILLS):
        process = course.start("--jobs", "2")
        try:
            process.wait(draws.uniform(3, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    process = course.start("--jobs", "2")
    out, err = process.communicate(timeout=3000)
    assert "3 not graded" in out, out + err
    found = {name: dict(zip(course.checks, course.scores(name) or [], strict=False)) for name, *_ in chosen}
    assert found == {name: points for name, _, points in chosen}, out
    assert {course.scores(f"broken{number}") is None for number in range(3)} == {True}
