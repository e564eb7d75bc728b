"""A link adds its round trip and nothing else, breaks when it is cut, and ends with who started it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from pglab.cluster.link import Link
from pglab.cluster.relay import Relay
from pglab.errors import ClusterError

STARTED = """
import os, sys
from pglab.cluster.link import Link
with Link(sys.argv[1], 1) as link:
    if os.fork() == 0:  # a child that holds the pipe and outlives its parent, as multiprocessing's do
        import time; time.sleep(60); os._exit(0)
    print(link._process.pid, link.port, flush=True)
    sys.stdin.read()
"""


class Echo:
    """Sends back what it gets; after "bye" it hangs up."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, suppress(OSError):
            while data := connection.recv(1 << 16):
                connection.sendall(data)
                if data.endswith(b"bye"):
                    return


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    server = socket.create_server(("127.0.0.1", 0))
    Echo(server)
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.close()


@pytest.fixture
def link(echo: str) -> Iterator[Link]:
    with Link(echo, 0) as link:
        yield link


def dial(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ping_ms(connection: socket.socket, count: int) -> float:
    """The median round trip."""
    took = []
    for _ in range(count):
        start = time.perf_counter()
        connection.sendall(b"ping")
        assert connection.recv(64) == b"ping"
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took)


def read(connection: socket.socket, length: int) -> bytes:
    got = bytearray()
    while len(got) < length and (data := connection.recv(1 << 16)):
        got += data
    return bytes(got)


def added_ms(link: Link, echo: str, count: int) -> float:
    """The difference of the medians of two connections that take turns."""
    host, port = echo.split(":")
    took: list[list[float]] = [[], []]
    with dial(host, int(port)) as direct, dial(link.host, link.port) as through:
        for _ in range(count):
            for connection, times in zip((direct, through), took, strict=True):
                times.append(ping_ms(connection, 1))
    return statistics.median(took[1]) - statistics.median(took[0])


@pytest.mark.parametrize(("rtt_ms", "count"), [(1.0, 200), (5.0, 60), (40.0, 10)])
def test_adds_its_round_trip(echo: str, rtt_ms: float, count: int) -> None:
    # Others may have the processor for a while, also while a link takes its own measure: then there is a new one.
    for _ in range(8):
        with Link(echo, rtt_ms) as link:
            added = added_ms(link, echo, count)
        if abs(added - rtt_ms) <= rtt_ms / 10:
            return
    pytest.fail(f"{added:.3f} ms were added, {rtt_ms} ms were asked for")


def test_a_new_connection_costs_one_round_trip_more(link: Link) -> None:
    link.rtt_ms = 60
    start = time.perf_counter()
    with dial(link.host, link.port) as connection:
        first = ping_ms(connection, 1) and time.perf_counter() - start
        assert first >= 0.115
        assert ping_ms(connection, 3) < 115


def test_what_is_sent_in_one_go_arrives_in_one_go(link: Link) -> None:
    link.rtt_ms = 100
    with dial(link.host, link.port) as connection:
        ping_ms(connection, 1)
        start = time.perf_counter()
        for _ in range(30):
            connection.sendall(b"0123456789")
            time.sleep(0.002)  # so that they are 30 chunks
        assert read(connection, 300) == b"0123456789" * 30
        assert 0.1 <= time.perf_counter() - start < 1.0  # one after the other would be 3 s


def test_a_reply_in_pieces_does_not_wait_for_an_acknowledgement(echo: str) -> None:
    """With Nagle's algorithm on, its second piece would wait for the 40 ms of a delayed one."""

    async def nodelay() -> list[int]:
        relay = Relay(asyncio.get_running_loop())
        host, port = echo.split(":")
        told = await relay.listen(["127.0.0.1", 0], [host, int(port)])
        with closing(dial(told["host"], told["port"])):
            async with asyncio.timeout(20):
                while len(relay.ends) < 2:
                    await asyncio.sleep(0)
            sockets = [end.transport.get_extra_info("socket") for end in relay.ends if end.transport]
            found = [one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in sockets]
            await relay.cut()
        return found

    assert asyncio.run(nodelay()) == [1, 1]


