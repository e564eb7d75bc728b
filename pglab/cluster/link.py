"""A link: a stated round-trip time between an application and a node or pooler.

    with Link(node.conninfo(), rtt_ms=1) as link:
        psycopg.connect(**(node.conninfo("shop") | link.conninfo))

On one machine a query costs 0.1 ms, and what sends a thousand of them looks harmless. A link is a relay in a process of
its own that lets every chunk out half a round trip after it came in, on either way: bandwidth is not limited, and what is
sent in one go arrives in one go. A new connection costs one round trip more, as a TCP handshake does.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pglab.errors import ClusterError

START_LIMIT_S = 30.0
LONGEST_RTT_MS = 10_000.0
MOST_OWN_MS = 0.1  # more was the machine's other work
UNIX_PORT = 5432  # of the name of a Unix socket; nothing listens on a port of that number
_CHILD = "import sys; sys.path.append(sys.argv[1]); from pglab.cluster.relay import main; main()"
_PINGS = 160


class Link:
    """A relay to one server. It ends with the process that started it, however that ends."""

    def __init__(self, target: Mapping[str, Any] | str, rtt_ms: float, listen: str = "127.0.0.1:0") -> None:
        """Args:
        target: a server's conninfo (its host and port count), "host:port", or the path of a Unix socket.
        rtt_ms: the round-trip time that it adds.
        listen: "host:port", port 0 for any free one; or a folder, for a Unix socket in it that libpq finds there.
        """
        self._target, self._listen = _address(target), listen
        self._rtt_ms = _checked(rtt_ms)
        self._own_ms = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._asked = 0
        self.host, self.port = "", 0

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def conninfo(self) -> dict[str, Any]:
        """Host and port, to be laid over the server's: `node.conninfo("shop") | link.conninfo`."""
        if self._process is None:
            raise ClusterError("The link has not been started", "Use it as `with Link(…) as link:`")
        return {"host": self.host, "port": self.port}

    @property
    def rtt_ms(self) -> float:
        """The round-trip time that it adds, in ms. Setting it counts for what comes in from then on."""
        return self._rtt_ms

    @rtt_ms.setter
    def rtt_ms(self, rtt_ms: float) -> None:
        self._ask({"do": "rtt", "ms": max(_checked(rtt_ms) - self._own_ms, 0.0)})
        self._rtt_ms = rtt_ms

    @property
    def own_ms(self) -> float:
        """What the relay itself takes for a round trip, in ms, measured at the start: no less can be added."""
        return self._own_ms

    @property
    def connections(self) -> int:
        """How many connections run through it now."""
        return int(self._ask({"do": "connections"})["connections"])

    # -- verbs --------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the relay.

        Raises:
            ClusterError: the address is taken or wrong.
        """
        if self._process is not None:
            return self
        command = [sys.executable, "-P", "-c", _CHILD, str(Path(__file__).parents[2])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt of the notebook is not the link's
        )  # fmt: skip
        try:
            self._own_ms = self._calibrate()
            told = self._ask({"do": "listen", "address": _listening(self._listen), "target": self._target})
            self.host, self.port = told["host"], told["port"]
            self.rtt_ms = self._rtt_ms
        except BaseException:
            self.close()
            raise
        return self

    def cut(self) -> None:
        """Break every connection, and refuse new ones, until restore()."""
        self._ask({"do": "cut"})

    def restore(self) -> None:
        """Take connections again, at the same address."""
        self._ask({"do": "restore"})

    def close(self) -> None:
        """End the relay and what runs through it. Ended already is fine."""
        relay, self._process = self._process, None
        if relay is None:
            return
        assert relay.stdin and relay.stdout
        with contextlib.suppress(OSError):
            relay.stdin.close()
        try:
            relay.wait(5)
        except subprocess.TimeoutExpired:
            relay.kill()
            relay.wait()
        relay.stdout.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            relay = self._process
            if relay is None:
                raise ClusterError("The link is not running", "Use it as `with Link(…) as link:`")
            self._asked += 1
            try:
                answer = _exchange(relay, request | {"id": self._asked})
            except (OSError, ValueError):
                raise ClusterError(
                    f"The link has ended (exit code {relay.poll()})", "Start it again"
                ) from None
        if "error" in answer:
            raise ClusterError(answer["error"], answer.get("remedy", ""))
        return answer

    def _calibrate(self) -> float:
        """What the relay adds to a round trip beyond what it holds, in ms: one more way through the kernel."""
        with _Echo() as echo:
            told = self._ask({"do": "listen", "address": ["127.0.0.1", 0], "target": echo.address})
            self._ask({"do": "rtt", "ms": 1.0})
            direct, relayed = _pings(echo.address), _pings([told["host"], told["port"]])
            self._ask({"do": "cut"})
        return min(max(relayed - direct - 1.0, 0.0), MOST_OWN_MS)


class _Echo:
    """A server for one connection after the other that sends back what it gets."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address: list[Any] = list(self._server.getsockname())
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    while data := connection.recv(64):
                        connection.sendall(data)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # close() alone would not wake the thread
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def _pings(address: list[Any]) -> float:
    """A round trip's time in ms: the median of the second half, when the relay knows how late its timer is."""
    took = []
    with socket.create_connection((address[0], address[1]), timeout=START_LIMIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_PINGS):
            start = time.perf_counter()
            connection.sendall(b"ping")
            if not connection.recv(64):
                raise ClusterError("The link broke while it was measured", "Start it again")
            took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took[_PINGS // 2 :])


def _exchange(relay: subprocess.Popen[bytes], request: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the relay's process and read its answer; ValueError: it has ended."""
    assert relay.stdin and relay.stdout
    relay.stdin.write(json.dumps(request).encode() + b"\n")
    relay.stdin.flush()
    while True:  # what an interrupted request left unread goes by
        answer = json.loads(relay.stdout.readline())
        if answer.pop("id", None) == request["id"]:
            return dict(answer)


def _address(target: Mapping[str, Any] | str) -> list[Any]:
    """[host, port], or [path] for a Unix socket."""
    if isinstance(target, str):
        host, colon, port = target.rpartition(":")
        if target.startswith("/"):
            return [target]
        if not (colon and port.isdigit()):
            raise ClusterError(f"{target} is no address", "Give host:port, a socket's path or a conninfo")
        return [host, int(port)]
    host, port_number = str(target["host"]), int(target["port"])
    return [f"{host}/.s.PGSQL.{port_number}"] if host.startswith("/") else [host, port_number]


def _listening(listen: str) -> list[Any]:
    return [f"{listen.rstrip('/')}/.s.PGSQL.{UNIX_PORT}"] if listen.startswith("/") else _address(listen)


def _checked(rtt_ms: float) -> float:
    if not 0 <= rtt_ms <= LONGEST_RTT_MS:
        raise ClusterError(f"A round trip of {rtt_ms} ms cannot be had", f"0 to {LONGEST_RTT_MS:,.0f} ms can")
    return float(rtt_ms)
