"""How a kernel and its referee talk: one JSON object a line, over a Unix socket.

    kernel → referee   {"hello": SECRET}                            first line of every connection
    kernel → referee   {"do": "start", "lab": "10-missing-index"}   then one request after the other
                       {"do": "check", "check": "fix", "answer": …}
                       {"do": "reset"}
    referee → kernel   {"step": "cloning the database"}             any number, while it works
    referee → kernel   {"call": "order_summary", "id": 7, "args": […]}   run the student's function, in a check
    kernel → referee   {"id": 7, "result": …} or {"id": 7, "raised": "ValueError: …"}
    referee → kernel   {"ok": …}                                    the answer, or
                       {"error": "one sentence", "remedy": "…"}

A line that is too long, no JSON, or of another shape is answered with an error and ends that connection, nothing else.
The secret is drawn for one session and ends with it.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import socket
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pglab.errors import RefereeError

LONGEST_LINE = 1 << 20  # bytes
DEEPEST = 50  # lists in lists; what reads an answer goes down into it, and Python's stack ends at about 900


class Channel:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message.

        Raises:
            RefereeError: it is too long, or no JSON can be made of it; OSError: the other end is gone.
        """
        try:
            line = json.dumps(message, allow_nan=False).encode() + b"\n"
        except (TypeError, ValueError) as error:
            raise RefereeError(
                f"This cannot be sent to the referee ({error})", "Answer with text, numbers, lists or dicts"
            ) from error
        if len(line) > LONGEST_LINE:
            raise RefereeError(f"The message is {len(line):,} bytes long, and {LONGEST_LINE:,} are allowed")
        self._socket.sendall(line)

    def receive(self) -> dict[str, Any] | None:
        """The next message, or None when the other end has closed.

        Raises:
            RefereeError: what came is too long or no JSON object; OSError: the connection broke or timed out.
        """
        # Not a file of the socket's: one of those is of no use any more after a time-out.
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > LONGEST_LINE:
                raise RefereeError("The message is too long")
            more = self._socket.recv(1 << 16)
            if not more:
                return None
            self._received += more
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RefereeError("The message is no JSON") from error
        if not isinstance(message, dict):
            raise RefereeError("The message is no JSON object")
        if line.count(b"[") + line.count(b"{") > DEEPEST and _deeper(message, DEEPEST):
            raise RefereeError(
                "The message is nested too deep", "Answer with lists or dicts that are flatter"
            )
        return message

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and dicts lie in each other more than so many levels deep."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _deeper(item, levels - 1) for item in inside if isinstance(item, dict | list))


def dial(path: Path, secret: str) -> Channel:
    """Connect to a referee and say hello.

    Raises:
        RefereeError: nobody answers there, or the secret is not (or no longer) good.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise RefereeError(
            f"The referee does not answer ({error.strerror})", "Restart the kernel and run the first cell"
        ) from error
    channel = Channel(connection)
    channel.send({"hello": secret})
    answer = channel.receive()
    if answer is None or "ok" not in answer:
        channel.close()
        raise RefereeError(
            "The referee does not know this session", "Restart the kernel and run the first cell"
        )
    return channel


def plain(value: Any) -> Any:
    """A value as JSON has it: rows become lists, dataclasses dicts, dates ISO text, decimals text.

    Both sides use it, so that a student's answer and the oracle's are compared in one form.

    Raises:
        RefereeError: it cannot be had as JSON.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case datetime.datetime() if value.tzinfo is not None:
            return value.astimezone(datetime.UTC).isoformat()
        case datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal() | uuid.UUID():
            return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    raise RefereeError(
        f"A {type(value).__name__} cannot be sent to the referee", "Answer with text, numbers, lists or dicts"
    )


def _run(functions: Mapping[str, Callable[..., Any]], message: dict[str, Any]) -> dict[str, Any]:
    """Run the student's function that the referee asked for; whatever it raises is its answer."""
    try:
        return {"id": message.get("id"), "result": plain(functions[message["call"]](*message["args"]))}
    except KeyboardInterrupt:
        return {"id": message.get("id"), "raised": "KeyboardInterrupt: interrupted"}
    except Exception as error:
        return {"id": message.get("id"), "raised": f"{type(error).__name__}: {error}"[:2000]}


def ask(
    channel: Channel,
    request: dict[str, Any],
    on_step: Callable[[str], None] = lambda step: None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """Send a request and wait for its answer; run the functions that the referee calls meanwhile.

    Raises:
        RefereeError: the referee refused, or is gone.
    """
    try:
        channel.send(request)
        while (message := channel.receive()) is not None:
            if "step" in message:
                on_step(str(message["step"]))
            elif "call" in message:
                channel.send(_run(functions or {}, message))
            elif "ok" in message:
                return message["ok"]
            else:
                raise RefereeError(str(message.get("error", message)), str(message.get("remedy", "")))
    except OSError as error:
        raise RefereeError("The referee is gone", "Restart the kernel and run the first cell") from error
    raise RefereeError("The referee is gone", "Restart the kernel and run the first cell")
