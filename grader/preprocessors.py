"""What is ours in `nbgrader autograde`: whole cells before the run, the referee's record after it.

A student's kernel can say anything about itself, so nothing that it printed becomes a score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution
from traitlets import DottedObjectName, Integer, Unicode
from traitlets.utils.importstring import import_item

from grader.execution import Executed, Job, Record, execute
from grader.sandbox.kernel import BUBBLEWRAP, NONE, choose
from grader.sandbox.limits import Limits
from grader.spec import Spec
from grader.submission import read_files
from pglab.errors import RefereeError

Resources = dict[str, Any]

SANDBOX = "pglab_sandbox"  # in the resources that nbconvert hands from one preprocessor to the next
UNGUARDED = (
    "Graded without a sandbox: the submission ran as the instructor, and could read and change what they can."
)


class RepairCells(NbGraderPreprocessor):  # type: ignore[misc]
    """Give every graded cell the metadata that the gradebook has, once each; put back what is gone.

    It stands for nbgrader's DeduplicateIds. Without it a changed id or flag fails the submission, a duplicate
    or another schema version ends the run for the whole class, and a deleted cell keeps an earlier score.
    """

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as gradebook:
            notebook = gradebook.find_notebook(names["notebook"], names["assignment"])
            points = {cell.name: cell.max_score for cell in notebook.grade_cells}
            solutions = {cell.name for cell in notebook.solution_cells}
            known = {
                cell.name: (_metadata(cell, points.get(cell.name), cell.name in solutions), cell.source)
                for cell in notebook.source_cells
            }
        seen: set[str] = set()
        for cell in reversed(nb.cells):  # of several with one id the last counts, as in nbgrader
            claimed = cell.metadata.pop("nbgrader", None)
            name = claimed.get("grade_id") if isinstance(claimed, dict) else None
            if isinstance(name, str) and name in known and name not in seen:
                seen.add(name)
                # nothing else stays: a tag can keep a cell from being run
                cell.metadata = NotebookNode(nbgrader=NotebookNode(known[name][0]))
            elif claimed:
                self.log.warning("A cell with the id %r is not one of the lab's, or a second one", name)
        for name in points:
            if name not in seen:
                self.log.warning("The cell %s was missing and is put back", name)
                metadata, source = known[name]
                make: Any = new_code_cell if metadata["cell_type"] == "code" else new_markdown_cell
                nb.cells.append(make(source, id=f"{name}-put-back", metadata={"nbgrader": metadata}))
        return nb, resources


def _metadata(source: Any, points: float | None, solution: bool) -> dict[str, Any]:
    """One cell's nbgrader metadata (schema 3) after the gradebook."""
    metadata = {
        "cell_type": source.cell_type,
        "checksum": source.checksum,
        "grade": points is not None,
        "grade_id": source.name,
        "locked": source.locked,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return metadata if points is None else metadata | {"points": points}


class RefereedExecute(NbGraderPreprocessor):  # type: ignore[misc]
    """Run the notebook in a sandbox, a referee beside it; its record replaces what the grade cells printed.

    It stands for nbgrader's Execute.

    Attributes:
        ready: gives what came of a job that was run already, or None; `grader autograde` runs many side by side, and
        has nbgrader enter them one by one.
    """

    referee = DottedObjectName(
        "grader.referee.RefereeProcess",
        help="Called with student=… and lab=…; gives open(), env(), record() and close().",
    ).tag(config=True)
    sandbox = Unicode(BUBBLEWRAP, help="bubblewrap, docker, or none: then submissions run as you.").tag(
        config=True
    )
    timeout = Integer(0, help="Seconds for one cell; 0 for the lab's own limit.").tag(config=True)

    ready: Callable[[Job], Executed | None] = staticmethod(lambda job: None)

    def __call__(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        # nbgrader's --no-execute speaks to the class that this one stands for
        if not self.enabled or not self.config.get("Execute", {}).get("enabled", True):
            raise RefereeError(
                "--no-execute would take the scores from what the students' own files say",
                "Run nbgrader autograde without it",
            )
        return self.preprocess(nb, resources)

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Run it, and put the record's verdicts and points where the grade cells' outputs are."""
        names = resources["nbgrader"]
        try:
            job = self._job(nb, resources)
            executed = self.ready(job) or execute(
                replace(job, sandbox=choose(job.sandbox)), import_item(self.referee)
            )
            if executed.ended:
                self.log.warning("%s: %s; the checks after that score 0", names["student"], executed.ended)
            refuse_faults(executed.record, executed.in_flight)
            ran: NotebookNode = nbformat.reads(executed.notebook, as_version=4)
            for index, (cell, after) in enumerate(zip(nb.cells, ran.cells, strict=True)):
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = after.outputs, after.execution_count
                if is_check(cell):
                    self._use(cell, executed, index)
            resources[SANDBOX] = executed.sandbox
        except Exception as error:  # an infrastructure fault: the referee, the server, no kernel at all
            # nbgrader reports the submission as failed and saves nothing: a score of an earlier grading stays
            self.log.error("%s was not graded, and no score was changed: %s", names["student"], error)
            raise
        return nb, resources

    def job_of(self, text: str, student: str, lab: str, files: dict[str, bytes]) -> Job:
        """What is to be run. text: the sanitized notebook, as JSON; files: beside it."""
        limits = Limits.of(Spec.load(lab))
        if self.timeout:
            limits = replace(limits, cell_s=self.timeout)
        return Job(student, lab, text, files, self.sandbox, limits)

    def _job(self, nb: NotebookNode, resources: Resources) -> Job:
        names, folder = resources["nbgrader"], Path(resources["metadata"]["path"])
        coursedir = self.parent.parent.coursedir
        handed_in = Path(
            coursedir.format_path(coursedir.submitted_directory, names["student"], names["assignment"])
        )
        files = read_files(folder, handed_in)
        text = nbformat.writes(nb)
        return self.job_of(text, names["student"], names["assignment"], files)

    def _use(self, cell: NotebookNode, executed: Executed, index: int) -> None:
        """Replace a grade cell's outputs by its verdict, the points last, as nbgrader reads them.

        Raises:
            RefereeError: the points are no score of this cell.
        """
        name, worth = str(cell.metadata.nbgrader["grade_id"]), float(cell.metadata.nbgrader["points"])
        verdict = executed.record.get(name)
        if verdict is None or verdict["status"] == "error":
            verdict = not_seen(name, worth, _why(cell, executed, index))
        points = score(verdict, worth)
        cell.outputs = [
            new_output("display_data", data=shown(verdict)),
            new_output("execute_result", {"text/plain": repr(points)}, execution_count=cell.execution_count),
        ]


class NoteSandbox(NbGraderPreprocessor):  # type: ignore[misc]
    """Where a submission was run without a sandbox, the gradebook says so: in the comment on the first answer."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """After SaveAutoGrades, which writes the comments anew."""
        names = resources["nbgrader"]
        if resources.get(SANDBOX) == NONE:
            with Gradebook(names["db_url"]) as gradebook:
                notebook = gradebook.find_submission_notebook(
                    names["notebook"], names["assignment"], names["student"]
                )
                for comment in notebook.comments[:1]:
                    comment.auto_comment = " ".join(filter(None, [comment.auto_comment, UNGUARDED]))
                gradebook.db.commit()
        return nb, resources


def _why(cell: NotebookNode, executed: Executed, index: int) -> str:
    """Why the record has no verdict for this cell."""
    if executed.ended and index >= executed.ended_in:
        return f"Not judged: {executed.ended}."
    if any(output.get("ename") == "CellTimeoutError" for output in cell.outputs):
        return "Not judged: the cell ran into the time limit."
    return "The referee did not see this check."


def refuse_faults(record: Record, in_flight: str = "") -> None:
    """Nothing is graded where something could not be measured, be it a check or the opening of the lab.

    Args:
        in_flight: the cell in which the kernel ended; that its check broke off is the notebook's own doing.

    Raises:
        RefereeError: the first fault in the record.
    """
    for name, verdict in record.items():
        if verdict["status"] == "error" and name != in_flight:
            why = verdict.get("message") or "no reason given"
            raise RefereeError(
                f"{name} of the record: {why}", "Put that right and run nbgrader autograde again"
            )


def is_check(cell: NotebookNode) -> bool:
    """A grade cell that the referee judges, not a person."""
    return bool(cell.cell_type == "code" and is_grade(cell) and not is_solution(cell))


def not_seen(name: str, worth: float, why: str) -> dict[str, Any]:
    """The verdict on a check that the record does not have."""
    return {
        "check": name,
        "part": "",
        "title": "",
        "status": "fail",
        "points": 0.0,
        "max_points": worth,
        "targets": [],
        "message": why,
    }


def score(verdict: Mapping[str, Any], worth: float) -> float:
    """The verdict's points as a finite built-in float in [0, worth], which nbgrader reads as it is meant.

    Raises:
        RefereeError: they are anything else.
    """
    points = verdict.get("points")
    if isinstance(points, bool) or not isinstance(points, int | float) or not math.isfinite(points):
        raise RefereeError(f"the check {verdict.get('check')} has points = {points!r}, which is no score")
    if float(verdict.get("max_points", worth)) != worth:
        raise RefereeError(
            f"the check {verdict.get('check')} is worth {verdict['max_points']}, in the gradebook {worth}",
            "Run nbgrader generate_assignment for this lab, then autograde again",
        )
    if not 0 <= points <= worth:
        raise RefereeError(f"the check {verdict.get('check')} has {points} of {worth} points")
    return float(points)


def shown(verdict: dict[str, Any]) -> dict[str, str]:
    """The verdict as text/plain and text/html."""
    try:
        from pglab.show import verdict as show
    except ImportError:
        return {"text/plain": f"{verdict['check']}: {verdict['status']}. {verdict.get('message', '')}"}
    bundle = show(verdict)._repr_mimebundle_()
    return dict(bundle[0] if isinstance(bundle, tuple) else bundle)
