"""Free ports on the loopback address."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

FIRST, LAST = 54320, 54999


def is_free(port: int) -> bool:
    """Whether a server can listen on 127.0.0.1:port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def pick(preferred: int | None = None, *, avoid: set[int] = frozenset()) -> int:  # type: ignore[assignment]
    """The preferred port when it is free, else a free one of pglab's range, else any.

    At random: a server that is stopped for a moment is known by its port, and the lowest free one would be its own. It is
    a promise until somebody else takes it: whoever starts a server on it tries again on another.
    """
    if preferred and preferred not in avoid and is_free(preferred):
        return preferred
    for port in random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST):
        if port not in avoid and is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def held(port: int) -> Iterator[None]:
    """Keep a stopped server's port from others while the block runs."""
    with socket.socket() as holder:
        with suppress(OSError):  # it is gone already
            holder.bind(("127.0.0.1", port))  # not SO_REUSEADDR, which would share it with others that set it
        yield
