"""A course folder with submissions, and `grader autograde` on it, as an instructor runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry

from grader.spec import Spec
from pglab.home import course_root

LAB = "10-missing-index"


class GradedCourse:
    """A course folder with submissions, and the command on it."""

    def __init__(self, folder: Path, lab: str = LAB) -> None:
        self.folder, self.lab = folder, lab
        self.checks = [check.name for check in Spec.load(lab).checks.values() if not check.manual]
        self.environment = {
            **os.environ,
            "PGLAB_COURSE": str(folder),
            "PGLAB_SCALE": "small",
            "JUPYTER_CONFIG_PATH": str(course_root() / "grader"),
            "PYTHONPATH": str(course_root()),
            "COLUMNS": "160",
        }
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", "generate_assignment", lab],
            cwd=folder, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def hand_in(self, student: str, change: Callable[[Path], None]) -> None:
        """change: fills the submission's folder."""
        folder = self.folder / "submitted" / student / self.lab
        folder.mkdir(parents=True, exist_ok=True)
        change(folder)

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "grader.cli", "autograde", self.lab, *options],
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def grade(self, *options: str) -> tuple[int, str]:
        process = self.start(*options)
        out, err = process.communicate(timeout=500)
        assert "Traceback" not in err, err
        return process.returncode, out + err

    def scores(self, student: str) -> list[float | None] | None:
        with Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}", "pglab") as gradebook:
            try:
                notebook = gradebook.find_submission_notebook(self.lab, self.lab, student)
            except MissingEntry:
                return None
            found = {grade.name: grade.auto_score for grade in notebook.grades}
            return [found[name] for name in self.checks]
