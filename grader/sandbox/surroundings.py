"""What a kernel sees in a sandbox, whatever makes it: the system's programs and Python, read-only; pglab, without the
grader; its own submission; the sockets of its database and its referee. What it does not: everything else.
"""

from __future__ import annotations

import os
import random
import site
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.sandbox.limits import MB, Limits
from pglab.cluster import account, pgbouncer
from pglab.home import Home, course_root

FOLDER = "/home/student"  # inside: the kernel's working folder and its home
READY = "ready"  # what a sandbox says once it is made
SLACK_MB = 1024  # above the bound of memory: the watch looks at it every now and then, and says why it ended a kernel
USERS = 600  # numbers to choose from, above the servers'
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32")
ETC = (
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/nsswitch.conf", "/etc/localtime"),
    *("/etc/fonts", "/etc/mime.types", "/etc/alternatives", "/etc/services", "/etc/protocols"),
)
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

    @property
    def messages(self) -> Path:
        """The one folder that kernel and grader share."""
        return self.folder / "messages"

    @property
    def programs(self) -> list[Path]:
        """pglab, and programs of the labs that are not the system's: to be read, under their own paths."""
        return [course_root() / "pglab", *_pgbouncer(self.home), *_postgres()]

    @property
    def masks(self) -> list[Path]:
        """Folders that no kernel sees, though they lie in one that it does see."""
        course = Path(os.environ.get("PGLAB_COURSE") or course_root())
        hidden = [path.resolve() for path in (course_root(), self.home.root, course)]
        return [path for path in hidden if is_below(path, [*SYSTEM, *python()])]

    def fill(self, files: Mapping[str, bytes], user: int) -> None:
        """Make the folder.

        Args:
            files: the student's, relative path → bytes; user: the number that the kernel has inside.
        """
        for part in ("submission", "messages", "etc"):
            (self.folder / part).mkdir(mode=0o755, parents=True)
        (self.folder / "etc" / "passwd").write_text(f"student:x:{user}:{user}::{FOLDER}:/bin/sh\n")
        (self.folder / "etc" / "group").write_text(f"student:x:{user}:\n")
        for relative, content in files.items():
            path = self.folder / "submission" / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def environment(self) -> dict[str, str]:
        """The kernel's variables but for those of its referee."""
        return {
            "LANG": "C.UTF-8",
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": FOLDER,
            "TMPDIR": "/tmp",  # noqa: S108
            "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
            "PGLAB_HOME": str(self.home.root),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as a kernel sets it, before matplotlib is loaded
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel's debugger warns on stderr
        }


def free_user() -> int:
    """A user number that nothing else runs as, for one sandbox of a grader that is root; else 0."""
    ids = account.server_ids()
    return random.SystemRandom().randint(ids[0] + 1, ids[0] + USERS) if ids else 0


def bounds(limits: Limits) -> dict[str, int]:
    """Name of a resource limit (setrlimit(2)) → its value, but for the number of processes."""
    return {
        # One process alone ends in a MemoryError; the watch looks at all of them together.
        "RLIMIT_DATA": (limits.memory_mb + SLACK_MB) * MB,
        "RLIMIT_FSIZE": limits.disk_mb * MB,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
    }


def python() -> list[Path]:
    """The folders of this Python and its packages, but for those that lie in the system's."""
    paths = {Path(path).resolve() for path in (sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"))}
    paths |= {Path(sys.prefix).absolute(), *(Path(folder).resolve() for folder in site.getsitepackages())}
    executable = Path(sys.executable)
    while executable.is_symlink():  # a virtual environment's python is a link, often to another link
        executable = executable.parent / executable.readlink()
        paths.add(executable.parent.parent)
    own = [path for path in sorted(paths) if not is_below(path, SYSTEM) and path != Path("/")]
    return [path for path in own if not is_below(path.parent, own)]


def is_below(path: Path, folders: Sequence[str | Path]) -> bool:
    """Whether path is one of the folders, or lies in one."""
    return any(path == Path(folder) or Path(folder) in path.parents for folder in folders)


def _pgbouncer(home: Home) -> list[Path]:
    """A PgBouncer that is not the system's; of a fetched one, the whole folder."""
    found = pgbouncer.find(home)
    if found is None or is_below(found, SYSTEM):
        return []
    fetched = found.parents[2]
    return [fetched if fetched.name == "pgbouncer" else found]


def _postgres() -> list[Path]:
    """A Postgres of the user's choice, for pgbench."""
    chosen = os.environ.get("PGLAB_PG_BIN")
    return [Path(chosen).expanduser().absolute().parent] if chosen else []
