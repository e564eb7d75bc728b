"""The fleet: services that each keep a pool of connections, and what a request does with one.

    fleet = Fleet(lab.conninfo, services=50, pool=20, rate=60, hold_ms=130)
    result = fleet.drive(seconds=6)

Times in ms where the name says so, else in seconds; rates are requests per second.
"""

from __future__ import annotations

import asyncio
import math
import random
import resource
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg

from pglab import load, show
from pglab.cluster import process
from pglab.errors import PglabError
from pglab.lab import Lab
from pglab.show.live import activity, live

OnProgress = Callable[[load.Snapshot], None]

ORDER = "SELECT id, user_id, status, total_cents FROM orders WHERE id = %s"
ITEMS = "SELECT id, product_id, quantity, price_cents FROM order_items WHERE order_id = %s"
BUSIEST = 0.25  # the share of all requests that goes to the first service; the others share the rest evenly
CROWD = 8_000  # clients at the launch
CROWD_SCRIPT = (
    f"\\set id random(1, 20000)\n{ORDER.replace('%s', ':id')};\n"  # what each of them asks, for pgbench
)
LAST_ORDER = 20_000  # the dataset has more than that at every scale
WAIT_S = 30.0  # how long a request waits for a connection of its service's pool
SPARE_FILES = 300  # of a process that has thousands of clients, for all else
AT_ONCE = 10  # how many connections a pool opens at the same time
START_S = 20.0  # a deployment that takes longer goes on without the services that are not up yet
RETRY_S = 1.0  # a pool that was refused connections asks for them again after that


def most_clients() -> int:
    """How many clients this machine can have at a time: the launch's, or as many as its limit on open files allows."""
    process.raise_open_files()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(CROWD, max(limit - SPARE_FILES, 50)) if limit != resource.RLIM_INFINITY else CROWD


class Service:
    """One service with a pool of `size` connections. It opens them all when it starts, as most pools do, and keeps them."""

    def __init__(self, name: str, arguments: Mapping[str, Any], size: int) -> None:
        self.name, self.size = name, size
        self._arguments = {**arguments, "application_name": name}
        self._free: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()
        self._open: set[psycopg.AsyncConnection[Any]] = set()
        self._opening = asyncio.Lock()
        self._tried = -math.inf
        self._refusal: BaseException | None = None

    async def fill(self) -> None:
        """Open what is missing. What the server answers to the last of those that it refuses is kept for whoever asks."""
        self._tried = time.monotonic()
        at_once = 1 if self._refusal else AT_ONCE  # once refused, it asks with one
        while missing := min(self.size - len(self._open), at_once):
            opened = await asyncio.gather(*(self._add() for _ in range(missing)), return_exceptions=True)
            refused = [error for error in opened if isinstance(error, BaseException)]
            self._refusal = refused[-1] if refused else None
            if refused:
                break
            at_once = AT_ONCE

    async def _add(self) -> None:
        conn = await psycopg.AsyncConnection.connect(**self._arguments)
        self._open.add(conn)
        self._free.put_nowait(conn)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Lend a connection. A pool that could open none fails its requests with the server's own words."""
        if self._free.empty() and len(self._open) < self.size:
            async with self._opening:
                if time.monotonic() - self._tried > RETRY_S:
                    await self.fill()
        if not self._open and self._refusal is not None:
            raise self._refusal
        conn = await asyncio.wait_for(self._free.get(), WAIT_S)
        try:
            yield conn
        finally:
            if conn.closed:
                self._open.discard(conn)
            else:
                self._free.put_nowait(conn)

    async def stop(self) -> None:
        """Close the pool."""
        await asyncio.gather(*(conn.close() for conn in self._open), return_exceptions=True)


