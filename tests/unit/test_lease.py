"""The last one out stops the cluster, unless it was started by hand."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from pglab import lease
from pglab.errors import ClusterError
from pglab.home import Home


class FakeCluster:
    """Running or not; counts its stops."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.running = False
        self.stops = 0
        self.primary = SimpleNamespace(is_running=lambda: self.running)
        self.on_up: Callable[[], None] = lambda: None

    def up(self, say: lease.Say) -> None:
        self.on_up()
        self.running = True

    def down(self, say: lease.Say) -> bool:
        self.running = False
        self.stops += 1
        return True


@pytest.fixture
def cluster(own_home: Home) -> FakeCluster:
    return FakeCluster(own_home)


@pytest.fixture
def said() -> list[str]:
    return []


def test_alone_it_starts_and_stops_the_cluster(cluster: FakeCluster, said: list[str]) -> None:
    with lease.lease(cluster, said.append):
        assert cluster.running
        assert lease.is_in_use(cluster.home)
    assert cluster.stops == 1
    assert not lease.is_in_use(cluster.home)


@pytest.mark.parametrize("first_out", [0, 1])
def test_of_two_the_last_one_stops_it(cluster: FakeCluster, said: list[str], first_out: int) -> None:
    stacks = [ExitStack(), ExitStack()]
    for stack in stacks:
        stack.enter_context(lease.lease(cluster, said.append))
    stacks[first_out].close()
    assert cluster.running
    assert "another `pglab lab` uses the cluster" in said[-1]
    stacks[1 - first_out].close()
    assert cluster.stops == 1


def test_a_cluster_started_by_hand_goes_on(cluster: FakeCluster, said: list[str]) -> None:
    cluster.home.make()
    cluster.running = True
    lease.keep(cluster.home)
    with lease.lease(cluster, said.append):
        pass
    assert cluster.running
    assert "`pglab down` stops it" in said[-1]
    lease.release(cluster.home)
    with lease.lease(cluster, said.append):
        pass
    assert not cluster.running


def test_a_mark_from_before_a_crash_does_not_count(cluster: FakeCluster, said: list[str]) -> None:
    cluster.home.make()
    lease.keep(cluster.home)  # and the machine lost power: nothing runs
    with lease.lease(cluster, said.append):
        pass
    assert cluster.stops == 1


def test_an_error_and_an_interrupt_stop_it_too(cluster: FakeCluster, said: list[str]) -> None:
    for problem in (RuntimeError, KeyboardInterrupt, SystemExit):
        with pytest.raises(problem), lease.lease(cluster, said.append):
            raise problem
    assert cluster.stops == 3


def test_a_start_that_fails_stops_nothing(cluster: FakeCluster, said: list[str]) -> None:
    def fail() -> None:
        raise ClusterError("no")

    cluster.on_up = fail
    with pytest.raises(ClusterError), lease.lease(cluster, said.append):
        pytest.fail("not reached")
    assert cluster.stops == 0
    assert not lease.is_in_use(cluster.home)


def test_a_second_interrupt_does_not_break_the_stop(cluster: FakeCluster, said: list[str]) -> None:
    stopped = cluster.down

    def down(say: lease.Say) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
        return stopped(say)

    cluster.down = down  # type: ignore[method-assign]
    with lease.lease(cluster, said.append):
        pass
    assert cluster.stops == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
