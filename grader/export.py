"""`nbgrader export` with one thing put right: a submission that could not be graded has no score, not 0."""

from __future__ import annotations

import csv
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

SCORES = ("raw_score", "score")


class GradedExport(CsvExportPlugin):  # type: ignore[misc]
    """nbgrader's CSV, with the scores left blank where a check of the submission was never judged."""

    def export(self, gradebook: Gradebook) -> None:
        super().export(gradebook)
        path = Path(self.to or "grades.csv")
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        if not rows:
            return
        open_ones = {
            (submission.assignment.name, submission.student.id)
            for assignment in gradebook.assignments
            for submission in assignment.submissions
            for notebook in submission.notebooks
            for grade in notebook.grades
            if grade.cell_type == "code" and grade.auto_score is None and grade.manual_score is None
        }
        for row in rows:
            if (row["assignment"], row["student_id"]) in open_ones:
                self.log.warning("%(assignment)s of %(student_id)s was not graded: no score", row)
                row.update(dict.fromkeys(SCORES, ""))
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
