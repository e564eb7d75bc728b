"""The operating system's user that a server runs as.

Postgres refuses to run as root. As root, pglab gives the servers a user number of their own that nobody else has: no
file of theirs is anybody else's. initdb alone insists on a user with a name, so it runs as `nobody`, and what it made is
handed over.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

from pglab.errors import ClusterError

# Between Debian's last dynamic system user (999) and its highest ordinary one (59999), where useradd does not go by itself.
FIRST_FREE = 54320


def is_root() -> bool:
    """Whether this process is root."""
    return os.geteuid() == 0


def server_ids() -> tuple[int, int] | None:
    """(uid, gid) for the servers when this process is root, else None: they run as the user."""
    if not is_root():
        return None
    number = FIRST_FREE
    while _is_taken(number):
        number += 1
    return number, number


def _is_taken(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True


def as_server() -> dict[str, Any]:
    """Arguments for subprocess that drop root for the servers' own user."""
    ids = server_ids()
    return {} if ids is None else {"user": ids[0], "group": ids[1], "extra_groups": []}


def as_named_user() -> tuple[dict[str, Any], tuple[int, int] | None]:
    """Arguments for subprocess, and the ids, of a user with a name, for initdb."""
    if not is_root():
        return {}, None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
        if not others:
            raise ClusterError(
                "This machine has no user but root", "Postgres needs one: run adduser once"
            ) from None
        entry = others[0]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}, (entry.pw_uid, entry.pw_gid)


def hand_over(folder: Path, ids: tuple[int, int] | None) -> None:
    """Give a folder and all in it to the ids."""
    if ids is None:
        return
    os.chown(folder, *ids)
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            os.chown(Path(parent, name), *ids, follow_symlinks=False)
