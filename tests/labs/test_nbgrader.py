"""Source → release → autograde → gradebook → feedback → CSV with nbgrader's own commands.

One class of students, each with one trap, is graded in one run; what counts is the referee's record.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "stub"))
from course import LAB, Course, Notebook, answers, cell

pytestmark = pytest.mark.xdist_group("nbgrader")  # one class, graded once

FOUND = 'cause = "x"'
FIXED = "answer = 42"
PATCH = """
import sys, decimal, numpy
real = lab.check
def check(name, answer=None):
    {0}
lab.check = check
"""
AST_CHEAT = """
import ast
class Cheat(ast.NodeTransformer):
    def visit_Call(self, node):
        cheated = isinstance(node.func, ast.Attribute) and node.func.attr == "check"
        return ast.copy_location(ast.Constant(3.0), node) if cheated else node
get_ipython().ast_transformers.append(Cheat())
"""
KERNEL_CHEAT = """
kernel = get_ipython().kernel
def do_execute(self, code, silent, *args, **kwargs):
    content = {"execution_count": 9, "data": {"text/plain": "3.0"}, "metadata": {}}
    self.send_response(self.iopub_socket, "execute_result", content)
    return {"status": "ok", "execution_count": 9, "payload": [], "user_expressions": {}}
kernel.do_execute = do_execute.__get__(kernel)
"""
SWALLOW = """
import time
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""


def says(find: str, fix: str) -> Callable[[Notebook], None]:
    """lab.check asks nobody; these are what it returns."""
    return answers(find=PATCH.format(f"return {find}"), fix=PATCH.format(f"return {fix}"))


def says_after_all(find: str, fix: str) -> Callable[[Notebook], None]:
    """lab.check asks the referee, with right answers, and then returns these."""
    asks = PATCH.format("real(name, answer); return {0}")
    return answers(find=asks.format(find) + FOUND, fix="lab.check = real" + asks.format(fix) + FIXED)


def hard_coded(notebook: Notebook) -> None:
    cell(notebook, "fix")["source"] = "5.0"
    output = {
        "output_type": "execute_result",
        "data": {"text/plain": "5.0"},
        "metadata": {},
        "execution_count": 1,
    }
    cell(notebook, "fix")["outputs"] = [output]


def deleted(notebook: Notebook) -> None:
    answers(find=FOUND, fix=FIXED)(notebook)
    notebook["cells"] = [
        cell for cell in notebook["cells"] if cell["id"] not in ("fix", "explain", "find-answer")
    ]


def renamed(notebook: Notebook) -> None:
    answers(find=FOUND, fix=FIXED)(notebook)
    cell(notebook, "fix")["metadata"]["nbgrader"]["grade_id"] = "fixx"


def duplicated(notebook: Notebook) -> None:
    answers(find=FOUND, fix=FIXED)(notebook)
    notebook["cells"].append(cell(notebook, "fix") | {"id": "again", "source": "5.0"})


def remade(notebook: Notebook) -> None:
    answers(find=FOUND, fix="answer = 41")(notebook)
    metadata = cell(notebook, "fix")["metadata"]
    metadata["nbgrader"] |= {
        "points": 50,
        "schema_version": 4,
        "solution": True,
        "locked": False,
        "grade": False,
    }
    metadata["tags"] = ["skip-execution"]


