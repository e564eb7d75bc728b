"""What a lab's judge.py works with."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg

from grader.checks.safety import Snapshot, take_snapshot
from grader.database import LabDatabase
from pglab.cluster.node import Node
from pglab.dataset import checksum

CHECKSUM_SPACE = 2**64


Call = Callable[[str, list[Any], float], Any]


class StudentError(Exception):
    """The student's function raised, or did not return: a fail, with what it said."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def no_kernel(name: str, arguments: list[Any], limit_s: float) -> Any:
    """The call of a session that no kernel is connected to."""
    raise StudentError(f"{name} cannot be run: no kernel is here")


class Context:
    """One check of one student's database.

    Attributes:
        answer: what the student gave, any JSON value; step(text): tells the notebook what is being done;
        rng: draws what the student has never seen, another sequence at each check, the same at each regrade;
        folder: for sockets that the kernel is to reach.
    """

    def __init__(
        self,
        db: LabDatabase,
        check: str,
        answer: Any,
        turn: int,
        on_step: Callable[[str], None] = lambda step: None,
        call: Call = no_kernel,
        folder: Path | None = None,
    ) -> None:
        self.db = db
        self.folder = folder or db.cluster.home.run
        self.answer = answer
        self.step = on_step
        self._call = call
        self.rng = random.Random(
            hmac.new(db.key, f"{db.student}/{db.spec.id}/{check}/{turn}".encode(), hashlib.sha256).digest()
        )

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What prepare() returned when the database was made."""
        return self.db.facts()

    def call(self, name: str, *arguments: Any, limit_s: float = 30.0) -> Any:
        """Run a function of the student's in their kernel and return its answer as plain JSON (wire.plain).

        Raises:
            StudentError: it raised, gave no JSON, or did not return within limit_s seconds.
        """
        return self._call(name, list(arguments), limit_s)

    def judge(self, node: Node | None = None, **settings: str) -> psycopg.Connection[Any]:
        """A connection with the student's rights and the cluster's planner settings, to the primary by default."""
        return self.db.judge(node, **settings)

    def oracle(self) -> psycopg.Connection[Any]:
        """A short look into the untouched template."""
        return self.db.oracle()

    def snapshot_then(self) -> Snapshot:
        """The catalogs when the incident began."""
        return dict(self.facts["snapshot"])

    def snapshot_now(self) -> Snapshot:
        """The catalogs now."""
        with self.db.admin() as admin:
            return take_snapshot(admin)

    def oids(self, *tables: str) -> dict[int, str]:
        """Table oid → name."""
        with self.db.admin() as admin:
            rows = admin.execute(
                "SELECT oid::int8, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname = ANY(%s)",
                [list(tables)],
            )
            return {int(oid): str(name) for oid, name in rows}


def public_rng(db: LabDatabase) -> random.Random:
    """Draws what a student may see and what differs from their neighbour's: the same on every machine."""
    return random.Random(f"{db.student}/{db.spec.id}")


def expected_rows(db: LabDatabase, added: dict[str, tuple[int, int]]) -> dict[str, dict[str, str | int]]:
    """Count and checksum of every table after prepare() added rows to some of them.

    Checksums are sums modulo 2^64, so those of the template, verified when it was seeded, and of the few added rows add
    up: no table is read from end to end.

    Args:
        added: table → (number of rows added, their checksum).
    """
    scale = db.dataset.scales[db.scale]
    expected: dict[str, dict[str, str | int]] = {}
    with db.oracle() as oracle:
        for table, rows in scale.rows.items():
            stated = scale.checksums.get(table) or checksum(oracle, table)  # scale large states none
            more, of_them = added.get(table, (0, 0))
            expected[table] = {"rows": rows + more, "checksum": str((int(stated) + of_them) % CHECKSUM_SPACE)}
    return expected
