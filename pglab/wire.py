"""How a kernel and its referee talk: one JSON object a line, over a Unix socket.

    kernel → referee   {"hello": SECRET}                            first line of every connection
    kernel → referee   {"do": "start", "lab": "10-missing-index"}   then one request after the other
                       {"do": "check", "check": "fix", "answer": …}
                       {"do": "reset"}
    referee → kernel   {"step": "cloning the database"}             any number, while it works
    referee → kernel   {"ok": …}                                    the answer, or
                       {"error": "one sentence", "remedy": "…"}

A line that is too long, no JSON, or of another shape is answered with an error and ends that connection, nothing else.
The secret is drawn for one session and ends with it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pglab.errors import RefereeError

LONGEST_LINE = 1 << 20  # bytes


class Channel:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = connection.makefile("rb")

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
            RefereeError: what came is too long or no JSON object; OSError: the connection broke.
        """
        line = self._reader.readline(LONGEST_LINE + 1)
        if not line:
            return None
        if len(line) > LONGEST_LINE:
            raise RefereeError("The message is too long")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RefereeError("The message is no JSON") from error
        if not isinstance(message, dict):
            raise RefereeError("The message is no JSON object")
        return message

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self._socket.close()


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


def ask(channel: Channel, request: dict[str, Any], on_step: Callable[[str], None] = lambda step: None) -> Any:
    """Send a request and wait for its answer.

    Raises:
        RefereeError: the referee refused, or is gone.
    """
    try:
        channel.send(request)
        while (message := channel.receive()) is not None:
            if "step" in message:
                on_step(str(message["step"]))
            elif "ok" in message:
                return message["ok"]
            else:
                raise RefereeError(str(message.get("error", message)), str(message.get("remedy", "")))
    except OSError as error:
        raise RefereeError("The referee is gone", "Restart the kernel and run the first cell") from error
    raise RefereeError("The referee is gone", "Restart the kernel and run the first cell")