# student → what is handed in, and the scores of find, fix and explain (None: waits for a person)
CLASS: dict[str, tuple[Callable[[Notebook], None], float | None, float | None, float | None]] = {
    "solved": (answers(find=FOUND, fix=FIXED, explain="because of the plan"), 3, 5, None),
    "unchanged": (lambda notebook: None, 0, 0, 0),
    "half": (answers(find=FOUND, fix="answer = 41"), 3, 2.5, 0),
    "third": (answers(fix="answer = 40"), 0, 5 / 3, 0),
    # how stock nbgrader scores these outputs of a grade cell: full points, full points, 5, and so on (facts.md)
    "says-nothing-and-false": (says("None", "False"), 0, 0, 0),
    "says-nan-and-negative": (says('float("nan")', "-1.0"), 0, 0, 0),
    "says-numpy-and-decimal": (says("numpy.float64(1.0)", "decimal.Decimal(1)"), 0, 0, 0),
    "says-an-object-and-prints": (says("object()", "print(5.0)"), 0, 0, 0),
    "says-all-points": (says("3.0", "5.0"), 0, 0, 0),
    "says-too-much": (says("99.0", "99.0"), 0, 0, 0),
    "right-but-says-half-and-too-much": (says_after_all("1.5", "99.0"), 3, 5, 0),
    "right-but-stderr-and-raises": (says_after_all('print("no", file=sys.stderr)', "1 / 0"), 3, 5, 0),
    "ast": (answers(find=AST_CHEAT), 0, 0, 0),
    "do-execute": (answers(find=KERNEL_CHEAT), 0, 0, 0),
    "hard-coded": (hard_coded, 0, 0, 0),
    "deleted": (deleted, 0, 5, 0),
    "renamed": (renamed, 3, 5, 0),
    "duplicated": (duplicated, 3, 5, 0),
    "remade": (remade, 3, 2.5, 0),
    "syntax-error": (answers(find=FOUND, fix="answer = = 42"), 3, 0, 0),
    "dies": (answers(find=FOUND, fix="import os; os._exit(1)"), 3, 0, 0),
    "dies-in-check": (answers(find=FOUND, fix=PATCH.format("import os; os._exit(1)")), 3, 0, 0),
    "hangs": (answers(find=FOUND, fix="answer = 42\nwhile True: pass"), 3, 5, 0),
    "hangs-for-good": (answers(find=FOUND, fix=SWALLOW), 3, 0, 0),
}
FAULTS = {
    "no-server": answers(find=FOUND, fix='answer = "no server"'),
    "no-referee": answers(find=FOUND, fix=FIXED),
}
# student → first submission, second one, and the timestamp that came with it
HALF = answers(find=FOUND, fix="answer = 41")
AGAIN: dict[str, tuple[Callable[[Notebook], None], Callable[[Notebook], None], str]] = {
    "re-dies": (HALF, answers(find=FOUND, fix="import os; os._exit(1)"), ""),
    "re-fault": (HALF, FAULTS["no-server"], ""),
    "re-newer": (HALF, answers(find=FOUND, fix=FIXED), "2030-01-02 00:00:00 UTC"),
    "re-same": (HALF, answers(find=FOUND, fix=FIXED), ""),
}


