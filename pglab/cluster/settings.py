"""Settings of a production server, from the machine's memory."""

from __future__ import annotations

import os

import psutil

MB = 1024 * 1024

HBA = """\
# Made by pglab. Loopback and Unix sockets only, a password for everybody.
local  all          all                 scram-sha-256
host   all          all  127.0.0.1/32   scram-sha-256
host   all          all  ::1/128        scram-sha-256
local  replication  all                 scram-sha-256
host   replication  all  127.0.0.1/32   scram-sha-256
host   replication  all  ::1/128        scram-sha-256
"""


def production(memory_bytes: int | None = None) -> dict[str, str]:
    """A primary's settings, but for where it listens, which its runner knows.

    Args:
        memory_bytes: the machine's memory, read from it by default.

    shared_buffers is a quarter of the memory (the manual's starting point, "Resource Consumption"), 4 GB at most: the
    course's data fits in that. fsync, checksums and full_page_writes stay on: a laboratory that cheats on durability
    measures something that no production has.
    """
    memory = memory_bytes or psutil.virtual_memory().total
    shared = os.environ.get("PGLAB_SHARED_BUFFERS") or f"{min(max(memory // 4, 128 * MB), 4096 * MB) // MB}MB"
    return {
        "max_connections": "100",
        "shared_buffers": shared,
        "effective_cache_size": f"{max(memory * 3 // 4, 256 * MB) // MB}MB",
        "maintenance_work_mem": f"{min(max(memory // 32, 64 * MB), 512 * MB) // MB}MB",
        "work_mem": "16MB",
        "random_page_cost": "1.1",  # an SSD
        "effective_io_concurrency": "200",
        "wal_level": "replica",
        "max_wal_senders": "10",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "track_io_timing": "on",
        "track_functions": "pl",
        "shared_preload_libraries": "pg_stat_statements,auto_explain",
        "compute_query_id": "on",
        "pg_stat_statements.max": "10000",
        "pg_stat_statements.track": "all",
        "pg_stat_statements.track_planning": "on",
        "auto_explain.log_min_duration": "-1",  # loaded, and off until a lab turns it on
        "log_min_duration_statement": "1s",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_lock_waits": "on",
        "log_checkpoints": "on",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "datestyle": "iso, ymd",
        "lc_messages": "C",
        "cluster_name": "pglab",
    }


def as_conf(settings: dict[str, str]) -> str:
    """The settings as the text of a configuration file."""

    def quote(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    return "".join(f"{name} = {quote(value)}\n" for name, value in settings.items())
