"""What a referee does for one kernel: open the incident, judge checks, keep the record."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from grader.context import Call, Context, StudentError, no_kernel
from grader.database import LabDatabase
from grader.spec import CheckSpec, Spec
from grader.verdict import Target, Verdict, could_not_measure
from pglab.cluster import Cluster
from pglab.errors import LabError, PglabError, RefereeError

log = logging.getLogger("pglab.referee")

# Errors of the server that the state of the student's database causes. All others are nobody's failure.
STUDENTS_OWN = (
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,
    psycopg.NotSupportedError,
)


OPENING = "opening the lab"  # in the record: no check has such a name


class Session:
    """One student at one lab at a time. Checks take turns, also when ten arrive at once."""

    def __init__(self, cluster: Cluster, student: str, *, graded: bool = False, lab: str = "") -> None:
        """Args: graded: a fresh database, once, and none left behind; lab: the only one that this session opens."""
        self.cluster = cluster
        self.student = student
        self.graded = graded
        self.only = lab
        self.db: LabDatabase | None = None
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
            with self._noting_failure():
                if self.graded and first:
                    db.drop()
                db.open(spec.judge().prepare, on_step)
            self.db = db
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
            with self._noting_failure():
                db.drop()
                db.open(db.spec.judge().prepare, on_step)
            return self._about(db)

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
            turn = self._turns[name] = self._turns.get(name, 0) + 1
            on_step(check.title)
            verdict = self._judge(db, check, Context(db, check.name, answer, turn, on_step, call)).as_dict()
            self._record[name] = verdict
            return verdict

    def _judge(self, db: LabDatabase, check: CheckSpec, context: Context) -> Verdict:
        def as_verdict(targets: list[Target], message: str = "") -> Verdict:
            return Verdict(check.name, check.part, check.title, check.points, targets, message)

        def gone(what: str, hint: str) -> Verdict:
            return as_verdict(
                [
                    Target(
                        "the lab's database",
                        "fail",
                        what,
                        "as the lab made it",
                        "the server",
                        hint,
                        required=True,
                    )
                ]
            )

        try:
            if not self._exists(db):
                return gone("dropped", "lab.reset() gives you a fresh incident")
            targets = db.spec.judge().CHECKS[check.name](context)
            worth = sum(target.max_points for target in targets)
            if abs(worth - check.points) > 1e-9:
                raise LabError(
                    f"{db.spec.id}: the targets of {check.name} are worth {worth:g}, and lab.toml says {check.points:g}"
                )
            return as_verdict(targets)
        except StudentError as error:
            target = Target(
                "your function",
                "fail",
                str(error),
                "returns an answer",
                "the kernel",
                error.hint,
                required=True,
            )
            return as_verdict([target])
        except STUDENTS_OWN as error:
            return gone(
                str(error).strip().splitlines()[0],
                "the application's own query fails now: put back what it needs",
            )
        except psycopg.errors.LockNotAvailable:
            # nobody else is in a graded database, so it is the submission's own lock
            if self.graded:
                return gone("locked by the submission's own session", "end each transaction before the check")
            why = "a session of yours holds a lock that the workload waits for; commit or roll back, or restart the kernel, and check again"
        except psycopg.errors.QueryCanceled:
            why = "the workload ran into the limit of 60 s"
        except psycopg.Error as error:
            why = f"the server said: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}; see `pglab status`"
        except PglabError as error:
            why = str(error)
        except Exception as error:  # a fault of ours is nobody's failure either
            log.exception("check %s of %s", check.name, db.spec.id)
            why = f"the referee failed ({type(error).__name__}: {error}); its log has more"
        log.warning("%s %s for %s: %s", db.spec.id, check.name, self.student, why)
        return could_not_measure(check.name, check.part, check.title, check.points, why)

    def _exists(self, db: LabDatabase) -> bool:
        with db.cluster.primary.connect() as admin:
            return (
                admin.execute("SELECT FROM pg_database WHERE datname = %s", [db.name]).fetchone() is not None
            )

    def record(self) -> dict[str, dict[str, Any]]:
        """Check → its last verdict. What is not in it was not seen."""
        with self._lock:
            return dict(self._record)

    def close(self) -> None:
        """Forget the session; a graded one leaves no database behind."""
        if self.graded and self.db is not None:
            self.db.drop()

    def _opened(self) -> LabDatabase:
        if self.db is None:
            raise RefereeError("No lab is open", "Run the notebook's first cell")
        return self.db
