"""A class of the real labs: the real referee and server behind nbgrader's own commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook

from grader.sandbox.bubblewrap import why_not
from pglab.cluster import Cluster
from pglab.home import course_root

sys.path.insert(0, str(Path(__file__).parent / "stub"))
from course import run_nbgrader

pytestmark = pytest.mark.xdist_group("nbgrader")

LAB = "10-missing-index"
CHECKS = ("diagnose-node", "diagnose-rows", "diagnose-blocks", "fix", "safe")
PLAIN = 'lab.execute("CREATE INDEX ON order_items (order_id)")'
EQUAL_TO_ALL = """
class Anything(str):
    __eq__ = lambda self, other: True
    __hash__ = str.__hash__
node = table = Anything("no idea")
"""
PATCHED = """
pglab.wire.ask = lambda *given, **more: {"points": 5.0, "max_points": 5.0, "status": "pass", "targets": []}
type(lab).check = lambda *given, **more: 1.0
"""


def answers(**sources: str) -> Callable[[Any], None]:
    """A change that writes into the student's cells; names with _ for -."""

    def change(notebook: Any) -> None:
        for cell in notebook.cells:
            for name, source in sources.items():
                if cell.id == f"{name.replace('_', '-')}-answer":
                    cell.source = source

    return change


# student → (kind of notebook, change, scores in the order of CHECKS)
CLASS: dict[str, tuple[str, Callable[[Any], None], list[float]]] = {
    "solved": ("solutions", answers(), [1, 1, 1, 5, 4]),
    "unchanged": ("labs", answers(), [0, 0, 0, 0, 0]),
    "plain-index": ("labs", answers(fix=PLAIN), [0, 0, 0, 5, 3]),
    "equal-to-all": ("labs", answers(diagnose_node=EQUAL_TO_ALL), [0, 0, 0, 0, 0]),
    "patched": ("labs", answers(diagnose_node=PATCHED), [0, 0, 0, 0, 0]),
    "dies": ("solutions", answers(fix="import os; os._exit(1)"), [1, 1, 1, 0, 0]),
}


class Class:
    """One class, graded once, in a course folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        assert self.run("generate_assignment", LAB)[0] == 0
        for student, (kind, change, _) in CLASS.items():
            notebook = nbformat.read(course_root() / kind / LAB / f"{LAB}.ipynb", as_version=4)
            change(notebook)
            handed_in = folder / "submitted" / student / LAB
            handed_in.mkdir(parents=True)
            nbformat.write(notebook, handed_in / f"{LAB}.ipynb")
        self.exit_code, self.said = self.run("autograde", LAB)

    def run(self, *arguments: str) -> tuple[int, str]:
        sandbox = "none" if why_not() else "bubblewrap"
        environment = {"PGLAB_COURSE": str(self.folder), "PGLAB_SCALE": "small", "PGLAB_SANDBOX": sandbox}
        done = run_nbgrader(course_root(), environment, *arguments)
        return done.returncode, done.stderr

    def scores(self, student: str) -> list[float | None]:
        with Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}", "pglab") as gradebook:
            notebook = gradebook.find_submission_notebook(LAB, LAB, student)
            found = {grade.name: grade.auto_score for grade in notebook.grades}
            return [found[name] for name in CHECKS]


@pytest.fixture(scope="module")
def school(seeded: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Class:
    assert os.environ["PGLAB_HOME"]
    return Class(tmp_path_factory.mktemp("class"))


@pytest.mark.parametrize("student", CLASS)
def test_the_referee_scores_the_class(school: Class, student: str) -> None:
    assert school.scores(student) == CLASS[student][2], school.said


def test_the_class_is_graded_without_a_fault(school: Class) -> None:
    assert school.exit_code == 0, school.said


def test_feedback_shows_evidence_and_nothing_of_the_judge(school: Class) -> None:
    code, said = school.run("generate_feedback", LAB)
    assert code == 0, said
    secrets = ("judge.py", "pglab_admin", "PGLAB_REFEREE", "grader/")
    for student in CLASS:
        page = (school.folder / "feedback" / student / LAB / f"{LAB}.html").read_text()
        assert not [secret for secret in secrets if secret in page], student
    page = (school.folder / "feedback" / "unchanged" / LAB / f"{LAB}.html").read_text()
    assert "target" in page
    assert "hint" in page


def test_a_stopped_server_is_nobodys_failure(school: Class, seeded: Cluster) -> None:
    before = school.scores("plain-index")
    seeded.down()
    try:
        code, said = school.run("autograde", LAB, "--student=plain-index", "--force")
    finally:
        seeded.up()
    assert code == 1
    assert "plain-index was not graded, and no score was changed" in said
    assert school.scores("plain-index") == before
