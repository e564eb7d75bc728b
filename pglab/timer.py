"""A timer for asyncio that is right to some 0.05 ms.

asyncio's own rounds up to whole milliseconds where it waits with epoll. Linux' timerfd does not, and wakes the same loop.
Elsewhere (kqueue) asyncio is exact enough by itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

_CLOCK_MONOTONIC, _ABSOLUTE = 1, 1  # the clock of loop.time()
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class _Spec(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "s", "ns")]


class Timer:
    """Calls `fire` once at the time that was set last."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fire: Callable[[], None]) -> None:
        self._loop, self._fire = loop, fire
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1
        if sys.platform == "linux":  # by ctypes: os.timerfd_create is of Python 3.13
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._fd >= 0:
            loop.add_reader(self._fd, self._wake)

    def at(self, when: float) -> None:
        """Set it to a time of loop.time(), in seconds; a time that has passed fires at once."""
        if self._fd >= 0:
            whole = int(when)
            spec = _Spec(0, 0, whole, max(int((when - whole) * 1e9), 1))  # 0 and 0 would stop it
            self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None)
            return
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(when, self._fire)

    def close(self) -> None:
        """Never fire again."""
        if self._handle is not None:
            self._handle.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _wake(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # it was set anew meanwhile
            return
        self._fire()
