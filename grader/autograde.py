"""Grade a class: read the submissions, run them side by side in sandboxes, enter them one by one through nbgrader.

What was run and what was entered stands in the journal, so killing this at any moment loses at most the submissions
that were running.
"""

from __future__ import annotations

import errno
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from grader.course import Course, Scores
from grader.execution import Executed, Job, execute
from grader.journal import Journal
from grader.preprocessors import refuse_faults
from grader.spec import Spec
from grader.submission import Submission, read_submission, shorten
from pglab.errors import PglabError
from pglab.home import Home

ATTEMPTS = 3
log = logging.getLogger("pglab.autograde")


@dataclass
class Outcome:
    """What became of one submission.

    Attributes:
        state: "graded", "unchanged" (graded before, and nothing is new) or "error"; scores: check → points, None while
        nobody has judged it; before: those that it replaced; why: of an error; notes: what the instructor should know;
        peak_mb, seconds: of its run.
    """

    student: str
    state: str
    scores: Scores = field(default_factory=dict)
    before: Scores = field(default_factory=dict)
    why: str = ""
    notes: list[str] = field(default_factory=list)
    peak_mb: float = 0.0
    seconds: float = 0.0


@dataclass
class _Ready:
    """A submission that waits for its run."""

    job: Job
    digest: str
    handed_in: Path
    notes: list[str]
    attempt: int = 1


def attempt(job: Job, place: AbstractContextManager[object] | None = None) -> Executed:
    """Run a submission; a check that could not be measured is a fault, never a score.

    Args:
        place: see execute().

    Raises:
        PglabError and others: see execute(); RefereeError: the first fault in the record.
    """
    executed = execute(job, place=place)
    refuse_faults(executed.record, executed.in_flight)
    return executed


class Grading:
    """Grades one lab of a course."""

    def __init__(
        self, course: Course, lab: str, executor: Executor, jobs: int, *, sandbox: str, force: bool = False,
        run: Callable[[Job], Executed] = attempt,
    ) -> None:  # fmt: skip
        """
        Args:
            executor: runs `run`, here or on other machines; jobs: how many it gets at a time; sandbox: its kind;
            force: grade again what is graded.
        """
        self.course, self.lab, self.spec = course, lab, Spec.load(lab)
        self.journal = Journal(course.root, lab)
        self._executor, self._jobs, self._sandbox, self._force, self._run = (
            executor,
            jobs,
            sandbox,
            force,
            run,
        )
        self._of_the_lab = _digest_of(self.spec.folder) + sandbox

    def students(self, glob: str = "*") -> dict[str, Path]:
        """Student → folder of those who handed in and whose name matches.

        Raises:
            PglabError: nobody did.
        """
        found = {
            student: path
            for student, path in self.course.submitted(self.lab).items()
            if fnmatchcase(student, glob)
        }
        if not found:
            above = self.course.root / self.course.folders.submitted_directory
            raise PglabError(
                f"Nobody has handed in {self.lab} (looked for {above}/{glob}/{self.lab}/)",
                "Run `nbgrader collect`, or put the submissions there",
            )
        return found

    def grade(self, students: dict[str, Path]) -> Iterator[Outcome]:
        """Grade them; each outcome comes as soon as it is known."""
        waiting = iter(students.items())
        running: dict[Future[Executed], _Ready] = {}
        try:
            while True:
                while len(running) < self._jobs and (next_one := next(waiting, None)):
                    prepared = self._prepare(*next_one)
                    if isinstance(prepared, Outcome):
                        yield prepared
                    else:
                        running[self._submit(prepared)] = prepared
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    ready = running.pop(future)
                    outcome = self._finish(ready, future)
                    if outcome is None:  # once more
                        running[self._submit(ready)] = ready
                    else:
                        yield outcome
        finally:
            for future in running:
                future.cancel()

    def _submit(self, ready: _Ready) -> Future[Executed]:
        return self._executor.submit(self._run, ready.job)

    def _prepare(self, student: str, folder: Path) -> Outcome | _Ready:
        try:
            submission = read_submission(folder, f"{self.lab}.ipynb")
            notes = [f"left out {name}" for name in shorten(submission.left_out)]
            if submission.problem:
                return Outcome(student, "error", why=submission.problem, notes=notes)
            digest = hashlib.sha256((submission.digest() + self._of_the_lab).encode()).hexdigest()
            if self._force:
                self.journal.forget(student)
            before = self.course.scores(self.lab, student)
            entered = self.journal.entered(student, digest)
            if entered is not None and entered == before and self.course.is_entered(self.lab, student):
                return Outcome(student, "unchanged", before, before, notes=notes)
            handed_in = self.journal.keep(student, submission)
            job = self.course.job(self.lab, student, handed_in, self._sandbox)
            job = replace(job, key=Home.default().secrets()["course"])
            ready = _Ready(job, digest, handed_in, notes)
            executed = self.journal.executed(student, digest)
            return self._enter(ready, executed) if executed else ready
        except Exception as error:  # of one submission: the others go on
            log.exception("preparing %s", student)
            return Outcome(student, "error", why=_said(error))

    def _finish(self, ready: _Ready, future: Future[Executed]) -> Outcome | None:
        """The outcome, or None when it is to be tried once more."""
        student = ready.job.student
        try:
            executed = future.result()
        except Exception as error:
            log.warning("%s, attempt %d: %s", student, ready.attempt, _said(error))
            if ready.attempt < ATTEMPTS:
                ready.attempt += 1
                return None
            return Outcome(student, "error", why=_said(error), notes=ready.notes)
        try:
            self.journal.note_executed(student, ready.digest, executed)
            return self._enter(ready, executed)
        except Exception as error:
            log.exception("entering %s", student)
            return Outcome(student, "error", why=_said(error), notes=ready.notes)

    def _enter(self, ready: _Ready, executed: Executed) -> Outcome:
        student = ready.job.student
        before = self.course.scores(self.lab, student)
        self.course.enter(ready.job, executed, ready.handed_in)
        scores = self.course.scores(self.lab, student)
        self.journal.note_entered(student, ready.digest, scores)
        notes = [*ready.notes, *([executed.ended] if executed.ended else [])]
        return Outcome(student, "graded", scores, before, "", notes, executed.peak_mb, executed.seconds)


def changes(outcome: Outcome) -> list[str]:
    """What a regrade changed, such as "fix 0 → 5"."""
    return [
        f"{check} {_points(outcome.before[check])} → {_points(points)}"
        for check, points in outcome.scores.items()
        if check in outcome.before and outcome.before[check] != points
    ]


def _points(points: float | None) -> str:
    return "none" if points is None else f"{points:g}"


def _said(error: Exception) -> str:
    if isinstance(error, PglabError):
        return str(error)
    text = str(error).strip().splitlines()
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full. Free some space, and run the command again."
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _digest_of(folder: Path) -> str:
    """Of all that a lab is judged by: another judge means that everybody is graded again."""
    told = Submission({
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and "samples" not in path.parts
    })  # fmt: skip
    return told.digest()


def failed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that could not be graded."""
    return [outcome for outcome in outcomes if outcome.state == "error"]
