"""What a lab's judge.py works with."""

from __future__ import annotations

import hashlib
import hmac
import random
from typing import Any

import psycopg

from grader.checks.safety import Snapshot, take_snapshot
from grader.database import LabDatabase
from pglab.dataset import checksum

CHECKSUM_SPACE = 2**64


class Context:
    """One check of one student's database.

    Attributes:
        facts: what prepare() returned when the database was made; answer: what the student gave, any JSON value;
        rng: draws what the student has never seen, another sequence at each check, the same at each regrade.
    """

    def __init__(self, db: LabDatabase, check: str, answer: Any, turn: int) -> None:
        self.db = db
        self.answer = answer
        self.facts = db.facts()
        key = db.cluster.home.secrets()["course"].encode()
        self.rng = random.Random(
            hmac.new(key, f"{db.student}/{db.spec.id}/{check}/{turn}".encode(), hashlib.sha256).digest()
        )

    def judge(self, **settings: str) -> psycopg.Connection[Any]:
        """A connection with the student's rights and the cluster's planner settings."""
        return self.db.judge(**settings)

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
