"""A student's router of statements to nodes, asked over the wire."""

from __future__ import annotations

from grader.context import Context, StudentError

ANSWERS = ("primary", "replica")
CALL_LIMIT_S = 10.0


class RouterInTheKernel:
    """The functions `route` and `wrote` of the student's."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def route(self, session: str, statement: str, replica_lsn: str | None) -> str:
        """Which node gets the statement.

        Args:
            replica_lsn: how far the replica is, such as "0/3000148"; None while it is out of service.

        Raises:
            StudentError: it raised, took too long, or named no node.
        """
        try:
            answer = self._ctx.call("route", session, statement, replica_lsn, limit_s=CALL_LIMIT_S)
        except StudentError as error:
            if replica_lsn is None:
                error.hint = "replica_lsn was None: the replica was out of service. Who answers then?"
            raise
        if answer not in ANSWERS:
            raise StudentError(f"route answered {answer!r:.60}", 'it answers "primary" or "replica"')
        return str(answer)

    def wrote(self, session: str, lsn: str) -> None:
        """The session has committed a write, and the primary was at that position right after it."""
        self._ctx.call("wrote", session, lsn, limit_s=CALL_LIMIT_S)
