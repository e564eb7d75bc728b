"""Is a postmaster of this data folder alive, and what did it say last."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from pglab.errors import ClusterError, DiskFull

PROGRAMS = ("pg_basebackup", "initdb")  # that make a data folder


def postmaster(data: Path) -> psutil.Process | None:
    """The live postmaster of a data folder, or None.

    The pid file alone proves nothing: after a kill -9 it stays, and its number may be another program's by now. A
    postmaster works in its data folder, so that is asked too.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == data.resolve():
            return process
    except (OSError, ValueError, psutil.Error):
        pass
    return None


def is_alive(found: psutil.Process) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return found.is_running() and bool(found.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def listening_port(data: Path) -> int:
    """The port in the pid file of a data folder; 0 when there is none."""
    try:
        return int((data / "postmaster.pid").read_text().split("\n")[3])
    except (OSError, ValueError, IndexError):
        return 0


def drop_stale_locks(data: Path, sockets: Path) -> None:
    """Remove what a dead postmaster left behind, when its number is another program's, or a zombie's, by now.

    Postgres asks only whether some process has that number, and would refuse to start.
    """
    if postmaster(data) is not None:
        return
    (data / "postmaster.pid").unlink(missing_ok=True)
    for lock in sockets.glob(".s.PGSQL.*.lock"):  # second line: whose socket it is
        if lock.read_text().split("\n")[1:2] == [str(data)]:
            lock.unlink(missing_ok=True)


def orphans(data: Path) -> list[psutil.Process]:
    """Postgres processes that outlived their postmaster; they end by themselves within seconds."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"].startswith("postgres") and Path(process.cwd()) == data.resolve():
                found.append(process)
        except (psutil.Error, OSError, AttributeError):
            continue
    return found


def end_programs(draft: Path) -> None:
    """End what a killed process left at work on a folder: pg_basebackup would take the next one's replication slot."""
    left = []
    for program in psutil.process_iter(["name", "cmdline"]):
        if program.info["name"] in PROGRAMS and any(
            str(draft) in word for word in program.info["cmdline"] or ()
        ):
            with suppress(psutil.Error):
                program.kill()
                left.append(program)
    psutil.wait_procs(left, timeout=10)


def wait_until(
    what: str,
    done: Callable[[], bool],
    limit_s: float,
    *,
    last: Callable[[], str] = lambda: "",
    every_s: float = 0.02,
) -> None:
    """Poll a condition.

    Raises:
        ClusterError: it did not hold within limit_s; the error says what was awaited and what was seen last.
    """
    deadline = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > deadline:
            seen = last()
            raise ClusterError(f"Waited {limit_s:g} s for {what}" + (f"; seen last: {seen}" if seen else ""))
        time.sleep(every_s)


def explain_exit(name: str, data: Path, log: Path, since: int) -> Exception:
    """Why a server ended, in a sentence, from what it wrote to its log after byte `since`."""
    try:
        with log.open(errors="replace") as handle:
            handle.seek(since)
            text = handle.read()
    except OSError:
        text = ""
    if "No space left on device" in text or free_mb(data.parent) < 8:
        return disk_full(data)
    return last_words(name, text, str(log))


def last_words(name: str, text: str, log: str) -> ClusterError:
    """Why a server ended, in a sentence, from what it wrote.

    Args:
        log: where that is, for a person.
    """
    if "Address already in use" in text or "could not create any TCP/IP sockets" in text:
        return PortTaken(f"The port of the {name} was taken while it started", "Try again")
    said = [line.split(":  ", 1)[-1].strip() for line in text.splitlines() if ":  " in line]
    told = [
        line.split(":  ", 1)[-1].strip() for line in text.splitlines() if "FATAL:" in line or "PANIC:" in line
    ]
    reason = told[-1] if told else (said or ["it said nothing"])[-1]
    if "contains errors" in reason and said[:-1]:  # the line before says which
        reason = said[said.index(reason) - 1]
    return ClusterError(f"The {name} did not start: {reason}", f"Its log is {log}")


def disk_full(data: Path) -> DiskFull:
    """The error for a full disk below a folder."""
    return DiskFull(
        f"The disk of {data} is full ({free_mb(data if data.exists() else data.parent)} MB free)",
        "Free some space and run `pglab up` again; nothing of yours is lost",
    )


class PortTaken(ClusterError):
    """Somebody else was faster."""


def raise_open_files() -> None:
    """Let the servers have as many open files as the system allows: thousands of clients need them."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS says infinity and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_mb(folder: Path) -> int:
    """Free space at a folder in MB, for ordinary users."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize // 2**20
