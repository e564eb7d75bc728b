"""Connections that are used again: a check looks at the server a dozen times, and each new one costs both sides 5 ms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

Connection = psycopg.Connection[Any]


class Kept:
    """Connections by name, kept while a block of keeping() runs. A connection is lent to one user at a time."""

    def __init__(self) -> None:
        self._free: dict[str, list[Connection]] = {}
        self._keeping = False

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep what is given back until the end of the block."""
        self._keeping = True
        try:
            yield
        finally:
            self._keeping = False
            self.close()

    @contextmanager
    def lend(self, name: str, connect: Callable[[], Connection]) -> Iterator[Connection]:
        """The connection of that name, or a new one; closed at the end unless it is kept."""
        free = self._free.setdefault(name, [])
        connection = free.pop() if free else connect()
        try:
            yield connection
        finally:
            idle = not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE
            if self._keeping and idle:
                free.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """End those that nobody uses."""
        for free in self._free.values():
            while free:
                free.pop().close()
