"""What a link adds, with nothing else at work, and what a thousand connections get through it.

The server is an echo in a process of its own: what is measured is the link, not Postgres. The added time is the median
of the differences of two connections, one direct and one through the link, that take turns.
"""

from __future__ import annotations

import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pglab.cluster.link import Link
from pglab.cluster.process import raise_open_files

TURNS, ROUNDS = 400, 3
MANY, SECONDS = 1000, 4.0
MESSAGE = b"x" * 64
ECHO = """
import asyncio, os
from pglab.cluster.process import raise_open_files
class Echo(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data)
async def main():
    raise_open_files()
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    asyncio.get_running_loop().add_reader(0, lambda: os.read(0, 1) or os._exit(0))
    await server.serve_forever()
asyncio.run(main())
"""


def run() -> Iterator[tuple[str, float | str, str]]:
    """Rows of (name, value, goal)."""
    raise_open_files()
    with _echo() as port:
        for rtt_ms in (0.5, 1.0, 2.0, 10.0):
            goal = "1 ± 0.1" if rtt_ms == 1 else f"{rtt_ms:g}"
            with Link(f"127.0.0.1:{port}", rtt_ms) as link:
                turns = max(int(TURNS / max(rtt_ms, 1)), 40)
                added = [_added_ms(port, link.port, turns) for _ in range(ROUNDS)]
            yield f"link: {rtt_ms:g} ms of round trip asked for, ms added", statistics.median(added), goal
        with Link(f"127.0.0.1:{port}", 1.0) as link:
            direct, _ = _through(port)
            linked, p99_ms = _through(link.port)
        yield f"link: {MANY:,} connections directly, messages a second", f"{direct:,.0f}", ""
        yield f"link: {MANY:,} connections through the link, messages a second", f"{linked:,.0f}", "≥ 5,000"
        yield f"link: {MANY:,} connections through the link, p99 ms", p99_ms, ""


def _added_ms(direct: int, linked: int, turns: int) -> float:
    with ExitStack() as stack:
        pair = [stack.enter_context(_dial(port)) for port in (direct, linked)]
        took: list[list[float]] = [[], []]
        for _ in range(turns):
            for connection, times in zip(pair, took, strict=True):
                began = time.perf_counter()
                connection.sendall(MESSAGE)
                connection.recv(64)
                times.append((time.perf_counter() - began) * 1000)
    return statistics.median(took[1]) - statistics.median(took[0])


def _through(port: int) -> tuple[float, float]:
    """Messages a second of MANY connections, each of which sends when its last one has come back; and their p99 ms."""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        sent: dict[int, float] = {}
        for _ in range(MANY):
            connection = stack.enter_context(_dial(port))
            selector.register(connection, selectors.EVENT_READ, connection)
        for key in selector.get_map().values():
            key.data.sendall(MESSAGE)
            sent[key.fd] = time.perf_counter()
        began, took = time.perf_counter(), []
        while (now := time.perf_counter()) < began + SECONDS:
            for key, _ in selector.select(1):
                key.data.recv(64)
                now = time.perf_counter()
                took.append(now - sent[key.fd])
                sent[key.fd] = now
                key.data.sendall(MESSAGE)
    return len(took) / (now - began), statistics.quantiles(took, n=100)[98] * 1000


def _dial(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextmanager
def _echo() -> Iterator[int]:
    server = subprocess.Popen([sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin and server.stdout
    try:
        yield int(server.stdout.readline())
    finally:
        server.stdin.close()
        server.wait(10)
