"""What this machine has and lacks, each lack with its remedy."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil

from pglab.cluster import account, binaries, pgbouncer
from pglab.cluster.backend import chosen
from pglab.dataset import Dataset
from pglab.errors import DiskFull, PglabError
from pglab.home import LONGEST_HOME, Home

Status = Literal["ok", "warning", "missing"]

MB, GB = 2**20, 2**30
MEMORY_NEEDED = 1 * GB  # available: shared buffers, sorts of the seeding, JupyterLab and a kernel
OPEN_FILES_WANTED = 4096  # a lab with thousands of clients; others do with 1,024
MOST_WAL = 4 * GB  # max_wal_size


@dataclass(frozen=True)
class Finding:
    """One thing looked at. "warning": some labs do without; "missing": nothing works without."""

    name: str
    status: Status
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """For --json."""
        return asdict(self)


def examine(home: Home, scale: str = "full") -> list[Finding]:
    """Look at everything. Writes nothing but what finding Postgres needs as root (a copy of its files in the home)."""
    return list(_examine(home, scale))


def _examine(home: Home, scale: str) -> Iterator[Finding]:
    yield Finding("system", *_system())
    yield Finding("python", *_python(sys.version_info[:2]))
    yield Finding("user", *_user())
    yield Finding("home", *_socket_path(home.root))
    yield Finding("postgres", *_told("missing", lambda: _postgres(home)))
    yield Finding("pgbouncer", *_told("warning", lambda: _pgbouncer(home)))
    yield Finding("docker", *_told("missing", lambda: _docker(chosen(home) == "docker")))
    yield Finding("memory", *_memory(psutil.virtual_memory().available))
    yield Finding("disk", *_told("missing", lambda: _disk(home, scale)))
    yield Finding("open files", *_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def require_room(home: Home, scale: str, backend: str = "embedded") -> None:
    """Say that the machine is too small before anything is written. Docker's own disk is looked at when it is written to.

    Raises:
        DiskFull: the disk; PglabError: the memory.
    """
    status, found, remedy = _memory(psutil.virtual_memory().available)
    if status == "missing":
        raise PglabError(f"Too little memory: {found}", remedy)
    if (
        backend == "embedded" and not (home.root / "primary" / "PG_VERSION").exists()
    ):  # else the dataset's own check knows what is there already
        status, found, remedy = _disk(home, scale)
        if status == "missing":
            raise DiskFull(f"Too little disk: {found}", remedy)


Told = tuple[Status, str, str]


def _told(otherwise: Status, look: Callable[[], Told]) -> Told:
    """What a look found; its error is a finding too."""
    try:
        return look()
    except PglabError as error:
        return otherwise, error.message, error.remedy


def _system() -> Told:
    name = f"{platform.system()} {platform.release()} {platform.machine()}"
    if platform.system() in ("Linux", "Darwin"):
        return "ok", name, ""
    return "missing", name, "Use Linux or macOS; on Windows the Windows Subsystem for Linux (wsl --install)"


def _python(version: tuple[int, ...]) -> Told:
    found = f"{'.'.join(map(str, version))} at {sys.executable}"
    return (
        ("ok", found, "")
        if version >= (3, 11)
        else ("missing", found, "Install Python 3.11 or newer, then run `make lab`")
    )


def _user() -> Told:
    ids = account.server_ids()
    if ids is None:
        return "ok", f"uid {os.getuid()}, the servers run as the same user", ""
    return "ok", f"root, the servers run as uid {ids[0]}", ""


def _socket_path(root: Path) -> Told:
    length = len(os.fsencode(root))
    found = f"{root} ({length} of at most {LONGEST_HOME} bytes)"
    if length <= LONGEST_HOME:
        return "ok", found, ""
    return "missing", f"{found}: too long for a Unix socket", "Set PGLAB_HOME to a shorter folder"


def _postgres(home: Home) -> Told:
    found = binaries.find(home)
    return "ok", f"{found.version} in {found.folder}", ""


def _pgbouncer(home: Home) -> Told:
    found = pgbouncer.find(home)
    if found is None:
        return "warning", f"not found; {pgbouncer.NEEDED_FOR} need it", pgbouncer.remedy()
    return "ok", f"{pgbouncer.version(found)} at {found}", ""


def _docker(needed: bool) -> Told:
    if not needed and shutil.which("docker") is None:
        return (
            "warning",
            "not found; only the docker backend needs it",
            "Nothing to do, unless you want that backend",
        )
    from pglab.cluster.docker_engine import engine  # here, because its client takes half a second

    try:
        return "ok", f"engine {engine().version}", ""
    except PglabError as error:
        if needed:
            raise
        return "warning", f"{error.message}; only the docker backend needs it", error.remedy


def _memory(available: int) -> Told:
    found = f"{available / GB:.1f} GB available"
    if available >= MEMORY_NEEDED:
        return "ok", found, ""
    return (
        "missing",
        f"{found}, {MEMORY_NEEDED / GB:.0f} GB are needed",
        "Close other programs, or use a larger machine",
    )


def disk_needed(dataset: int) -> float:
    """Bytes for a cluster, a dataset of so many bytes, its WAL while it is loaded, and one lab's clone of it."""
    return GB / 2 + 2 * dataset + min(1.2 * dataset, MOST_WAL)


def _disk(home: Home, scale: str) -> Told:
    scales = Dataset.load().scales
    if scale not in scales:
        raise PglabError(f"There is no scale {scale!r}", f"The scales are: {', '.join(scales)}")
    needed = disk_needed(scales[scale].bytes)
    folder = home.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / GB:.1f} GB free at {folder}"
    if free >= needed:
        return "ok", found, ""
    return (
        "missing",
        f"{found}, scale {scale} needs {needed / GB:.1f} GB",
        "Free some space, set PGLAB_HOME to another disk, or take --scale small",
    )


def _open_files(hard: int) -> Told:
    if hard == resource.RLIM_INFINITY or hard >= OPEN_FILES_WANTED:
        return "ok", "no limit" if hard == resource.RLIM_INFINITY else f"at most {hard:,}", ""
    return (
        "warning",
        f"at most {hard:,}; labs with thousands of clients want {OPEN_FILES_WANTED:,}",
        "Raise it: `ulimit -Hn` as root, or /etc/security/limits.conf",
    )
