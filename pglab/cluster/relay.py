"""The process of a link: takes connections, holds what comes in for half a round trip, and passes it on.

It is told what to do on stdin, one JSON object a line, and answers each on stdout. When stdin ends, it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import heapq
import itertools
import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pglab.cluster.process import raise_open_files
from pglab.timer import Timer

BACKLOG = 4096  # thousands of clients that come at once
_RESET = struct.pack("ii", 1, 0)
_CONNECT_LIMIT_S = 30.0
_GRAIN_S = 20e-6  # what is due within this goes out now: setting the timer would take as long
_STEP_S = 4e-6  # a step towards the median


class End(asyncio.Protocol):
    """One side of a connection; what it reads goes to its peer."""

    def __init__(self, relay: Relay, peer: End | None = None) -> None:
        self.relay, self.peer = relay, peer
        self.transport: asyncio.Transport | None = None
        self.opened = 0.0  # nothing counts as sent before: a client's handshake still travels
        self.last = 0.0  # when the chunk before goes out: none may overtake it, also when rtt is lowered
        self.early: list[bytes] = []  # came before there was a peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.relay.ends.add(self)
        if self.peer is not None:
            self.peer.peer = self
            while self.peer.early:
                self.relay.hold(self.peer, self.write, self.peer.early.pop(0))
            return
        # Until there is somebody to pass it on to. Python before 3.11.4 reads on all the same: hence `early`.
        transport.pause_reading()
        self.opened = self.relay.loop.time() + 2 * self.relay.half_s
        self.relay.spawn(self._reach())

    async def _reach(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_LIMIT_S):
                await self.relay.connect(lambda: End(self.relay, self))
        except OSError:  # TimeoutError is one
            self.reset()
            return
        if self not in self.relay.ends:  # it left meanwhile
            assert self.peer is not None
            self.peer.close()
        elif self.transport is not None:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self.early.append(data)
        else:
            self.relay.hold(self, self.peer.write, data)

    def connection_lost(self, error: Exception | None) -> None:
        self.relay.ends.discard(self)
        if self.peer is not None:
            self.relay.hold(self, self.peer.close if error is None else self.peer.reset)

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        """After what was written has gone out."""
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """At once, and so that the other end gets an error."""
        if self.transport is None:
            return
        connection = self.transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class Relay:
    """All connections of one link."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.half_s = 0.0
        self._late_s = 60e-6  # the median by which the timer wakes us late; chunks are due that much earlier
        self.ends: set[End] = set()
        self._held: list[tuple[float, int, Callable[..., None], tuple[bytes, ...]]] = []
        self._order = itertools.count()
        self._timer = Timer(loop, self._release)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._address: list[Any] = []
        self._target: list[Any] = []

    # -- chunks on their way ------------------------------------------------------------------------------------------

    def hold(self, end: End, then: Callable[..., None], *data: bytes) -> None:
        """Do it half a round trip from now, after what this end sent before."""
        when = end.last = max(max(self.loop.time(), end.opened) + self.half_s, end.last)
        if not self.half_s and not self._held:
            then(*data)
            return
        entry = (when - self._late_s, next(self._order), then, data)
        heapq.heappush(self._held, entry)
        if self._held[0] is entry:
            self._timer.at(entry[0])

    def _release(self) -> None:
        now = self.loop.time()
        if self._held and now >= self._held[0][0]:
            late = now - self._held[0][0] > self._late_s
            self._late_s = min(max(self._late_s + (_STEP_S if late else -_STEP_S), 0.0), self.half_s)
        due = now + _GRAIN_S
        while self._held and self._held[0][0] <= due:
            _, _, then, data = heapq.heappop(self._held)
            then(*data)
        if self._held:
            self._timer.at(self._held[0][0])

    def spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def connect(self, make: Callable[[], End]) -> None:
        """Open a connection to the target."""
        if len(self._target) == 2:
            await self.loop.create_connection(make, *self._target)
            return
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            while True:
                try:
                    connection.connect(self._target[0])
                    break
                except (
                    BlockingIOError
                ):  # its queue is full; unlike TCP's, this connect does not go on by itself
                    await asyncio.sleep(0.005)
            await self.loop.create_unix_connection(make, sock=connection)
        except BaseException:
            connection.close()
            raise

    # -- what the link asks for ---------------------------------------------------------------------------------------

    async def listen(self, address: list[Any], target: list[Any]) -> dict[str, Any]:
        self._drop_reserved()
        self._address, self._target = address, target
        await self._open()
        if len(address) == 1:
            folder, _, port = address[0].rpartition("/.s.PGSQL.")
            return {"host": folder, "port": int(port)}
        return {"host": self._address[0], "port": self._address[1]}

    async def _open(self) -> None:
        if len(self._address) == 1:
            Path(self._address[0]).unlink(missing_ok=True)
            self._server = await self.loop.create_unix_server(
                lambda: End(self), self._address[0], backlog=BACKLOG
            )
            Path(self._address[0]).chmod(0o777)  # as Postgres' own: who may come near, its folder says
            return
        listening = self._reserved or _bound(self._address)
        self._reserved = None
        self._address = list(listening.getsockname()[:2])
        self._server = await self.loop.create_server(lambda: End(self), sock=listening, backlog=BACKLOG)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self._held.clear()
            for end in list(self.ends):
                end.reset()
            if len(self._address) == 1:
                Path(self._address[0]).unlink(missing_ok=True)
            else:
                await asyncio.sleep(0)
                self._reserved = _bound(self._address)  # nobody else gets the port; a client is refused

    async def restore(self) -> None:
        if self._server is None:
            await self._open()

    def end(self) -> None:
        if self._server is not None and len(self._address) == 1:
            Path(self._address[0]).unlink(missing_ok=True)
        self.loop.stop()

    def _drop_reserved(self) -> None:
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def obey(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "listen":
                return await self.listen(request["address"], request["target"])
            case "rtt":
                self.half_s = request["ms"] / 2000
            case "cut":
                await self.cut()
            case "restore":
                await self.restore()
        return {"connections": sum(end.opened > 0 for end in self.ends)}


def _bound(address: list[Any]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    # Of a socket that does not say it is TCP, asyncio leaves Nagle's algorithm on: a reply in pieces waits 40 ms then.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address[0], address[1]))
    except OSError:
        bound.close()
        raise
    return bound


async def _answer(relay: Relay, request: dict[str, Any]) -> None:
    try:
        answer = await relay.obey(request)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        answer = {
            "error": f"The link cannot listen on {':'.join(map(str, request.get('address', [])))} ({error.strerror})",
            "remedy": 'Let it choose: listen="127.0.0.1:0"' if taken else "Give another address",
        }
    sys.stdout.write(json.dumps(answer | {"id": request["id"]}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run a relay until stdin ends."""
    raise_open_files()
    loop = asyncio.new_event_loop()
    relay = Relay(loop)
    unread = bytearray()

    def on_command() -> None:
        data = os.read(0, 65536)
        if not data:
            relay.end()
        unread.extend(data)
        *lines, rest = bytes(unread).split(b"\n")
        unread[:] = rest
        for line in lines:
            relay.spawn(_answer(relay, json.loads(line)))

    parent = os.getppid()

    def look() -> None:  # a forked child of the parent's may keep stdin open after it
        if os.getppid() != parent:
            relay.end()
        loop.call_later(1.0, look)

    loop.add_reader(0, on_command)
    look()
    loop.run_forever()
