"""Attacks on the grading: how a file of this folder is read, and how what it makes is graded.

An attack is a notebook as text (jupytext percent), laid over a lab's solution as the samples of a lab are:

    # lab: 10-missing-index
    # tries: one sentence that says what.
    # expect: fix=0 safe=0          checks that are not named here earn all their points
    # needs: sandbox                left out until the grader has that
    # takes: long                   more than half a minute
    # %% before                     runs ahead of everything, as a student could have it
    # %% solution="fix"             stands in the place of the student's cell
    # %% check="fix"                stands in the place of the grade cell, which nbgrader puts back
    # %% after                      runs at the end

What a submission's files try is in submissions/: the same header, and a function build(folder, notebook) that makes the
folder from the lab's solution.

"Earns no more than its honest part" is that line `expect`: an attack that brings the right index along keeps the points
for the index.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import jupytext
import nbformat
from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_code_cell

from grader.execution import Job, execute
from grader.sandbox.limits import Limits
from grader.sandbox.bubblewrap import why_not
from grader.spec import Spec
from pglab.home import Home, course_root

FOLDER: Final = Path(__file__).parent
NAME: Final = "10-missing-index.ipynb"  # of the notebook in a submission's folder
SANDBOX: Final = os.environ.get("PGLAB_SANDBOX") or ("none" if why_not() else "bubblewrap")
PROVIDES: Final[frozenset[str]] = frozenset() if SANDBOX == "none" else frozenset({"sandbox", "engine"})
CELL_LIMIT_S: Final = 100
_LOOKS = re.compile(r"lab\.(reproduce|compare|measure)\(|\A(%%sql|(# .*\n)?lab\.explain)")
_HEADER = re.compile(r"^# (lab|tries|expect|needs|takes): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Attack:
    """One file of this folder.

    Attributes:
        expect: check → points that it may earn, where that is not all of them; needs: without which it is not run.
    """

    path: Path
    lab: str
    tries: str
    expect: dict[str, float]
    needs: frozenset[str]
    slow: bool

    @classmethod
    def read(cls, path: Path) -> Attack:
        """Read its header.

        Raises:
            ValueError: it does not say which lab, what it tries, or names a check that the lab does not have.
        """
        told: dict[str, str] = dict(_HEADER.findall(path.read_text()))
        if missing := {"lab", "tries"} - set(told):
            raise ValueError(f"{path.name} does not say {' and '.join(sorted(missing))}")
        expect = {
            name: float(points)
            for name, _, points in (pair.partition("=") for pair in told.get("expect", "").split())
        }
        known = [check.name for check in Spec.load(told["lab"]).checks.values() if not check.manual]
        if unknown := set(expect) - set(known):
            raise ValueError(
                f"{path.name} expects points of {', '.join(sorted(unknown))}, which {told['lab']} does not have"
            )
        return cls(
            path,
            told["lab"],
            told["tries"],
            expect,
            frozenset(told.get("needs", "").split()),
            "takes" in told,
        )

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def spec(self) -> Spec:
        """The lab that it is laid over."""
        return Spec.load(self.lab)

    def points(self) -> dict[str, float]:
        """Check → points that it must earn, no more and no less."""
        return {
            check.name: check.points for check in self.spec.checks.values() if not check.manual
        } | self.expect

    def notebook(self) -> NotebookNode:
        """The lab's solution with the attack laid over it."""
        spec = self.spec
        notebook = solution(spec)
        cells = jupytext.read(self.path, fmt="py:percent").cells
        for cell in cells:
            if "solution" in cell.metadata:
                _fill(notebook, f"{cell.metadata['solution']}-answer", cell.source)
            elif "check" in cell.metadata:
                _fill(notebook, cell.metadata["check"], cell.source)
        before, after = (
            [
                new_code_cell(cell.source, id=f"{place}-{n}")
                for n, cell in enumerate(cells)
                if _stands(cell, place)
            ]
            for place in ("before", "after")
        )
        notebook.cells = [*before, *filter(_counts, notebook.cells), *after]
        return notebook

    def build(self, folder: Path) -> None:
        """Make a submission of files. folder: <course>/submitted/<student>/<lab>, which is there and empty."""
        found = importlib.util.spec_from_file_location(f"pglab_attack_{self.name}", self.path)
        assert found is not None and found.loader is not None
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        module.build(folder, solution(self.spec))


def solution(spec: Spec) -> NotebookNode:
    """The lab's notebook with its solution."""
    notebook: NotebookNode = nbformat.read(spec.folder / f"{spec.id}.ipynb", as_version=4)
    return notebook


def write(folder: Path, notebook: NotebookNode, name: str = NAME) -> None:
    """Write a notebook as it is, valid or not."""
    (folder / name).write_text(json.dumps(notebook))


def _counts(cell: NotebookNode) -> bool:
    """Whether a cell has a part in the grade: those that only look would make this suite three times as slow."""
    return "nbgrader" in cell.metadata or not _LOOKS.search(cell.source)


def _stands(cell: NotebookNode, place: str) -> bool:
    return cell.cell_type == "code" and cell.metadata.get("title") == place


def _fill(notebook: NotebookNode, name: str, source: str) -> None:
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == name:
            cell.source = source
            return
    raise ValueError(f"no cell {name} is in the notebook")


def all_attacks() -> list[Attack]:
    """Every attack by a notebook's cells, by name."""
    ours = ("attack", "test_attacks")
    return [Attack.read(path) for path in sorted(FOLDER.glob("*.py")) if path.stem not in ours]


def all_submissions() -> list[Attack]:
    """Every attack by the files of a submission, by name; see Attack.build."""
    return [Attack.read(path) for path in sorted((FOLDER / "submissions").glob("*.py"))]


@dataclass(frozen=True)
class Graded:
    """What came of a notebook.

    Attributes:
        record: check → verdict, as the referee saw it; said: everything that the notebook's cells put out; raised: what
        they raised.
    """

    record: dict[str, dict[str, Any]]
    said: str
    raised: list[str]


def grade(notebook: NotebookNode, spec: Spec, home: Home, student: str) -> Graded:
    """Grade a notebook as `grader autograde` does; where there is no sandbox, without one."""
    folder = course_root() / "labs" / spec.id
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".py", ".toml")}
    limits = replace(Limits.of(spec), cell_s=CELL_LIMIT_S, notebook_s=3 * CELL_LIMIT_S)
    executed = execute(Job(student, spec.id, nbformat.writes(notebook), files, SANDBOX, limits), home=home)
    outputs = [
        output
        for cell in nbformat.reads(executed.notebook, as_version=4).cells
        for output in cell.get("outputs", [])
    ]
    raised = [f"{o.ename}: {o.evalue}"[:300] for o in outputs if o.output_type == "error"]
    record = {
        name: verdict
        for name, verdict in executed.record.items()
        if verdict["status"] != "error" or name != executed.in_flight  # as refuse_faults has it
    }
    return Graded(record, "\n".join(map(str, outputs)), raised)