def test_order_and_bytes_stay_also_when_the_time_changes(link: Link) -> None:
    link.rtt_ms = 80
    sent = os.urandom(3_000_000)
    with dial(link.host, link.port) as connection:

        def send() -> None:
            for start in range(0, len(sent), 10_000):
                connection.sendall(sent[start : start + 10_000])
                if start == 1_500_000:
                    link.rtt_ms = 0

        sender = threading.Thread(target=send)
        sender.start()
        assert read(connection, len(sent)) == sent
        sender.join()


def test_many_connections_at_once(link: Link) -> None:
    link.rtt_ms = 2
    opened = [dial(link.host, link.port) for _ in range(200)]
    for number, connection in enumerate(opened):
        connection.sendall(f"{number:04}".encode())
    assert [read(connection, 4) for connection in opened] == [
        f"{number:04}".encode() for number in range(200)
    ]
    assert link.connections == 200
    for connection in opened:
        connection.close()
    limit = time.monotonic() + 10
    while link.connections and time.monotonic() < limit:
        pass
    assert link.connections == 0


def test_last_words_come_before_the_end(link: Link) -> None:
    link.rtt_ms = 20
    with dial(link.host, link.port) as connection:
        connection.sendall(b"x" * 100_000 + b"bye")
        assert read(connection, 1 << 30) == b"x" * 100_000 + b"bye"


def test_cut_and_restore(link: Link) -> None:
    host, port = link.host, link.port
    with dial(host, port) as connection:
        ping_ms(connection, 1)
        link.cut()
        link.cut()  # cut already is fine
        with pytest.raises(ConnectionResetError):
            assert connection.recv(1) != b"", "the end looked like an orderly one"
        with pytest.raises(ConnectionRefusedError):
            dial(host, port)
        assert link.connections == 0
    link.restore()
    link.restore()
    assert (link.host, link.port) == (host, port)
    with dial(host, port) as connection:
        ping_ms(connection, 1)


def test_target_that_is_down_hangs_up(echo: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        Link(f"127.0.0.1:{port}", 1) as link,
        dial(link.host, link.port) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(b"ping")
        assert connection.recv(64) == b""


def test_unix_sockets_on_both_sides(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(tmp_path / ".s.PGSQL.7777"))
        server.listen()
        Echo(server)
        front = tmp_path / "front"
        front.mkdir()
        with Link({"host": str(tmp_path), "port": 7777, "user": "x"}, 10, listen=str(front)) as link:
            assert link.conninfo == {"host": str(front), "port": 5432}
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(front / ".s.PGSQL.5432"))
                assert ping_ms(connection, 5) >= 9  # it takes its own part off, as it measured it
                link.cut()
                assert not (front / ".s.PGSQL.5432").exists()
                link.restore()
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(front / ".s.PGSQL.5432"))
                ping_ms(connection, 1)
        assert not (front / ".s.PGSQL.5432").exists()


def test_ends_with_its_parent_though_a_child_of_that_lives_on(echo: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTED, echo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid, port = map(int, parent.stdout.readline().split())
    relay, (child,) = (
        psutil.Process(pid),
        [one for one in psutil.Process(parent.pid).children() if one.pid != pid],
    )
    try:
        with dial("127.0.0.1", port) as connection:
            ping_ms(connection, 1)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        relay.wait(10)
    finally:
        child.kill()
    with pytest.raises(ConnectionRefusedError):
        dial("127.0.0.1", port)


def test_says_what_is_wrong(echo: str, link: Link) -> None:
    with pytest.raises(ClusterError, match=r"cannot listen on 127\.0\.0\.1:.* in use\). Let it choose"):
        Link(echo, 1, listen=f"127.0.0.1:{link.port}").start()
    with pytest.raises(ClusterError, match="nowhere is no address"):
        Link("nowhere", 1)
    with pytest.raises(ClusterError, match="-1 ms cannot be had"):
        link.rtt_ms = -1
    with pytest.raises(ClusterError, match="has not been started"):
        Link(echo, 1).conninfo  # noqa: B018
    assert link._process is not None
    link._process.kill()
    link._process.wait()
    with pytest.raises(ClusterError, match="The link has ended"):
        link.cut()
