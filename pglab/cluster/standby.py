"""What makes a data folder a standby's: the copy of the primary's, the role and slot that it streams by, its settings."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pglab.cluster import process
from pglab.cluster.node import Node
from pglab.cluster.runner import Files
from pglab.cluster.settings import as_conf
from pglab.errors import ClusterError, DiskFull

ROLE = "pglab_replication"
SLOT = "pglab_"  # and the replica's name
KEPT_WAL = "2GB"  # what the primary keeps for a stopped replica; beyond it, the replica has to be made anew
# A standby refuses to start when one of these is lower than its primary's: pg_controldata's name, and the setting's.
AT_LEAST = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}

Admin = psycopg.Connection[Any]


def copy(primary: Node, replica: Node) -> None:
    """Make the replica's data folder: a copy of the primary's, with all that makes it a standby.

    Raises:
        ClusterError, DiskFull: nothing of it is left.
    """
    slot, done, name = SLOT + replica.name, False, replica.name
    secret = primary.home.secrets()["replication"]
    with primary.connect() as admin:
        check_room(admin, primary)
        make_role(admin, secret)
        bound_slots(admin, primary)
        replica.runner.sweep()  # a killed attempt's program would take the slot again
        drop_slot(admin, slot)
        admin.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
        try:
            with replica.runner.draft() as draft:
                host, port = primary.runner.peer
                source = make_conninfo(host=host, port=port, user=ROLE) + " passfile='{passfile}'"
                words = ["-d", source, "-D", str(draft.data), "-X", "stream", "-S", slot]
                # No sync: a server's first start from a backup syncs all of it anyway.
                words += ["--checkpoint=fast", "--no-password", "--no-sync"]
                draft.run("pg_basebackup", words, {"passfile": _passfile(secret)})
                draft.write("passfile", _passfile(secret))
                configure(draft, _settings(admin, primary, replica))
                draft.write("standby.signal", "")
            done = True
        except OSError as error:
            if "No space left" in str(error) or replica.free_bytes() < 8 * 2**20:
                raise replica.runner.disk_full() from error
            raise ClusterError(
                f"The {name} could not be made: {error}", f"The primary's log is {primary.log}"
            ) from error
        finally:
            if not done:
                drop_slot(admin, slot)


def check_room(admin: Admin, primary: Node) -> None:
    """Raises DiskFull when a second copy of all databases does not fit."""
    row = admin.execute("SELECT sum(pg_database_size(oid)) / 2^20 FROM pg_database").fetchone()
    assert row is not None
    needed = int(float(row[0]) * 1.05) + 200  # MB: the copy, the WAL written meanwhile, room to breathe
    free = primary.free_bytes() // 2**20
    if free < needed:
        raise DiskFull(
            f"{primary.home.root} has {free} MB free, and a replica needs {needed} MB",
            "Free some space and try again",
        )


def make_role(admin: Admin, password: str) -> None:
    """The role that replicas stream as."""
    if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is None:
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(ROLE)))
    # Encrypted on this side: pg_stat_statements keeps the statement's text.
    secret = admin.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256").decode()
    admin.execute(
        sql.SQL("ALTER ROLE {} LOGIN REPLICATION PASSWORD {}").format(
            sql.Identifier(ROLE), sql.Literal(secret)
        )
    )


# -- slots ------------------------------------------------------------------------------------------------------------


def bound_slots(admin: Admin, primary: Node) -> None:
    """Limit the WAL that the primary keeps for its slots, unless it has a limit: a stopped replica must not fill the disk."""

    def is_bound() -> bool:
        row = admin.execute("SHOW max_slot_wal_keep_size").fetchone()
        return row is not None and row[0] != "-1"

    if not is_bound():
        primary.append_conf({"max_slot_wal_keep_size": KEPT_WAL})
        primary.reload()
        process.wait_until("the primary to bound its slots", is_bound, 30)


def drop_slot(admin: Admin, slot: str) -> None:
    """Drop a slot, whoever streams by it. None there is fine."""
    ended = (
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active"
    )
    process.wait_until(
        f"the slot {slot} to be let go", lambda: admin.execute(ended, [slot]).rowcount == 0, 30
    )
    admin.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [slot]
    )


def drop_orphans(primary: Node, standbys: set[str]) -> None:
    """Drop the slots of replicas that are no more, as when one was removed while the primary was stopped."""
    with primary.connect() as admin:
        found = admin.execute(
            "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' AND starts_with(slot_name, %s)",
            [SLOT],
        ).fetchall()
        for (slot,) in found:
            if slot.removeprefix(SLOT) not in standbys:
                drop_slot(admin, slot)


def is_slot_lost(admin: Admin, slot: str) -> bool:
    """Whether WAL that the slot's replica still needs is gone from the primary, or the slot itself is."""
    row = admin.execute("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", [slot]).fetchone()
    return row is None or row[0] == "lost"


# -- settings ---------------------------------------------------------------------------------------------------------


def configure(files: Files, settings: dict[str, str]) -> bool:
    """Write settings to postgresql.auto.conf, which wins over the copied postgresql.conf. Says whether anything changed.

    The primary's own ALTER SYSTEM settings were copied into it too.
    """
    before = files.read("postgresql.auto.conf")
    others = [line for line in before.splitlines(True) if line.split("=")[0].strip() not in settings]
    after = "".join(others) + as_conf(settings)
    if after == before:
        return False
    files.write("postgresql.auto.conf", after)
    return True


def conninfo(primary: Node, replica: Node) -> str:
    """How the standby reaches its primary. The password stands in a file: no list of processes or settings shows it."""
    host, port = primary.runner.peer
    passfile = str(replica.runner.data / "passfile")
    return make_conninfo(host=host, port=port, user=ROLE, passfile=passfile, application_name=replica.name)


def least(*nodes: Node) -> dict[str, int]:
    """The lowest values of AT_LEAST that these servers' data, stopped or not, asks of a standby."""
    found: dict[str, int] = {}
    for node in nodes:
        for name, value in re.findall(r"^(\w+) setting: +(\d+)$", node.runner.controldata(), re.MULTILINE):
            if name in AT_LEAST:
                setting = AT_LEAST[name]
                found[setting] = max(found.get(setting, 0), int(value))
    return found


def _passfile(secret: str) -> str:
    return f"*:*:*:{ROLE}:{secret}\n"


def _settings(admin: Admin, primary: Node, replica: Node) -> dict[str, str]:
    row = admin.execute("SELECT pg_size_bytes(current_setting('shared_buffers')) / 1024 / 1024").fetchone()
    assert row is not None
    return {
        "cluster_name": replica.name,
        "primary_slot_name": SLOT + replica.name,
        "primary_conninfo": conninfo(primary, replica),
        "hot_standby_feedback": "on",
        "shared_buffers": f"{min(int(row[0]), 512)}MB",  # it shares the machine's memory with the primary
        # Production's defaults are 10 s and 5 s. Here somebody watches, and waits.
        "wal_receiver_status_interval": "1s",
        "wal_retrieve_retry_interval": "200ms",
    }
