"""What a referee does for one kernel: open the incident, judge checks, keep the record."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg

from grader import run_folder
from grader.blame import first_line, is_quick, students_own
from grader.context import Call, Context, StudentError, no_kernel
from grader.database import LabDatabase
from grader.quota import Quota
from grader.roles import Tampered
from grader.spec import CheckSpec, Spec
from grader.turn import turn
from grader.verdict import Target, Verdict, could_not_measure
from pglab.cluster import Cluster
from pglab.errors import LabError, PglabError, RefereeError

log = logging.getLogger("pglab.referee")

OPENING = "opening the lab"  # in the record: no check has such a name


class Session:
    """One student at one lab at a time. Checks take turns, also when ten arrive at once."""

    def __init__(self, cluster: Cluster, student: str, *, graded: bool = False, lab: str = "") -> None:
        """Args: graded: a fresh database, once, and none left behind; lab: the only one that this session opens."""
        self.cluster = cluster
        self.student = student
        self.graded = graded
        self.only = lab
        self.folder = run_folder.make(cluster.home, run_folder.SESSION)
        self.db: LabDatabase | None = None
        self._quota: Quota | None = None
        self._record: dict[str, dict[str, Any]] = {}
        self._turns: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(self, lab: str, on_step: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
        """Open a lab: its database is made unless it is there. Returns what the notebook needs.

        In a graded session the database is made afresh, once: starting again does not undo what was done.
        """
        with self._lock:
            if self.only and lab != self.only:
                raise LabError(f"This session is for {self.only}")
            spec = Spec.load(lab)
            first = self.db is None or self.db.spec.id != spec.id
            if first:
                self._record.clear()
            db = LabDatabase(self.cluster, spec, self.student, graded=self.graded)
            with self._noting_failure(), db.kept.keeping():
                self.cluster.require_running()
                if self.graded and first:
                    db.drop()
                    self.db = db  # from now on close() drops it, whole or half made
                db.open(spec.judge().prepare, on_step)
            self.db = db
            if self.graded and first:
                self._watch_size()
            return self._about(db)

    def _about(self, db: LabDatabase) -> dict[str, Any]:
        spec = db.spec
        return {
            "id": spec.id, "title": spec.title, "student": self.student, "scale": db.scale, "conninfo": db.conninfo(),
            "nodes": db.nodes(), "params": db.facts().get("params", {}),
            "checks": {check.name: {"title": check.title, "points": check.points, "hints": check.hints} for check in spec.checks.values()},
        }  # fmt: skip

    def reset(self, on_step: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
        """Make the incident anew. What was checked so far is forgotten. Returns what start() does."""
        with self._lock:
            db = self._opened()
            self._record.clear()
            with self._noting_failure(), db.kept.keeping():
                db.drop(keep_sockets=True)
                db.open(db.spec.judge().prepare, on_step)
                if self.graded:
                    self._watch_size()
            return self._about(db)

    def _watch_size(self) -> None:
        if self._quota is not None:
            self._quota.stop()
        self._quota = Quota(self._opened())

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """A lab that could not be opened stands in the record as an error: nobody may score 0 for it."""
        try:
            yield
        except Exception as error:
            why = str(error).strip() or type(error).__name__
            self._record[OPENING] = could_not_measure(OPENING, "", "Opening the lab", 0.0, why).as_dict()
            raise
        self._record.pop(OPENING, None)

    def check(
        self,
        name: str,
        answer: Any,
        on_step: Callable[[str], None] = lambda step: None,
        call: Call = no_kernel,
    ) -> dict[str, Any]:
        """Judge one check and keep the verdict; the last one of a name counts.

        Args:
            call: runs a function of the student's in their kernel, see Context.call.
        """
        with self._lock:
            db = self._opened()
            check = db.spec.checks.get(name)
            if check is None or check.manual:
                known = ", ".join(check.name for check in db.spec.checks.values() if not check.manual)
                raise LabError(f"{db.spec.id} has no check {name!r}", f"Its checks are: {known}")
            number = self._turns[name] = self._turns.get(name, 0) + 1
            on_step(check.title)
            context = Context(db, check.name, answer, number, on_step, call, self.folder)
            with db.kept.keeping():
                verdict = self._judge(db, check, context).as_dict()
            self._record[name] = verdict
            return verdict

    def _judge(self, db: LabDatabase, check: CheckSpec, context: Context) -> Verdict:
        """Judge a check. An error of the server in a graded session is looked into: nobody else is in its database."""
        try:
            return self._attempt(db, check, context)
        except psycopg.Error as error:
            if not self.graded:
                return self._unmeasured(db, check, self._advice(error))
            log.warning("%s %s for %s: %s; once more", db.spec.id, check.name, self.student, error)
        try:
            _end_sessions(db)  # they may hold the locks, the memory or the places that were missing
            return self._attempt(db, check, context)
        except psycopg.errors.QueryCanceled as error:
            try:
                quick = is_quick(db)
            except psycopg.Error:
                quick = False
            if quick:
                return _failed(check, "the lab's database", first_line(error), "answers within 60 s", "the server", "what makes the application's own query take so long?")  # fmt: skip
            return self._unmeasured(db, check, self._advice(error))
        except psycopg.Error as error:
            return self._unmeasured(db, check, self._advice(error))

    def _attempt(self, db: LabDatabase, check: CheckSpec, context: Context) -> Verdict:
        """Raises psycopg.Error where the submission is not seen to be the cause."""
        here, source = "the lab's database", "the server"
        anew = "lab.reset() gives you a fresh incident"
        try:
            if missing := self._missing(db):
                return _failed(check, here, missing, "as the lab made it", source, anew)
            if self._quota is not None and self._quota.exceeded:
                return _failed(check, here, self._quota.exceeded, "the lab's size", "pg_database_size", anew)
            with turn() if self.graded and check.timed else nullcontext():
                db.restore_judge(alone=self.graded)
                targets = db.spec.judge().CHECKS[check.name](context)
            worth = sum(target.max_points for target in targets)
            if abs(worth - check.points) > 1e-9:
                raise LabError(
                    f"{db.spec.id}: the targets of {check.name} are worth {worth:g}, and lab.toml says {check.points:g}"
                )
            return Verdict(check.name, check.part, check.title, check.points, targets)
        except StudentError as error:
            return _failed(check, "your function", str(error), "returns an answer", "the kernel", error.hint)
        except Tampered as error:
            return _failed(check, here, str(error), "as the lab made it", source, anew)
        except psycopg.errors.LockNotAvailable:
            if not self.graded:
                raise
            hint = "end each transaction before the check"
            return _failed(
                check, here, "locked by the submission's own session", "as the lab made it", source, hint
            )
        except psycopg.Error as error:
            if not students_own(error):
                raise
            hint = "the application's own query fails now: put back what it needs"
            return _failed(check, here, first_line(error), "as the lab made it", source, hint)
        except PglabError as error:
            return self._unmeasured(db, check, str(error))
        except Exception as error:  # a fault of ours is nobody's failure either
            log.exception("check %s of %s", check.name, db.spec.id)
            why = f"the referee failed ({type(error).__name__}: {error}); its log has more"
            return self._unmeasured(db, check, why)

    @staticmethod
    def _advice(error: psycopg.Error) -> str:
        match error:
            case psycopg.errors.LockNotAvailable():
                return "a session of yours holds a lock that the workload waits for; commit or roll back, or restart the kernel, and check again"
            case psycopg.errors.QueryCanceled():
                return "the workload ran into the limit of 60 s"
        return f"the server said: {first_line(error)}; see `pglab status`"

    def _unmeasured(self, db: LabDatabase, check: CheckSpec, why: str) -> Verdict:
        log.warning("%s %s for %s: %s", db.spec.id, check.name, self.student, why)
        return could_not_measure(check.name, check.part, check.title, check.points, why)

    def _missing(self, db: LabDatabase) -> str:
        """What of the lab's database is gone; empty when it is there, and counts statements."""
        with db.server() as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [db.name]).fetchone():
                return "dropped"
        with db.admin() as admin:
            counts = admin.execute(
                "SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'"
            ).fetchone()
        return "" if counts else "its extension pg_stat_statements was dropped"

    def record(self) -> dict[str, dict[str, Any]]:
        """Check → its last verdict. What is not in it was not seen."""
        with self._lock:
            return dict(self._record)

    def sockets(self) -> list[Path]:
        """Folders with the sockets that the kernel needs: this session's own, and those of the lab's nodes."""
        nodes = self._opened().nodes().values()
        return [self.folder, *sorted({Path(node["host"]) for node in nodes})]

    def close(self) -> None:
        """Forget the session; a graded one leaves no database behind."""
        try:
            if self._quota is not None:
                self._quota.stop()
            if self.graded and self.db is not None:
                self.db.drop()
        finally:
            run_folder.remove(self.folder)

    def _opened(self) -> LabDatabase:
        if self.db is None:
            raise RefereeError("No lab is open", "Run the notebook's first cell")
        return self.db


def _end_sessions(db: LabDatabase) -> None:
    """The student's. Where none can be had for that, the quota ends those that hold everything, within a second."""
    deadline = time.monotonic() + 5
    while True:
        try:
            db.end_sessions()
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _failed(check: CheckSpec, name: str, measured: str, target: str, source: str, hint: str) -> Verdict:
    """A check that failed before there was anything to measure."""
    what = Target(name, "fail", measured, target, source, hint, required=True)
    return Verdict(check.name, check.part, check.title, check.points, [what])
