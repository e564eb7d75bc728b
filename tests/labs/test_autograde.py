"""`grader autograde` over a class of lab 10: sandboxes, a real server, nbgrader's gradebook."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook

from grader.sandbox.bubblewrap import why_not
from pglab.cluster import Cluster
from pglab.cluster.process import wait_until
from pglab.home import course_root
from tests.course import LAB, GradedCourse

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "bubblewrap works"),
    pytest.mark.xdist_group("autograde"),
]

NOTHING = [0.0] * 5
ALL = [1.0, 1.0, 1.0, 5.0, 4.0]


def kinds(kind: str, **sources: str) -> Callable[[Path], None]:
    """Hands in the release ("labs") or the solution ("solutions"), with other sources in some answers (_ for -)."""

    def hand_in(folder: Path) -> None:
        notebook = nbformat.read(course_root() / kind / LAB / f"{LAB}.ipynb", as_version=4)
        for cell in notebook.cells:
            for name, source in sources.items():
                if cell.id == f"{name.replace('_', '-')}-answer":
                    cell.source = source
        nbformat.write(notebook, folder / f"{LAB}.ipynb")

    return hand_in


def linked(folder: Path) -> None:
    """Links to what the instructor can read, and the notebook tells what it found there."""
    reads = "import pathlib\nfor name in ('gradebook', 'judge'):\n    print(pathlib.Path(name).exists())\nlab.execute('CREATE INDEX ON order_items (order_id)')"
    kinds("solutions", fix=reads)(folder)
    (folder / "gradebook").symlink_to(folder.parents[2] / "gradebook.db")
    (folder / "judge").symlink_to(course_root() / "solutions" / LAB / "judge.py")


def broken(folder: Path) -> None:
    (folder / f"{LAB}.ipynb").write_text('{"cells": [')


# student → what is handed in, and the scores in the order of the lab's checks; None: cannot be graded
CLASS: dict[str, tuple[Callable[[Path], None], list[float] | None]] = {
    "ann": (kinds("solutions"), ALL),
    "ben": (kinds("labs"), NOTHING),
    "cleo": (linked, [1.0, 1.0, 1.0, 5.0, 3.0]),
    "dies": (kinds("solutions", fix="import os; os._exit(1)"), [1.0, 1.0, 1.0, 0.0, 0.0]),
    "eve": (broken, None),
}


@pytest.fixture(scope="module")
def course(seeded: Cluster, tmp_path_factory: pytest.TempPathFactory) -> GradedCourse:
    course = GradedCourse(tmp_path_factory.mktemp("course"))
    for student, (change, _) in CLASS.items():
        course.hand_in(student, change)
    return course


@pytest.fixture(scope="module")
def graded(course: GradedCourse) -> tuple[int, str]:
    return course.grade("--jobs", "2")


def lab_leftovers(cluster: Cluster) -> list[str]:
    with cluster.primary.connect() as admin:
        return [
            row[0]
            for row in admin.execute(
                "SELECT datname FROM pg_database WHERE datname ~ '^lab_10_[0-9a-f]{12}' UNION ALL SELECT rolname FROM pg_roles WHERE rolname ~ '^lab_10_[0-9a-f]{12}'"
            )
        ]


@pytest.mark.parametrize("student", CLASS)
def test_each_earns_what_they_should(course: GradedCourse, graded: tuple[int, str], student: str) -> None:
    assert course.scores(student) == CLASS[student][1], graded[1]


def test_it_says_who_was_not_graded_and_why(course: GradedCourse, graded: tuple[int, str]) -> None:
    code, said = graded
    assert code == 1
    assert f"eve: {LAB}.ipynb is no notebook" in said
    assert "cleo: left out gradebook (no plain file)" in said
    assert "dies: the kernel ended in cell" in said
    assert "4 graded, 0 graded before and unchanged, 1 not graded." in said
    assert "mean" in said


def test_nothing_stays_of_them(course: GradedCourse, graded: tuple[int, str], seeded: Cluster) -> None:
    assert lab_leftovers(seeded) == []
    assert [path.name for path in seeded.home.run.iterdir() if path.name.startswith("b")] == []


def test_links_show_nothing(course: GradedCourse, graded: tuple[int, str]) -> None:
    notebook = nbformat.read(course.folder / "autograded" / "cleo" / LAB / f"{LAB}.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == "fix-answer")
    assert "".join(output.get("text", "") for output in cell.outputs) == "False\nFalse\n"


def test_a_second_run_changes_nothing_and_runs_nothing(course: GradedCourse, graded: tuple[int, str]) -> None:
    began = time.monotonic()
    code, said = course.grade()
    assert code == 1
    assert "0 graded, 4 graded before and unchanged, 1 not graded." in said
    assert {student: course.scores(student) for student in CLASS} == {s: c[1] for s, c in CLASS.items()}
    assert time.monotonic() - began < 60


def test_one_job_or_two_no_score_differs(course: GradedCourse, graded: tuple[int, str]) -> None:
    _, said = course.grade("--jobs", "1", "--force", "--student", "[a-d]*")
    assert "4 graded" in said
    assert "Changed" not in said
    assert {student: course.scores(student) for student in CLASS} == {s: c[1] for s, c in CLASS.items()}


def test_another_submission_is_graded_and_the_change_is_said(
    course: GradedCourse, graded: tuple[int, str]
) -> None:
    course.hand_in("fred", kinds("labs"))
    assert course.grade("--student", "fred")[0] == 0
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}", "pglab") as gradebook:
        grade = gradebook.find_grade("explain", LAB, LAB, "fred")
        grade.manual_score = 1.5  # what a person gave stays
        gradebook.db.commit()
    course.hand_in("fred", kinds("solutions"))
    code, said = course.grade("--student", "fred")
    assert code == 0
    assert re.search(r"fred: .*fix 0 → 5", said)
    assert course.scores("fred") == ALL
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}", "pglab") as gradebook:
        assert gradebook.find_grade("explain", LAB, LAB, "fred").manual_score == 1.5


def test_a_stopped_server_is_said_and_nothing_is_lost(
    course: GradedCourse, graded: tuple[int, str], seeded: Cluster
) -> None:
    seeded.down()
    try:
        code, said = course.grade("--student", "ann", "--force")
    finally:
        seeded.up()
    assert code == 1
    assert "ann: The cluster is stopped. Run `pglab up`." in said
    assert course.scores("ann") == ALL
    assert course.grade("--student", "ann")[0] == 0


def test_without_a_sandbox_the_gradebook_says_so(course: GradedCourse, graded: tuple[int, str]) -> None:
    course.hand_in("gus", kinds("solutions"))
    assert course.grade("--student", "gus", "--no-sandbox")[0] == 0
    assert course.scores("gus") == ALL
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}", "pglab") as gradebook:
        comments = gradebook.find_submission_notebook(LAB, LAB, "gus").comments
        assert sum("without a sandbox" in (comment.auto_comment or "") for comment in comments) == 1


def test_wrong_use_is_one_sentence(course: GradedCourse) -> None:
    for options, expected in (
        (("--student", "nobody"), "Nobody has handed in"),
        (("--jobs", "0"), "0 is not in the range"),
        (("--scheduler", "tcp://127.0.0.1:1"), "No Dask scheduler answers"),
    ):
        code, said = course.grade(*options)
        assert code in (1, 2)
        assert expected in said


@pytest.mark.slow
def test_killed_at_any_moment_it_carries_on(
    seeded: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    course = GradedCourse(tmp_path_factory.mktemp("killed"))
    for number in range(3):
        for student, (change, _) in CLASS.items():
            course.hand_in(f"{student}{number}", change)
    wanted = {f"{student}{number}": scores for number in range(3) for student, (_, scores) in CLASS.items()}
    for seconds in (4, 9, 14):
        process = course.start("--jobs", "2")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    _, said = course.grade("--jobs", "2")
    assert {student: course.scores(student) for student in wanted} == wanted, said
    assert "3 not graded." in said
    deadline = time.monotonic() + 60  # the referees of the killed ones end by themselves
    while lab_leftovers(seeded) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert lab_leftovers(seeded) == []


@pytest.mark.slow
def test_an_interrupt_ends_what_runs_and_the_same_command_carries_on(
    seeded: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    course = GradedCourse(tmp_path_factory.mktemp("interrupted"))
    students = ("ida", "jo", "kim")
    for student in students:
        course.hand_in(student, kinds("solutions"))
    process = course.start("--jobs", "1")
    wait_until("a kernel to run", lambda: list(seeded.home.run.glob("b*/messages/kernel.json")), 60)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the same command carries on" in err
    assert "Traceback" not in err
    assert list(seeded.home.run.glob("b*")) == []
    wait_until("the databases to go", lambda: not lab_leftovers(seeded), 60)
    assert course.grade()[0] == 0
    assert {student: course.scores(student) for student in students} == dict.fromkeys(students, ALL)


def worker(address: str, home: Path, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"],
        cwd=folder, env={**os.environ, "PGLAB_HOME": str(home), "PGLAB_SCALE": "tiny", "PYTHONPATH": str(course_root())},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.slow
def test_two_dask_workers_and_one_is_killed(tmp_path_factory: pytest.TempPathFactory, own_home: Any) -> None:
    """Each worker has a cluster of its own; what the killed one ran is run by the other."""
    pytest.importorskip("distributed")
    from pglab.dataset import Dataset, seed
    from pglab.home import Home

    homes = [Home(own_home.root / name) for name in ("a", "b")]
    clusters = [Cluster(home) for home in homes]
    course = GradedCourse(tmp_path_factory.mktemp("dask"))
    students = [f"s{number}" for number in range(6)]
    for student in students:
        course.hand_in(student, kinds("solutions"))
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(course.folder / "scheduler.json")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    processes = [scheduler]
    try:
        for cluster in clusters:
            cluster.up()
            seed(cluster, Dataset.load("shop"), "tiny", lambda fraction, step: None)
        deadline = time.monotonic() + 60
        while not (course.folder / "scheduler.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        address = json.loads((course.folder / "scheduler.json").read_text())["address"]
        processes += [worker(address, home.root, course.folder) for home in homes]
        grading = course.start("--scheduler", address, "--jobs", "2")
        journal = course.folder / ".grading" / LAB
        while not list(journal.glob("*/executed.json")):
            assert time.monotonic() < deadline + 120
            time.sleep(0.1)
        processes[1].kill()
        out, err = grading.communicate(timeout=400)
        assert grading.returncode == 0, out + err
        assert "6 graded" in out
        assert {student: course.scores(student) for student in students} == dict.fromkeys(students, ALL)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for cluster in clusters:
            cluster.down()


def test_a_full_disk_is_said_and_made_good(seeded: Cluster, own_home: Any) -> None:
    folder = own_home.root / "course"
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small disk can be made by root alone")
    try:
        course = GradedCourse(folder)
        for student in ("ann", "bob", "cyd"):
            course.hand_in(student, kinds("solutions"))
        code, said = course.grade("--jobs", "2")
        assert code == 1
        assert re.search("The disk is full|No space left|disk is full|disk I/O error", said)
        assert [course.scores(student) for student in ("ann", "bob", "cyd")].count(ALL) < 3
        subprocess.run(["mount", "-o", "remount,size=40m", str(folder)], check=True)
        assert course.grade("--jobs", "2")[0] == 0
        assert [course.scores(student) for student in ("ann", "bob", "cyd")] == [ALL] * 3
    finally:
        subprocess.run(["umount", str(folder)], check=True)
