"""Submissions a minute: `grader autograde` against stock `nbgrader autograde`, on the same notebooks in one run.

Stock nbgrader runs them one by one with its own preprocessors, without a sandbox and all on one database, in which all
but the first find the failure mended: they work less, and earn less. Right scores take a reset before each, and that is
measured too. Ours gives each a sandbox and a fresh database.
PGLAB_BENCH_SUBMISSIONS says how many (8 by default; 200 for a class).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench._scratch import scratch_cluster
from grader.spec import Spec
from pglab import catalogue, clones, jupyter
from pglab.cluster import Cluster
from pglab.dataset import Dataset, seed
from pglab.home import Home, course_root

LABS = ("10-missing-index", "01-n-plus-one")
GOAL = "≥ 3 with two jobs"
FRESH = 6  # submissions that stock nbgrader gets one by one, each with a database of its own
STOCK = """
c = get_config()
c.CourseDirectory.course_id = "pglab"
c.CourseDirectory.root = {root!r}
c.CourseDirectory.source_directory = {source!r}
c.CourseDirectory.ignore = {ignore!r}
c.GenerateAssignment.force = True
c.Execute.timeout = 300
"""


def run() -> Iterator[tuple[str, float | str, str]]:
    """Rates and their ratios, and the memory of a submission."""
    scale = os.environ.get("PGLAB_BENCH_SCALE", "full")
    count = int(os.environ.get("PGLAB_BENCH_SUBMISSIONS", "8"))
    with scratch_cluster() as cluster:
        seed(cluster, Dataset.load("shop"), scale, lambda fraction, step: None)
        for lab in LABS:
            yield from _lab(cluster.home, lab, scale, count)


def _lab(home: Home, lab: str, scale: str, count: int) -> Iterator[tuple[str, float | str, str]]:
    course = home.root / "course"
    environment = {
        **os.environ,
        "PGLAB_HOME": str(home.root),
        "PGLAB_SCALE": scale,
        "PGLAB_COURSE": str(course),
    }
    environment["PYTHONPATH"] = str(course_root())
    name = f"lab {lab[:2]}, {count} submissions, scale {scale}"
    _hand_in(course, lab, count)
    stock = _rate(count, course, _stock(home, course, lab, environment), "nbgrader", "autograde", lab)
    yield f"{name}: stock nbgrader autograde", f"{stock:.1f} a minute", ""
    yield f"{name}: full points from stock nbgrader", f"{_full_in_stock(course, lab)} of {count}", ""
    fresh = _stock_with_resets(home, course, lab, environment)
    yield f"{name}: stock, `pglab reset` before each", f"{fresh:.1f} a minute", ""
    yield f"{name}: full points from it", f"{_full_in_stock(course, lab)} of {FRESH}", "all"
    for jobs in (1, 2):
        _hand_in(course, lab, count)
        environment["JUPYTER_CONFIG_PATH"] = str(course_root() / "grader")
        _run(course, environment, "nbgrader", "generate_assignment", lab)
        ours = _rate(count, course, environment, "grader.cli", "autograde", lab, "--jobs", str(jobs))
        yield f"{name}: grader autograde --jobs {jobs}", f"{ours:.1f} a minute", ""
        yield f"{name}: --jobs {jobs} ÷ stock", ours / stock, GOAL
        yield f"{name}: --jobs {jobs} ÷ stock with resets", ours / fresh, ""
    told = [json.loads(path.read_text())["executed"] for path in course.glob(".grading/*/*/executed.json")]
    yield (
        f"{name}: most memory of a submission, median",
        f"{statistics.median(one['peak_mb'] for one in told):.0f} MB",
        "",
    )
    yield f"{name}: full points from ours", f"{sum(_full(one) for one in told)} of {len(told)}", "all"
    shutil.rmtree(course)


def _hand_in(course: Path, lab: str, count: int) -> None:
    shutil.rmtree(course, ignore_errors=True)
    for number in range(count):
        folder = course / "submitted" / f"student-{number:03d}" / lab
        folder.mkdir(parents=True)
        shutil.copy(course_root() / "solutions" / lab / f"{lab}.ipynb", folder)


def _stock(home: Home, course: Path, lab: str, environment: dict[str, str]) -> dict[str, str]:
    """nbgrader as it comes: its own configuration alone."""
    from grader.build import private_names

    config = home.root / "stock"
    config.mkdir(exist_ok=True)
    ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", *private_names(course_root())]
    values = {"root": str(course), "source": str(course_root() / "solutions"), "ignore": ignore}
    (config / "nbgrader_config.py").write_text(STOCK.format(**values))
    stock = {**environment, **jupyter.environment(home), "JUPYTER_CONFIG_PATH": str(config)}
    _run(course, stock, "nbgrader", "generate_assignment", lab)
    return stock


def _stock_with_resets(home: Home, course: Path, lab: str, environment: dict[str, str]) -> float:
    _hand_in(course, lab, FRESH)
    stock = _stock(home, course, lab, environment)
    began = time.perf_counter()
    for student in sorted(path.name for path in (course / "submitted").iterdir()):
        clones.drop(Cluster(home), catalogue.find(lab).database)  # as `pglab reset` does
        _run(course, stock, "nbgrader", "autograde", lab, "--student", student)
    return FRESH / (time.perf_counter() - began) * 60


def _rate(count: int, course: Path, environment: dict[str, str], *words: str) -> float:
    began = time.perf_counter()
    _run(course, environment, *words)
    return count / (time.perf_counter() - began) * 60


def _run(course: Path, environment: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=course, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(words)} ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}"
        )


def _full_in_stock(course: Path, lab: str) -> int:
    from nbgrader.api import Gradebook

    worth = sum(check.points for check in Spec.load(lab).checks.values() if not check.manual)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "pglab") as gradebook:
        return sum(submission.score == worth for submission in gradebook.assignment_submissions(lab))


def _full(executed: dict[str, dict[str, dict[str, float]]]) -> bool:
    return all(verdict["points"] == verdict["max_points"] for verdict in executed["record"].values())
