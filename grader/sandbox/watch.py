"""Looks after one kernel and all that it started, and ends them when they take too much or too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from grader.sandbox.limits import MB, Limits

EVERY_S = 0.25
_running: set[Watch] = set()
MESSAGES_MB = 64  # of the folder that kernel and grader share: sockets and a connection file


class Watch:
    """A thread that watches a process and its descendants until it ends.

    Attributes:
        reason: why it ended them, empty when it did not; peak_mb: the most resident memory seen, in MB of 2^20 bytes.
    """

    def __init__(
        self, pid: int, limits: Limits, shared: Path, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Args: pid: of the outermost process; shared: the folder that both sides can write."""
        self.reason = ""
        self.peak_mb = 0.0
        self.process = psutil.Process(pid)
        self._more: list[psutil.Process] = []
        self._limits = limits
        self._shared = shared
        self._now = now
        self._deadline = now() + limits.notebook_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name=f"watch {pid}", daemon=True)
        self._thread.start()
        _running.add(self)

    def add(self, pid: int) -> None:
        """Look after another process and its descendants too."""
        with suppress(psutil.NoSuchProcess):
            self._more.append(psutil.Process(pid))

    def stop(self) -> None:
        """Watch no longer."""
        _running.discard(self)
        self._done.set()
        self._thread.join()

    def end(self, reason: str) -> None:
        """End the kernel and all that it started, for this reason. The first reason counts."""
        self.reason = self.reason or reason
        # Without its first process a pid namespace ends, however many it has meanwhile; that is bubblewrap's child, or
        # the container's process that was added.
        for process in [*_family(self.process)[:1], self.process, *self._more]:
            with suppress(psutil.Error):
                process.kill()

    def _look(self) -> None:
        while not self._done.wait(EVERY_S):
            if not self.process.is_running() or self.process.status() == psutil.STATUS_ZOMBIE:
                return
            if reason := self._too_much():
                self.end(reason)
                return

    def _too_much(self) -> str:
        family = [each for root in (self.process, *self._more) for each in (root, *_family(root))]
        used_mb = sum(map(_resident, family)) / MB
        self.peak_mb = max(self.peak_mb, used_mb)
        if used_mb > self._limits.memory_mb:
            return f"it took more than {self._limits.memory_mb:,} MB of memory"
        if len(family) > self._limits.processes:
            return f"it ran more than {self._limits.processes} processes"
        if len(set().union(*map(_sockets, family))) > self._limits.sockets:
            return f"it held more than {self._limits.sockets} connections"
        if _size(self._shared) > MESSAGES_MB * MB:
            return "it wrote files where only its messages belong"
        if self._now() > self._deadline:
            return f"the notebook ran for more than {self._limits.notebook_s:,} s"
        return ""


def end_all(reason: str) -> None:
    """End all that this process runs."""
    for watch in list(_running):
        watch.end(reason)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _sockets(process: psutil.Process) -> set[str]:
    """Those that it has open, by what the system calls them: one that a child inherited is the same one.

    None where the system shows none: then its open files bound it alone.
    """
    found: set[str] = set()
    with suppress(OSError):
        for opened in Path("/proc", str(process.pid), "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.add(str(opened.readlink()))
    return {name for name in found if name.startswith("socket:")}


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:
            continue
    return total