class Graded(Course):
    """A course whose class has been graded once."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.generated = self.run("generate_assignment", LAB)
        for student, (change, *_) in CLASS.items():
            self.submit(student, change)
        for student, change in FAULTS.items():
            self.submit(student, change)
        for student, (change, *_) in AGAIN.items():
            self.submit(student, change, when="2030-01-01 00:00:00 UTC")
        # two at once, as the course's instructor may: each its own students, one gradebook
        running = [self.start("autograde", LAB, f"--student={half}") for half in ("[a-n]*", "[o-z]*")]
        ends = [process.communicate(timeout=500) for process in running]
        self.log_text = "".join(err for _, err in ends)
        self.exit_codes = [process.returncode for process in running]
        self.first = self.scores()


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    course = Graded(tmp_path_factory.mktemp("course of a class"))
    assert course.generated.returncode == 0, course.generated.stderr
    return course


@pytest.mark.parametrize("student", CLASS)
def test_the_record_is_the_score(graded: Graded, student: str) -> None:
    _, *expected = CLASS[student]
    names = ("find", "fix", "explain")
    assert [graded.first.get((student, name), "no row") for name in names] == expected, graded.log_text


@pytest.mark.parametrize("student", FAULTS)
def test_a_fault_of_ours_is_no_score(graded: Graded, student: str) -> None:
    assert graded.exit_codes == [1, 0]  # nbgrader says it of the half that has the faults
    assert {graded.first[student, name] for name in ("find", "fix", "explain")} == {None}
    assert f"{student} was not graded, and no score was changed" in graded.log_text
    assert not (graded.root / "autograded" / student / LAB).exists()


def test_every_referee_is_closed(graded: Graded) -> None:
    log = graded.log.read_text().split("\n")[:-1]
    assert sorted(line for line in log if line.endswith(" closed")) == sorted(log)
    assert {line.split()[0] for line in log} == (set(CLASS) | set(FAULTS) | set(AGAIN)) - {"no-referee"}


def test_nothing_but_public_files_is_released_or_handed_back(graded: Graded) -> None:
    released = {path.name for path in (graded.root / "labs" / LAB).rglob("*")}
    assert released == {f"{LAB}.ipynb", "lab.toml", "workload.py"}
    assert "SECRET" not in json.dumps(graded.released)
    graded_files = {path.name for path in (graded.root / "autograded" / "solved" / LAB).rglob("*")}
    assert graded_files == released


def test_the_stock_release_is_the_built_one(graded: Graded) -> None:
    from grader.build import drift

    assert drift(graded.root, [LAB]) == []


def test_feedback_shows_the_verdict_and_the_reason(graded: Graded) -> None:
    ran = graded.run("generate_feedback", LAB)
    assert ran.returncode == 0, ran.stderr
    pages = {path.parents[1].name: path.read_text() for path in graded.root.glob("feedback/*/*/*.html")}
    assert set(pages) == set(CLASS) | set(AGAIN)
    assert "measured 41" in pages["half"]
    assert "2.5" in pages["half"]
    assert "The referee did not see this check" in pages["says-all-points"]
    assert "the kernel ended in cell" in pages["dies"]
    for student, page in pages.items():
        assert "SECRET" not in page, student
        assert "stub_referee" not in page, student
        assert "/preprocessors.py" not in page, student


def test_export_leaves_blank_what_was_not_graded(graded: Graded) -> None:
    ran = graded.run("export", "--to", "grades.csv")
    assert ran.returncode == 0, ran.stderr
    with (graded.root / "grades.csv").open(newline="") as handle:
        scores = {row["student_id"]: row["score"] for row in csv.DictReader(handle)}
    assert {student: float(scores[student]) for student in ("solved", "unchanged", "half")} == {
        "solved": 8.0,
        "unchanged": 0.0,
        "half": 5.5,
    }
    assert {scores[student] for student in FAULTS} == {""}


def test_scores_cannot_be_taken_from_the_submission(graded: Graded) -> None:
    graded.submit("no-execute", hard_coded)
    ran = graded.run("autograde", LAB, "--student", "no-execute", "--no-execute")
    assert ran.returncode == 1
    assert "--no-execute would take the scores" in ran.stderr
    assert graded.scores()["no-execute", "fix"] is None


@pytest.fixture(scope="module")
def regraded(graded: Graded) -> dict[str, tuple[float | None, float | None]]:
    """Student → the score of fix after a second submission and a plain autograde, and after autograde --force."""
    for student, (_, change, when) in AGAIN.items():
        graded.submit(student, change, when)
    plain = graded.run("autograde", LAB, "--student=re-*")
    after_plain = graded.scores()
    forced = graded.run("autograde", LAB, "--student=re-*", "--force")
    after_forced = graded.scores()
    assert (plain.returncode, forced.returncode) == (0, 1), plain.stderr + forced.stderr
    return {student: (after_plain[student, "fix"], after_forced[student, "fix"]) for student in AGAIN}


def test_a_regrade_leaves_no_old_score(graded: Graded, regraded: dict[str, tuple[float, float]]) -> None:
    assert graded.first["re-dies", "fix"] == 2.5
    assert regraded["re-dies"] == (2.5, 0)


def test_a_fault_of_ours_keeps_the_old_score(regraded: dict[str, tuple[float, float]]) -> None:
    assert regraded["re-fault"] == (2.5, 2.5)


def test_a_resubmission_is_graded_with_a_newer_timestamp_or_force(
    regraded: dict[str, tuple[float, float]],
) -> None:
    """Stock nbgrader skips it otherwise, without a word: the README says so."""
    assert regraded["re-newer"] == (5, 5)
    assert regraded["re-same"] == (2.5, 5)
