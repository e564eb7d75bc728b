"""The sandbox on Linux: bubblewrap gives a kernel a file system, processes and a network of its own.

What it sees: the system's programs and Python, read-only; pglab, without the grader; its own submission; the sockets of
its database and its referee. What it does not: everything else.
"""

from __future__ import annotations

import os
import random
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from grader.sandbox.limits import MB, Limits
from pglab.cluster import account, pgbouncer
from pglab.home import Home, course_root

FOLDER = "/home/student"  # inside: the kernel's working folder and its home
READY = "ready"
USERS = 600  # numbers to choose from, above the servers'
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32")
ETC = (
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/nsswitch.conf", "/etc/localtime"),
    *("/etc/fonts", "/etc/mime.types", "/etc/alternatives", "/etc/services", "/etc/protocols"),
)
ACCOUNTS = {
    "passwd": f"student:x:1000:1000::{FOLDER}:/bin/sh\n",
    "group": "student:x:1000:\n",
}
KEPT = ("LANG", "LC_ALL", "TZ", "PGLAB_PG_BIN", "PGLAB_PGBOUNCER")  # of the grader's environment


@dataclass(frozen=True)
class Surroundings:
    """What one kernel gets.

    Attributes:
        folder: the sandbox's own on the host, with submission/ (copied to the kernel's working folder) and messages/
        (the one folder that kernel and grader share) in it; sockets: folders and files with sockets that the kernel
        may connect to; user: the number that it runs as when the grader is root, else 0.
    """

    folder: Path
    sockets: Sequence[Path]
    limits: Limits
    home: Home
    user: int = 0

    def command(self) -> list[str]:
        """bubblewrap's command line: a sandbox with nothing in it but `sleep`, for a kernel to join."""
        python, masks = _python(), _masks(self.home)
        disk = ("--size", str(self.limits.disk_mb * MB))
        messages = str(self.folder / "messages")
        return [
            *("bwrap", *_user_namespace(), "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
            *("--die-with-parent", "--new-session", "--hostname", "sandbox"),
            *_passable(ETC),
            *_read_only([*SYSTEM, *ETC]),
            *("--ro-bind", str(self.folder / "etc" / "passwd"), "/etc/passwd"),
            *("--ro-bind", str(self.folder / "etc" / "group"), "/etc/group"),
            *("--proc", "/proc", "--dev", "/dev", *disk, "--perms", "1777", "--tmpfs", "/dev/shm"),  # noqa: S108
            *(*disk, "--perms", "1777", "--tmpfs", "/tmp", *disk, "--tmpfs", FOLDER),  # noqa: S108
            *_passable([*python, course_root() / "pglab", *self.sockets, messages]),
            *_read_only(python),
            *(word for mask in masks if _is_below(mask, [*SYSTEM, *python]) for word in ("--tmpfs", str(mask))),
            *_read_only(path for path in python if _is_below(path, masks)),
            *_read_only([course_root() / "pglab", *_pgbouncer(self.home), *_postgres()]),
            *("--ro-bind", str(self.folder / "submission"), "/submission"),
            *_read_only(self.sockets),
            *("--bind", messages, messages),
            *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", FOLDER, "--"),
            *("sh", "-c", f"echo {READY}; exec sleep infinity >/dev/null"),
        ]  # fmt: skip

    def request(self, holder: int, kernel: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
        """What warm.py is asked for. holder: the sandbox's process; kernel: jupyter_client's command line."""
        return {
            "holder": holder,
            "user": self.user,
            "own": [FOLDER, str(self.folder / "messages")],
            "environment": dict(environment),
            "limits": _rlimits(self.limits),
            "folder": FOLDER,
            "arguments": kernel[kernel.index("ipykernel_launcher") + 1 :],
        }

    def fill(self, files: dict[str, bytes]) -> None:
        """Make the folder with the student's files (relative path → bytes)."""
        for name in ("submission", "messages", "etc"):
            (self.folder / name).mkdir(mode=0o755, parents=True)
        for name, text in ACCOUNTS.items():
            (self.folder / "etc" / name).write_text(text)
        for name, content in files.items():
            path = self.folder / "submission" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """The kernel's variables, all of them: handed down, not in the command line, which everybody can read."""
        return {
            "LANG": "C.UTF-8",
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": FOLDER,
            "TMPDIR": "/tmp",  # noqa: S108
            "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
            "PGLAB_HOME": str(self.home.root),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel's debugger warns on stderr
            **more,
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


def free_user() -> int:
    """A user number that nothing else runs as, for one sandbox of a grader that is root; else 0."""
    ids = account.server_ids()
    return random.SystemRandom().randint(ids[0] + 1, ids[0] + USERS) if ids else 0


@cache
def _user_namespace() -> tuple[str, ...]:
    """As root there is none: warm.py changes the user. Else one in which no more can be made, since bubblewrap 0.8:
    a kernel that could make its own could mount unbounded memory in it."""
    if account.is_root():
        return ()
    known = subprocess.run(["bwrap", "--help"], capture_output=True, text=True).stdout
    no_more = ("--disable-userns",) if "--disable-userns" in known else ()
    return ("--unshare-user", *no_more, "--uid", "1000", "--gid", "1000")


def _passable(paths: Iterable[Path | str]) -> list[str]:
    """The folders above, open to pass through: bubblewrap would close them to others."""
    above = {folder for path in paths for folder in Path(path).absolute().parents} - {Path("/")}
    free = sorted(folder for folder in above if not _is_below(folder, SYSTEM))
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


def _python() -> list[Path]:
    """The folders of this Python and its packages, but for those that lie in the system's."""
    paths = {Path(path).resolve() for path in (sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"))}
    paths |= {Path(sys.prefix).absolute(), *(Path(folder).resolve() for folder in site.getsitepackages())}
    executable = Path(sys.executable)
    while executable.is_symlink():  # a virtual environment's python is a link, often to another link
        executable = executable.parent / executable.readlink()
        paths.add(executable.parent.parent)
    own = [path for path in sorted(paths) if not _is_below(path, SYSTEM) and path != Path("/")]
    return [path for path in own if not _is_below(path.parent, own)]


def _masks(home: Home) -> list[Path]:
    """Folders that no kernel sees, also where one lies in a folder that it does see."""
    course = Path(os.environ.get("PGLAB_COURSE") or course_root())
    return [path.resolve() for path in (course_root(), home.root, course)]


def _is_below(path: Path, folders: Sequence[str | Path]) -> bool:
    return any(path == Path(folder) or Path(folder) in path.parents for folder in folders)


def _pgbouncer(home: Home) -> list[Path]:
    """A PgBouncer that is not the system's; of a fetched one, the whole folder."""
    found = pgbouncer.find(home)
    if found is None or _is_below(found, SYSTEM):
        return []
    fetched = found.parents[2]
    return [fetched if fetched.name == "pgbouncer" else found]


def _postgres() -> list[Path]:
    """A Postgres of the user's choice, for pgbench."""
    chosen = os.environ.get("PGLAB_PG_BIN")
    return [Path(chosen).expanduser().absolute().parent] if chosen else []


def _rlimits(limits: Limits) -> dict[str, int]:
    bounds = {
        # One process alone ends in a MemoryError; the watch looks at all of them together.
        "RLIMIT_DATA": (limits.memory_mb + 1024) * MB,
        "RLIMIT_FSIZE": limits.disk_mb * MB,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
    }
    if _counts_processes_apart():
        bounds["RLIMIT_NPROC"] = limits.processes
    return bounds


def _counts_processes_apart() -> bool:
    """Since Linux 5.14 RLIMIT_NPROC counts within a user namespace; before, all that the user runs anywhere."""
    major, minor, *_ = os.uname().release.split("-")[0].split(".")
    return (int(major), int(minor)) >= (5, 14)
