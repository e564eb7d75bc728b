"""The sandbox on Linux: bubblewrap gives a kernel a file system, processes and a network of its own.

The kernel is not started in it: it is forked from a process that has loaded everything (warm.py), and joins.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from grader.sandbox.limits import MB, Limits
from grader.sandbox.surroundings import (
    ETC,
    FOLDER,
    READY,
    SYSTEM,
    Surroundings,
    bounds,
    is_below,
    python,
)
from pglab.cluster import account

USER = 1000  # the kernel's number inside


def command(around: Surroundings) -> list[str]:
    """bubblewrap's command line: a sandbox with nothing in it but `sleep`, for a kernel to join."""
    disk = ("--size", str(around.limits.disk_mb * MB))
    messages = str(around.messages)
    return [
        *("bwrap", *_user_namespace(), "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--die-with-parent", "--new-session", "--hostname", "sandbox"),
        *_passable(ETC),
        *_read_only([*SYSTEM, *ETC]),
        *("--ro-bind", str(around.folder / "etc" / "passwd"), "/etc/passwd"),
        *("--ro-bind", str(around.folder / "etc" / "group"), "/etc/group"),
        *("--proc", "/proc", "--dev", "/dev", *disk, "--perms", "1777", "--tmpfs", "/dev/shm"),  # noqa: S108
        *(*disk, "--perms", "1777", "--tmpfs", "/tmp", *disk, "--tmpfs", FOLDER),  # noqa: S108
        *_passable([*python(), *around.programs, *around.sockets, messages]),
        *_read_only(python()),
        *(word for mask in around.masks for word in ("--tmpfs", str(mask))),
        *_read_only(path for path in python() if is_below(path, around.masks)),
        *_read_only(around.programs),
        *("--ro-bind", str(around.folder / "submission"), "/submission"),
        *_read_only(around.sockets),
        *("--bind", messages, messages),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", FOLDER, "--"),
        *("sh", "-c", f"echo {READY}; exec sleep infinity >/dev/null"),
    ]  # fmt: skip


def request(
    around: Surroundings, holder: int, kernel: Sequence[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """What warm.py is asked for.

    Args:
        holder: the sandbox's process; kernel: jupyter_client's command line; variables: for the kernel's environment.
        They are handed down, not in a command line, which everybody can read.
    """
    return {
        "holder": holder,
        "user": around.user,
        "own": [FOLDER, str(around.messages)],
        "environment": {**around.environment(), **variables},
        "limits": _rlimits(around.limits),
        "folder": FOLDER,
        "arguments": kernel[kernel.index("ipykernel_launcher") + 1 :],
    }


@cache
def why_not() -> str:
    """Empty where bubblewrap works, else why it does not."""
    if sys.platform != "linux":
        return "bubblewrap is for Linux"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    tried = subprocess.run(
        ["bwrap", *_user_namespace(), "--unshare-pid", "--unshare-net"]
        + ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"],
        capture_output=True, text=True,
    )  # fmt: skip
    said = tried.stderr.strip().splitlines()
    return (
        f"bubblewrap does not work here: {said[-1] if said else 'no reason given'}"
        if tried.returncode
        else ""
    )


@cache
def _user_namespace() -> tuple[str, ...]:
    """As root there is none: warm.py changes the user. Else one in which no more can be made, since bubblewrap 0.8:
    a kernel that could make its own could mount unbounded memory in it."""
    if account.is_root():
        return ()
    known = subprocess.run(["bwrap", "--help"], capture_output=True, text=True).stdout
    no_more = ("--disable-userns",) if "--disable-userns" in known else ()
    return ("--unshare-user", *no_more, "--uid", str(USER), "--gid", str(USER))


def _passable(paths: Iterable[Path | str]) -> list[str]:
    """The folders above, open to pass through: bubblewrap would close them to others."""
    above = {folder for path in paths for folder in Path(path).absolute().parents} - {Path("/")}
    free = sorted(folder for folder in above if not is_below(folder, SYSTEM))
    return [word for folder in free for word in ("--perms", "0755", "--dir", str(folder))]


def _read_only(paths: Iterable[str | Path]) -> list[str]:
    """Each under its own path: a link of the root folder's as a link, what is not there left out."""
    words: list[str] = []
    for path in map(Path, paths):
        if path.is_symlink() and path.parent == Path("/"):
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            words += ["--ro-bind", str(path), str(path)]
    return words


def _rlimits(limits: Limits) -> dict[str, int]:
    processes = {"RLIMIT_NPROC": limits.processes} if _counts_processes_apart() else {}
    return bounds(limits) | processes


def _counts_processes_apart() -> bool:
    """Since Linux 5.14 RLIMIT_NPROC counts within a user namespace; before, all that the user runs anywhere."""
    major, minor, *_ = os.uname().release.split("-")[0].split(".")
    return (int(major), int(minor)) >= (5, 14)
