"""What is ours in `nbgrader autograde`: whole cells before the run, the referee's record after it.

A student's kernel can say anything about itself, so nothing that it printed becomes a score.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution
from traitlets import DottedObjectName
from traitlets.utils.importstring import import_item

from pglab import jupyter
from pglab.errors import RefereeError
from pglab.home import Home

Resources = dict[str, Any]


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


class RefereedExecute(Execute):  # type: ignore[misc]
    """Run the notebook with a referee beside the kernel; its record replaces what the grade cells printed."""

    referee = DottedObjectName(
        "grader.referee.RefereeProcess",
        help="Called with student=… and lab=…; gives env(), record() and close().",
    ).tag(config=True)

    _ended = ""  # why the kernel ended before the notebook did
    _ended_in = -1  # and in which cell
    _in_flight = ""  # and with which grade_id

    def __call__(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        if not self.enabled:
            raise RefereeError(
                "--no-execute would take the scores from what the students' own files say",
                "Run nbgrader autograde without it",
            )
        return self.preprocess(nb, resources)

    def preprocess(
        self, nb: NotebookNode, resources: Resources, km: Any = None
    ) -> tuple[NotebookNode, Resources]:
        student = resources["nbgrader"]["student"]
        self._ended, self._ended_in, self._in_flight = "", -1, ""
        try:
            referee = import_item(self.referee)(student=student, lab=resources["nbgrader"]["assignment"])
            try:
                with variables(jupyter.environment(Home.default()) | referee.env()):
                    nb, resources = super().preprocess(nb, resources, km)
                record = referee.record()
            finally:
                referee.close()
            if self._ended:
                self.log.warning("%s: %s; the checks after that score 0", student, self._ended)
            refuse_faults(record, self._in_flight)
            for index, cell in enumerate(nb.cells):
                if is_check(cell):
                    self._use(cell, record, index)
        except Exception as error:  # an infrastructure fault: the referee, the server, no kernel at all
            # nbgrader reports the submission as failed and saves nothing: a score of an earlier grading stays
            self.log.error("%s was not graded, and no score was changed: %s", student, error)
            raise
        return nb, resources

    def preprocess_cell(
        self, cell: NotebookNode, resources: Resources, index: int
    ) -> tuple[NotebookNode, Resources]:
        """Run one cell. A kernel that dies, hangs or talks nonsense ends the run, not the grading."""
        if self._ended:
            return cell, resources
        try:
            done: tuple[NotebookNode, Resources] = super().preprocess_cell(cell, resources, index)
            return done
        except Exception as error:  # what a kernel can make nbclient raise is not a closed list
            self._ended = f"the kernel ended in cell {index + 1} ({type(error).__name__})"
            self._ended_in = index
            self._in_flight = str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
            name = type(error).__name__
            cell.outputs = [new_output("error", ename=name, evalue=self._ended, traceback=[self._ended])]
            return cell, resources

    def _use(self, cell: NotebookNode, record: Mapping[str, dict[str, Any]], index: int) -> None:
        """Replace a grade cell's outputs by its verdict, the points last, as nbgrader reads them.

        Raises:
            RefereeError: the points are no score of this cell.
        """
        name, worth = str(cell.metadata.nbgrader["grade_id"]), float(cell.metadata.nbgrader["points"])
        verdict = record.get(name)
        if verdict is None or verdict["status"] == "error":
            verdict = not_seen(name, worth, self._why(cell, index))
        points = score(verdict, worth)
        cell.outputs = [
            new_output("display_data", data=shown(verdict)),
            new_output("execute_result", {"text/plain": repr(points)}, execution_count=cell.execution_count),
        ]

    def _why(self, cell: NotebookNode, index: int) -> str:
        """Why the record has no verdict for this cell."""
        if self._ended and index >= self._ended_in:
            return f"Not judged: {self._ended}."
        if any(output.get("ename") == "CellTimeoutError" for output in cell.outputs):
            return f"Not judged: the cell ran for more than {self.timeout} s."
        return "The referee did not see this check."


def refuse_faults(record: Mapping[str, dict[str, Any]], in_flight: str = "") -> None:
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


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that the kernel inherits, put back afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
