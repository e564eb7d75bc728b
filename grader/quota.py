"""How far a graded database may grow. Postgres has no bound of its own, and a full disk would be everybody's."""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager, nullcontext

import psycopg
from psycopg import sql

from grader.database import LabDatabase
from grader.sandbox.limits import MB, Limits
from grader.topology import has_own

EVERY_S = 0.5
MOST_LOCKS = 1000  # of a session's; the server has 64 for each that it lets in
_HOARDERS = """
SELECT pg_catalog.pg_terminate_backend(pid)
  FROM (SELECT pid FROM pg_catalog.pg_lock_status() GROUP BY pid HAVING count(*) > %s) hoarder,
       LATERAL (SELECT datid FROM pg_catalog.pg_stat_get_activity(hoarder.pid)) activity
 WHERE datid = %s::bigint::oid AND pid <> pg_catalog.pg_backend_pid()
"""
# What pg_terminate_backend wants to know of a role stands in a catalog that databases share: have it in the cache.
_ROLES = "SELECT pg_catalog.pg_get_userbyid(usesysid) FROM pg_catalog.pg_stat_get_activity(NULL) WHERE datid = %s::bigint::oid"
log = logging.getLogger("pglab.referee")


class Quota:
    """A thread that looks at a database's size, and shuts the student out of one that grew too far.

    Attributes:
        exceeded: what it did, empty while the database is within its bound.
    """

    def __init__(self, db: LabDatabase) -> None:
        self.exceeded = ""
        self._db, self._oid = db, 0
        self._most = Limits.of(db.spec).database_mb
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="quota", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no longer."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        first: int | None = None
        while not self._done.is_set():
            try:
                with self._in_use(), self._db.cluster.primary.connect() as admin:
                    first = self._size(admin) if first is None else first
                    self._oid = self._find(admin)
                    while not self._done.wait(EVERY_S):
                        self._look(admin, first)
            except psycopg.Error as error:  # again, with a new connection
                log.info("%s: its size is not known (%s)", self._db.name, error)
                self._done.wait(EVERY_S)

    def _in_use(self) -> AbstractContextManager[object]:
        """A connection to it where others make clones too: one that waits for its notebook is not one that nobody uses,
        whose place the next may take. In a cluster of its own every place is the lab's."""
        db = self._db
        return nullcontext() if has_own(db.spec) else db.cluster.primary.connect(db.name)

    def _look(self, admin: psycopg.Connection, first: int) -> None:
        self._end_hoarders(admin)
        if self._size(admin) - first > self._most * MB:
            self.exceeded = f"grew by more than {self._most:,} MB"
            log.warning("%s: %s", self._db.name, self.exceeded)
            self._shut_out(admin)

    def _find(self, admin: psycopg.Connection) -> int:
        row = admin.execute(
            "SELECT oid::bigint FROM pg_database WHERE datname = %s", [self._db.name]
        ).fetchone()
        return int(row[0]) if row else 0

    def _size(self, admin: psycopg.Connection) -> int:
        row = admin.execute(
            "SELECT pg_database_size(oid) FROM pg_database WHERE datname = %s", [self._db.name]
        ).fetchone()
        return int(row[0]) if row else 0

    def _end_hoarders(self, admin: psycopg.Connection) -> None:
        """A session that holds thousands of locks leaves none for anybody: not even the admin could connect.

        Nothing in here needs a lock that is not this session's own already: a view, or a catalog that databases share,
        could not be read then.
        """
        admin.execute(_HOARDERS, [MOST_LOCKS, self._oid])
        admin.execute(_ROLES, [self._oid])

    def _shut_out(self, admin: psycopg.Connection) -> None:
        role = sql.Identifier(self._db.name)
        admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' "
            "AND pg_has_role(usesysid, %s, 'MEMBER') AND NOT (SELECT rolsuper FROM pg_roles WHERE oid = usesysid)",
            [self._db.name, self._db.name],
        )
