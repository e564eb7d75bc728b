"""Fairness: the same submission graded again and again while every core has other work; how often its points differ.

Each run is another student, with parameters of their own, through `grader autograde`: the lab's solution, and a wrong
sample that is as close to the targets as the lab has one. PGLAB_BENCH_RUNS says how many of each (10 by default; 200 for
the figures that this project states), PGLAB_BENCH_LABS which labs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from bench._scratch import scratch_cluster
from grader import trial
from grader.sandbox.bubblewrap import why_not
from grader.spec import Spec
from pglab.dataset import Dataset, seed
from pglab.home import Home, course_root

# What each misses, it misses by its time or its load.
WRONG = {
    "01-n-plus-one": "fail_half_fixed",
    "10-missing-index": "fail_order_id_second",
    "23-pool-exhaustion": "fail_pool_of_one",
    "30-replica-lag": "fail_fixed_sleep",
}


def run() -> Iterator[tuple[str, float | str, str]]:
    """Flips and errors."""
    count = int(os.environ.get("PGLAB_BENCH_RUNS", "10"))
    labs = os.environ.get("PGLAB_BENCH_LABS", "").split() or list(WRONG)
    with scratch_cluster() as cluster:
        seed(cluster, Dataset.load("shop"), "small", lambda fraction, step: None)
        with _busy():
            for lab in labs:
                for sample in ("solution", WRONG[lab]):
                    yield from _grade(cluster.home, lab, sample, count)


def _grade(home: Home, lab: str, sample: str, count: int) -> Iterator[tuple[str, str, str]]:
    from nbgrader.api import Gradebook

    spec = Spec.load(lab)
    course = home.root / f"{lab}-{sample}"
    for number in range(count):
        folder = course / "submitted" / f"student-{number:03d}" / lab
        folder.mkdir(parents=True)
        nbformat.write(trial.load(spec, sample), folder / f"{lab}.ipynb")
    environment = {
        **os.environ, "PGLAB_HOME": str(home.root), "PGLAB_SCALE": "small", "PGLAB_COURSE": str(course),
        "PYTHONPATH": str(course_root()), "JUPYTER_CONFIG_PATH": str(course_root() / "grader"),
    }  # fmt: skip
    _run(course, environment, "nbgrader", "generate_assignment", lab)
    sandbox = ("--no-sandbox",) if why_not() else ()
    _run(course, environment, "grader.cli", "autograde", lab, "--jobs", "2", *sandbox, may_fail=True)
    wanted, flips, graded = trial.expected(spec, sample), Counter[str](), 0
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "pglab") as gradebook:
        for submission in gradebook.assignment_submissions(lab):
            graded += 1
            earned = {
                grade.name: grade.auto_score for notebook in submission.notebooks for grade in notebook.grades
            }
            flips.update(f"{check} {earned.get(check)} for {points:g}" for check, points in wanted.items() if earned.get(check) != points)  # fmt: skip
    said = "; ".join(f"{what}: {times}" for what, times in flips.items())
    yield f"lab {lab[:2]}, {sample}: scores that differ", f"{said or 'none'} in {graded} runs", "none"
    if graded < count:
        yield (
            f"lab {lab[:2]}, {sample}: could not be measured, said so",
            f"{count - graded} of {count}",
            "none",
        )


def _run(course: Path, environment: dict[str, str], *words: str, may_fail: bool = False) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=course, env=environment, capture_output=True, text=True)  # fmt: skip
    if done.returncode and not may_fail:
        raise RuntimeError(f"{' '.join(words)}: {(done.stdout + done.stderr)[-800:]}")


@contextmanager
def _busy() -> Iterator[None]:
    """A process for each core that computes all the time."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
