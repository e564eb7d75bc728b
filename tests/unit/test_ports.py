"""Free ports, and those of servers that are stopped for a moment."""

from __future__ import annotations

import socket

from pglab.cluster import ports


def test_a_held_port_is_nobody_elses() -> None:
    port = ports.pick()
    with ports.held(port):
        assert not ports.is_free(port)
        assert ports.pick(port) != port
    assert ports.is_free(port)


def test_a_port_that_is_gone_already_cannot_be_held() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        with ports.held(other.getsockname()[1]):
            pass


def test_a_port_that_was_just_left_is_hardly_the_next_one_picked() -> None:
    picked = {ports.pick() for _ in range(5)}
    assert len(picked) > 1
    assert picked <= set(range(ports.FIRST, ports.LAST + 1))
