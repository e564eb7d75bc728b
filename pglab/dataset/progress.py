"""How far the seeding is: work done and to do, in microseconds of one core."""

from __future__ import annotations

from typing import Any

import psycopg

from pglab.dataset.description import Dataset, Scale

# Measured, microseconds a row, so that the bar moves evenly and the longest job starts first.
LOAD = {"users": 3.0, "products": 4.0, "orders": 2.6, "sessions": 2.0, "documents": 8.0}
OTHER_LOAD = 1.1
EACH = {"vacuum": 0.2, "index": 0.25, "verify": 0.3}

STEPS = {"load": "loading", "vacuum": "freezing", "index": "indexing", "verify": "verifying"}

RUNNING = """
SELECT pid, greatest(blocks_done::float8 / nullif(blocks_total, 0), tuples_done::float8 / nullif(tuples_total, 0))
FROM pg_stat_progress_create_index WHERE pid = ANY(%(pids)s)
UNION ALL
SELECT pid, heap_blks_scanned::float8 / nullif(heap_blks_total, 0) FROM pg_stat_progress_vacuum WHERE pid = ANY(%(pids)s)
"""


class Board:
    """Written by the workers, read by the thread that waits for them. Each entry has one writer."""

    def __init__(self, dataset: Dataset, scale: Scale) -> None:
        self.rows = scale.rows
        self.finish = {table: len(dataset.finish(table)) for table in scale.rows}
        self.work = {
            table: rows
            * (self._load(table) + EACH["vacuum"] + self.finish[table] * EACH["index"] + EACH["verify"])
            for table, rows in scale.rows.items()
        }
        self.done = dict.fromkeys(scale.rows, 0.0)  # work done before the step that runs now
        self.step = dict.fromkeys(scale.rows, "load")
        self.shown = 0.0

    def loaded(self, table: str, rows: int) -> None:
        """The first rows of a table are there."""
        self.done[table] = rows * self._load(table)

    def begin(self, table: str, step: str, number: int = 0) -> None:
        """A step after the load begins; number counts the index statements from 0."""
        before = self._load(table)
        if step in ("index", "verify"):
            before += EACH["vacuum"] + EACH["index"] * (self.finish[table] if step == "verify" else number)
        self.done[table] = self.rows[table] * before
        self.step[table] = step

    def end(self, table: str) -> None:
        """All of a table is done."""
        self.done[table] = self.work[table]

    def read(self, admin: psycopg.Connection[Any], pids: dict[str, int]) -> tuple[float, str]:
        """Share done (never less than before) and the steps' names.

        Args:
            pids: table → server process that works on it.
        """
        inside = dict(admin.execute(RUNNING, {"pids": list(pids.values())}).fetchall())
        done = sum(self.done.values())
        for table, pid in pids.items():
            done += (inside.get(pid) or 0.0) * EACH.get(self.step[table], 0.0) * self.rows[table]
        self.shown = max(self.shown, min(done / sum(self.work.values()), 0.999))
        return self.shown, ", ".join(f"{STEPS[self.step[table]]} {table}" for table in pids)

    def _load(self, table: str) -> float:
        return LOAD.get(table, OTHER_LOAD)
