"""A course as nbgrader sees it: its folders, its configuration, its gradebook."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.baseapp import NbGrader
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.utils import find_all_files

from grader.execution import Executed, Job
from grader.journal import FOLDER
from grader.preprocessors import RefereedExecute
from pglab.errors import PglabError
from pglab.home import course_root

Scores = dict[str, float | None]


class Course:
    """nbgrader's own classes, configured as its commands are; used by one thread."""

    def __init__(self, gradebook: str = "") -> None:
        """Args: gradebook: its URL, such as "postgresql+psycopg://…"; empty for the configuration's."""
        paths = [str(course_root() / "grader"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
        os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
        self.app: Any = NbGrader()
        self.app.initialize([])
        for handler in list(self.app.log.handlers):  # what it says goes to our log, not to the terminal
            self.app.log.removeHandler(handler)
        self.app.log.propagate = True
        self.folders: Any = self.app.coursedir
        if gradebook:
            self.folders.db_url = gradebook
        self.root = Path(self.folders.root)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second `grader autograde` of the same course out.

        Raises:
            PglabError: one is at work.
        """
        folder = self.root / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / "lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PglabError(
                    f"{self.root} is being graded by another command", "Wait for it to end"
                ) from None
            yield

    def submitted(self, lab: str) -> dict[str, Path]:
        """Student → folder, of those who handed the lab in."""
        above = self.root / self.folders.submitted_directory
        found = sorted(path for path in above.glob(f"*/{lab}") if path.is_dir() and not path.is_symlink())
        return {path.parent.name: path for path in found if not path.parent.is_symlink()}

    def require(self, lab: str) -> None:
        """Raises PglabError when the gradebook does not know the lab."""
        try:
            with self._gradebook() as gradebook:
                gradebook.find_notebook(lab, lab)
        except MissingEntry:
            raise PglabError(
                f"The gradebook does not know {lab}", f"Run `nbgrader generate_assignment {lab}` first"
            ) from None

    def job(self, lab: str, student: str, handed_in: Path, sandbox: str) -> Job:
        """What is to be run of a submission, sanitized as nbgrader does it. Writes nothing.

        Args:
            handed_in: a folder <student>/<lab> with plain files.

        Raises:
            Exception: what nbgrader says of a notebook that it cannot take.
        """
        with self._at(lab, student, handed_in) as converter:
            converter.exporter = converter.exporter_class(parent=converter, config=converter.config)
            converter._sanitizing = True
            converter._init_preprocessors()
            path = str(handed_in / f"{lab}.ipynb")
            resources = converter.init_single_notebook_resources(path)
            text, _ = converter.exporter.from_filename(path, resources=resources)
            execute = RefereedExecute(parent=converter.exporter, sandbox=sandbox)
            return execute.job_of(text, student, lab, self._files(lab, handed_in))

    def enter(self, job: Job, executed: Executed, handed_in: Path) -> None:
        """Have nbgrader enter a submission that was run: autograded/, scores, late penalties.

        Raises:
            PglabError: it did not, in its own words.
        """

        def ready(asked: Job) -> Executed:
            if (asked.student, _sources(asked)) != (job.student, _sources(job)):
                raise PglabError("The assignment was changed while it was graded", "Run the command again")
            return executed

        words = _Words()
        self.app.log.addHandler(words)
        RefereedExecute.ready = staticmethod(ready)
        try:
            with self._at(job.lab, job.student, handed_in) as converter:
                converter.force = True
                converter.start()
        except NbGraderException as error:
            raise PglabError(f"nbgrader did not enter it: {words.last or error}") from error
        finally:
            RefereedExecute.ready = staticmethod(lambda asked: None)
            self.app.log.removeHandler(words)

    def scores(self, lab: str, student: str) -> Scores:
        """Check → what nbgrader entered, of the cells that are graded by the referee; empty without a submission."""
        with self._gradebook() as gradebook:
            try:
                notebook = gradebook.find_submission_notebook(lab, lab, student)
            except MissingEntry:
                return {}
            return {grade.name: grade.auto_score for grade in notebook.grades if grade.cell_type == "code"}

    def is_entered(self, lab: str, student: str) -> bool:
        """Whether autograded/ has it."""
        return Path(
            self.folders.format_path(self.folders.autograded_directory, student, lab), f"{lab}.ipynb"
        ).exists()

    def _gradebook(self) -> Any:
        return Gradebook(self.folders.db_url, self.folders.course_id)

    def _files(self, lab: str, handed_in: Path) -> dict[str, bytes]:
        """Beside the notebook: the student's files, the lab's own in place of theirs."""
        source = Path(self.folders.format_path(self.folders.source_directory, ".", lab))
        files: dict[str, bytes] = {}
        for folder in (handed_in, source):
            for name in find_all_files(str(folder), [*self.folders.ignore, "*.ipynb"]):
                files[Path(name).relative_to(folder).as_posix()] = Path(name).read_bytes()
        return files

    @contextmanager
    def _at(self, lab: str, student: str, handed_in: Path) -> Iterator[Any]:
        """nbgrader's converter for one submission, which it finds in handed_in."""
        before = self.folders.submitted_directory
        self.folders.assignment_id, self.folders.student_id = lab, student
        self.folders.submitted_directory = str(handed_in.parent.parent)
        try:
            yield Autograde(coursedir=self.folders, parent=self.app)
        finally:
            self.folders.submitted_directory = before
            self.folders.student_id = "*"


def _sources(job: Job) -> list[str]:
    return [cell.source for cell in nbformat.reads(job.notebook, as_version=4).cells]


class _Words(logging.Handler):
    """Remembers why, of all that nbgrader says of an error: the last line of its first traceback."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        if record.levelno >= logging.ERROR and text.startswith("Traceback") and not self.last:
            self.last = text.splitlines()[-1]
