"""Who needs the cluster: the last `pglab lab` to leave stops it, unless `pglab up` started it by hand."""

from __future__ import annotations

import fcntl
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pglab.cluster import Cluster
from pglab.home import Home

Say = Callable[[str], None]


def keep(home: Home) -> None:
    """Remember that the cluster was started by hand, so that nobody but `pglab down` stops it."""
    _marker(home).touch()


def release(home: Home) -> None:
    """Forget it."""
    _marker(home).unlink(missing_ok=True)


def is_in_use(home: Home) -> bool:
    """Whether a `pglab lab` holds a lease now."""
    try:
        with _users(home) as users:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def lease(cluster: Cluster, say: Say) -> Iterator[None]:
    """Hold a lease: the cluster is up inside, and stopped afterwards by the last holder that leaves.

    The lease is a shared lock, so it ends with this process even when it is killed.

    Raises:
        ClusterError, DiskFull: the cluster cannot be started.
    """
    home = cluster.home
    home.make()
    with _users(home) as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while the last holder stops the cluster
        try:
            if not cluster.primary.is_running():
                release(home)  # left over from before a crash or a reboot
            cluster.up(say)
            yield
        finally:
            with ignoring_signals():
                _leave(cluster, users, say)


def _leave(cluster: Cluster, users: IO[str], say: Say) -> None:
    if not cluster.primary.is_running():
        return
    # Let go before asking for the whole lock: of two that leave together, one then gets it.
    fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another `pglab lab` uses the cluster, so it goes on")
        return
    if _marker(cluster.home).exists():
        say("the cluster was started with `pglab up`, so it goes on; `pglab down` stops it")
        return
    cluster.down(say)


@contextmanager
def ignoring_signals() -> Iterator[None]:
    """Let a second Ctrl-C, or a terminal that closes, not interrupt the clearing up."""
    before = {
        number: signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _marker(home: Home) -> Path:
    return home.run / "keep"


def _users(home: Home) -> IO[str]:
    return (home.root / "locks" / "users").open("a")
