"""SCRAM secrets: what Postgres and PgBouncer store in place of a password.

With the same secret on both sides, PgBouncer needs no password: it logs in to the server with what the client proved.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from pglab.cluster.node import Node
from pglab.errors import ClusterError

ITERATIONS = 4096  # Postgres' default


def scram_secrets(node: Node, *roles: str) -> dict[str, str]:
    """The roles' SCRAM secrets as the server stores them, for Pooler.start.

    Raises:
        ClusterError: one of them has none.
    """
    with node.connect() as admin:
        found = dict(
            admin.execute(
                "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY(%s)", [[*roles]]
            ).fetchall()
        )
    missing = [role for role in roles if not found.get(role)]
    if missing:
        raise ClusterError(
            f"No password is set for {', '.join(missing)}", "Set one with ALTER ROLE … PASSWORD"
        )
    return found


def userlist(users: Mapping[str, str]) -> str:
    """The text of auth_file.

    Args:
        users: a role's name → its SCRAM secret, the same as the server's (scram_secret, or pg_authid.rolpassword).
    """
    wrong = [
        name for name, secret in users.items() if "\n" in name or not secret.startswith("SCRAM-SHA-256$")
    ]
    if wrong:
        raise ClusterError(
            f"PgBouncer needs a SCRAM secret for {', '.join(wrong)}", "Make one with scram_secret(password)"
        )
    return "".join('"{}" "{}"\n'.format(name.replace('"', '""'), secret) for name, secret in users.items())


def scram_secret(password: str, iterations: int = ITERATIONS) -> str:
    """What Postgres and PgBouncer store in place of a password: `ALTER ROLE … PASSWORD 'SCRAM-SHA-256$…'` takes it as it is.

    Args:
        password: ASCII. iterations: the work of each login, nearly all of it the client's.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${iterations}:{salt64}${stored64}:{server64}"