class Fleet:
    """All services together. Given to a load as `connect`, it lends a connection of the service that a request goes to."""

    def __init__(
        self, conninfo: Mapping[str, Any], *, services: int, pool: int, rate: float, hold_ms: float, seed: int = 1,
        name: str = "service",
    ) -> None:  # fmt: skip
        """Args: pool: connections of each service; rate: requests a second of the whole fleet; hold_ms: how long the
        application works on an answer inside a request's transaction, on average."""
        # No prepared statements: which of PgBouncer's modes and versions carry them is another lab's story.
        self._arguments = {"connect_timeout": 10, **conninfo, "autocommit": True, "prepare_threshold": None}
        self._name, self._count, self._pool = name, services, pool
        self._rate, self._hold_ms, self._random, self._seed = rate, hold_ms, random.Random(seed), seed
        self.services: list[Service] = []

    async def __aenter__(self) -> Self:
        process.raise_open_files()  # each connection is one
        self.services = [
            Service(f"{self._name} {number:02}", self._arguments, self._pool)
            for number in range(1, self._count + 1)
        ]
        deadline = time.monotonic() + START_S
        for service in self.services:  # one after the other, as a deployment goes
            if time.monotonic() < deadline:
                await service.fill()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(service.stop() for service in self.services))

    def __call__(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        first, *others = self.services
        chosen = first if not others or self._random.random() < BUSIEST else self._random.choice(others)
        return chosen.connection()

    async def request(self, conn: psycopg.AsyncConnection[Any]) -> None:
        """One transaction: read an order, work on it, read its items."""
        order = self._random.randrange(1, LAST_ORDER)
        async with conn.transaction():
            await conn.execute(ORDER, [order])
            await asyncio.sleep(self._hold_ms / 1000 * self._random.uniform(0.5, 1.5))
            await conn.execute(ITEMS, [order])

    def drive(self, seconds: float, on_progress: OnProgress | None = None) -> load.LoadResult:
        """Start the services, send requests for so many seconds, and stop the services."""
        return load.open_loop(self.request, connect=self, on_progress=on_progress, **self._plan(seconds))

    def look(self, seconds: float, ask: Callable[[], Any]) -> list[Any]:
        """Drive the fleet, and ask something twice a second meanwhile. Returns the answers."""
        ask()  # a question needs a connection too: there is one now
        looks: list[Any] = []
        self.drive(seconds, lambda _: looks.append(ask()))
        return looks[:-1]  # the last one came when all was over

    async def send(self, seconds: float) -> load.LoadResult:
        """The requests alone, when the services have been started with `async with fleet`."""
        return await load.open_loop_async(self.request, connect=self.__call__, **self._plan(seconds))

    def _plan(self, seconds: float) -> dict[str, Any]:
        return {
            "clients": 1000,
            "rate": self._rate,
            "seconds": seconds,
            "seed": self._seed,
            "per_request": True,
        }


@dataclass
class Tried:
    """What a configuration did on this machine; None where it did not come to that."""

    fleet: load.LoadResult | None = None
    crowd: load.LoadResult | None = None
    servers: dict[str, int] = field(
        default_factory=lambda: {"fleet": 0, "crowd": 0}
    )  # most connections at the primary


def try_out(lab: Lab, ini: str, service_pool: int) -> Tried:
    """Start a PgBouncer of your own with that text, and send the fleet through it, and then the crowd of the launch."""
    tried = Tried()

    def count(whose: str) -> None:
        now = lab.rows(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name SIMILAR TO '(service|pgbench)%'"
        )
        tried.servers[whose] = max(tried.servers[whose], now[0]["count"])

    try:
        with lab.pooler(ini) as pooler:
            fleet = Fleet(lab.through(pooler), pool=service_pool, **lab.params["fleet"])
            states = activity(lab.connect, lab.conninfo["dbname"])
            with live(states, pools=pooler.connections, title="With your PgBouncer") as view:

                def follow(snapshot: load.Snapshot) -> None:
                    view(snapshot)
                    count("fleet")

                tried.fleet = fleet.drive(2.5, follow)
            print("the fleet:", tried.fleet)
            if tried.fleet.requests:
                tried.crowd = load.pgbench(
                    lab.through(pooler), CROWD_SCRIPT, clients=most_clients(), seconds=1, on_progress=lambda _: count("crowd")
                )  # fmt: skip
                print("the crowd:", tried.crowd)
    except PglabError as error:
        print(error)
    return tried


def before_and_after(outage: load.LoadResult, tried: Tried) -> show.Timeline:
    """The fleet without and with the pooler, second by second."""
    runs = {"after": tried.fleet, "before": outage}  # in the order of the colours: after is blue everywhere
    series = {name: run.series if run else [] for name, run in runs.items()}
    charts = {
        title: {name: [(row["second"] + 1, row[column]) for row in rows] for name, rows in series.items()}
        for title, column in (
            ("failed requests per second", "failed_per_s"),
            ("requests answered per second", "tps"),
        )
    }
    return show.timeline(charts, "The fleet, without and with your PgBouncer")


def as_told(
    outage: load.LoadResult, direct: int, services: int, service_pool: int, tried: Tried
) -> show.Table:
    """The story's table with this machine's figures beside it. direct: connections that the fleet had in the incident."""
    runs = (outage, tried.fleet, tried.crowd)
    failed = [f"{100 * (run.sent - run.requests) / run.sent:.2f} %" if run else "" for run in runs]
    p99 = [f"{run.p99_ms:,.0f} ms" if run and run.requests else "" for run in runs]
    most = [f"{servers:,}" for servers in tried.servers.values()]
    rows = [
        ["clients", "", "", f"{services * 20:,}", f"{services * service_pool:,}", f"{most_clients():,}"],
        ["server connections", "8,147", "50", f"{direct:,}", *most],
        ["requests that failed", "3.2 %", "0.01 %", *failed],
        ["p99 of the others", "4,200 ms", "85 ms", *p99],
    ]
    return show.table(
        [[name, *map(show.Figure, figures)] for name, *figures in rows],
        ["", "told, before", "told, after", "here, direct", "here, fleet", "here, crowd"],
    )
