"""Whose doing an error of the server is: the submission's, or nobody's."""

from __future__ import annotations

import re
import time

import psycopg

from grader.database import LabDatabase

# Classes of SQLSTATE that the server's own troubles have: connection, resources, operator, system, internal.
_SERVERS = ("08", "53", "57", "58", "XX")
_IN_A_FUNCTION = re.compile(r"\b(PL/\w+|SQL) function ")
_QUICK_S = 6.0  # a tenth of the judge's limit


def students_own(error: psycopg.Error) -> bool:
    """Whether the error itself shows that what the submission made in the database is its cause.

    No workload of the referee's calls a function, so an error inside one is a trigger's, a policy's or an index's of the
    submission, whatever it says of itself: RAISE can give it the code of a full disk.
    """
    if error.sqlstate is None:  # no answer of the server's: the connection broke, or none was had
        return False
    if _IN_A_FUNCTION.search(error.diag.context or ""):
        return True
    return not error.sqlstate.startswith(_SERVERS)


def is_quick(db: LabDatabase) -> bool:
    """Whether this machine reads the untouched dataset's largest table in a tenth of the time that a statement of the
    workload was given: then it is not why that did not end."""
    rows = db.dataset.scales[db.scale].rows
    start = time.monotonic()
    with db.oracle() as oracle:
        oracle.execute(f"SELECT count(*) FROM {max(rows, key=lambda table: rows[table])}".encode())  # noqa: S608
    return time.monotonic() - start < _QUICK_S


def first_line(error: psycopg.Error) -> str:
    """What the server said, without where."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
