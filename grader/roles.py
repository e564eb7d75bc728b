"""The roles of a lab's database, and what keeps the judge's in the referee's hands."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

Admin = psycopg.Connection[Any]  # the superuser's, to a database that no student can enter

MOST_SESSIONS = 20  # of a student's, on a server that others use too
MOST_TEMPORARY = "2GB"  # of one such session's files
UNCOUNTED = "-c pg_stat_statements.track=none"  # it keeps texts, and some are a role's password


class Tampered(Exception):
    """The student's code reached for what is the referee's: a fail, with what was found."""


def make(admin: Admin, role: str, secret: str, most_sessions: int = -1) -> None:
    """Make a role that may log in and nothing else, or make it so again.

    Args:
        secret: what the server keeps of its password; most_sessions: at a time, -1 for as many as there are.
    """
    known = admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None
    statement = sql.SQL(
        "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT PASSWORD {} CONNECTION LIMIT {}"
    )
    verb = sql.SQL("ALTER" if known else "CREATE")
    admin.execute(
        statement.format(verb, sql.Identifier(role), sql.Literal(secret), sql.Literal(most_sessions))
    )
    admin.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(role)))
    if most_sessions >= 0:
        bound = sql.SQL("ALTER ROLE {} SET temp_file_limit = {}")
        admin.execute(bound.format(sql.Identifier(role), sql.Literal(MOST_TEMPORARY)))


def restore(admin: Admin, role: str, secret: str, dbname: str) -> None:
    """Give the judge's role its password and settings back: a role may change its own, and what the student defined runs
    in its sessions."""
    judge = sql.Identifier(role)
    admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(judge, sql.Literal(secret)))
    admin.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(judge))
    admin.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(judge, sql.Identifier(dbname)))


def end_sessions(admin: Admin, dbname: str, roles: Iterable[str]) -> None:
    """End the sessions of some roles in a database, and wait until they are gone."""
    admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND usename = ANY(%s)",
        [dbname, list(roles)],
    )


def drop(admin: Admin, roles: Iterable[str]) -> None:
    """Drop roles whose database is gone. One that is not there is fine."""
    for role in roles:
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def deny_advisory_locks(admin: Admin) -> None:
    """Nobody but superusers may take them in the database of this connection. They are bounded for all databases together:
    a session can have every one in a tenth of a second, and then not even the admin can connect."""
    named = admin.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$'"
    ).fetchall()
    for (function,) in named:
        admin.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC".encode())


def forget_counters(admin: Admin, dbname: str) -> None:
    """Before a database is dropped: a class would leave thousands of counters, and a full table of them forgets others'."""
    ensure_counting(admin)
    admin.execute("SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = %s", [dbname])


def ensure_counting(admin: Admin) -> None:
    """Have pg_stat_statements in the database of this connection. Two at once: the slower one finds it made."""
    with suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject):
        if not admin.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'").fetchone():
            admin.execute("CREATE EXTENSION pg_stat_statements")
