"""The shop on two nodes: its statements, and an application that asks a router where each of them goes."""

from __future__ import annotations

import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import psycopg

PROFILE = "SELECT phone FROM users WHERE id = %s"
PRODUCT = "SELECT name FROM products WHERE id = %s"
CHANGE = "UPDATE users SET phone = %s WHERE id = %s"

WRITTEN = "SELECT pg_current_wal_lsn()::text"  # on the primary: how far it has written
REPLAYED = "SELECT pg_last_wal_replay_lsn()::text"  # on the replica: how far it shows the primary's data
NEWEST_AGE_MS = (  # on the replica: how old the newest commit is that it shows
    "SELECT 1000 * extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float"
)

MOST_BEHIND_S = 2.0  # a replica that is further behind is out of service until it has caught up

Connection = psycopg.Connection[Any]


def is_read(statement: str) -> bool:
    """Whether a statement of the shop's only reads."""
    return statement.lstrip()[:6].upper() == "SELECT"


def as_number(lsn: str) -> int:
    """A position such as "0/3000148" as a number of bytes."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def some_phone() -> str:
    """Another number each time: a value that is there already could not be told from a new one."""
    return f"+49 30 {time.time_ns() // 1000 % 10**7:07}"


class Router(Protocol):
    """What decides which node gets a statement."""

    def route(self, session: str, statement: str, replica_lsn: str | None) -> str:
        """ "primary" or "replica". replica_lsn: how far the replica is now; None: it is out of service."""

    def wrote(self, session: str, lsn: str) -> None:
        """The session has committed a write, and the primary was at that position right after it."""


class ReadsToTheReplica:
    """The router on the evening of the incident."""

    def route(self, session: str, statement: str, replica_lsn: str | None) -> str:
        return "replica" if is_read(statement) else "primary"

    def wrote(self, session: str, lsn: str) -> None:
        pass


@dataclass(frozen=True)
class Write:
    """A write that was committed. at: seconds of time.time(); lsn: of the primary, right after it."""

    session: str
    user_id: int
    phone: str
    lsn: str
    at: float


@dataclass(frozen=True)
class Read:
    """A read, and what should have come back.

    Attributes:
        key: id of the user or product; told: the replica's position that route() was told; last: the session's last
        write before it, if any; at: seconds of time.time(); found: what came back; failed: why nothing did.
    """

    session: str
    key: int
    statement: str
    node: str
    told: str | None
    last: Write | None
    at: float
    found: str | None = None
    failed: str = ""

    @property
    def age_ms(self) -> float | None:
        """Since the session's last write."""
        return None if self.last is None else (self.at - self.last.at) * 1000

    @property
    def stale(self) -> bool:
        """Whether the session was given an older value than it had written."""
        return (
            self.last is not None
            and not self.failed
            and self.statement == PROFILE
            and self.found != self.last.phone
        )

    @property
    def free(self) -> bool:
        """Whether the replica could have answered: it was in service and had the session's last write, if any."""
        return self.told is not None and (
            self.last is None or as_number(self.told) >= as_number(self.last.lsn)
        )


@dataclass
class Shop:
    """The application. Each session is one user's; the router says where its statements go.

    Attributes:
        replica: None while it is out of service; router_ms: how long each call of the router took;
        refused: the writes that were sent to the replica.
    """

    primary: Connection
    replica: Connection | None
    router: Router
    reads: list[Read] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    router_ms: list[float] = field(default_factory=list)
    _last: dict[str, Write] = field(default_factory=dict)
    _unseen: deque[Write] = field(default_factory=deque)  # committed, and not on the replica yet

    def read(self, session: str, key: int, statement: str = PROFILE) -> None:
        """Read a user's phone number, or a product's name, on the node that the router names."""
        told, last = self.replica_lsn(), self._last.get(session)
        node = self._timed(lambda: self.router.route(session, statement, told))
        at, found, failed = time.time(), None, ""
        conn = self.primary if node == "primary" else self.replica
        if conn is None:
            failed = "the replica was stopped"
        else:
            row = conn.execute(statement.encode(), [key]).fetchone()
            found = None if row is None or row[0] is None else str(row[0])
        self.reads.append(Read(session, key, statement, node, told, last, at, found, failed))

    def change(self, session: str, user_id: int, phone: str) -> None:
        """Change the user's phone number, and tell the router."""
        told = self.replica_lsn()
        node = self._timed(lambda: self.router.route(session, CHANGE, told))
        conn = self.primary if node == "primary" else self.replica
        try:
            if conn is None:
                raise psycopg.errors.ReadOnlySqlTransaction("the replica was stopped")
            conn.execute(CHANGE, [phone, user_id])
        except psycopg.errors.ReadOnlySqlTransaction as error:
            self.refused.append(f"{session}: {error}")
            return
        at = time.time()
        row = self.primary.execute(WRITTEN).fetchone()
        assert row is not None
        write = Write(session, user_id, phone, str(row[0]), at)
        self.writes.append(write)
        self._unseen.append(write)
        self._last[session] = write
        self._timed(lambda: self.router.wrote(session, write.lsn))

    def replica_lsn(self) -> str | None:
        """How far the replica is; None while it is stopped, or too far behind to be used."""
        if self.replica is None:
            return None
        row = self.replica.execute(REPLAYED).fetchone()
        assert row is not None
        lsn = str(row[0])
        while self._unseen and as_number(self._unseen[0].lsn) <= as_number(lsn):
            self._unseen.popleft()
        too_late = time.time() - MOST_BEHIND_S
        return None if self._unseen and self._unseen[0].at < too_late else lsn

    def _timed(self, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        answer = call()
        self.router_ms.append((time.perf_counter() - began) * 1000)
        return answer


class Agenda:
    """What is to be done when. An entry may add more."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._entries: list[tuple[float, int, partial[Any]]] = []
        self._added = 0

    def now(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._began

    def add(self, due_s: float, action: Callable[..., Any], *arguments: Any) -> None:
        """Do it at due_s, or as soon as what came before is done."""
        self._added += 1
        heapq.heappush(self._entries, (due_s, self._added, partial(action, *arguments)))

    def run(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Do all of it, unless it is enough earlier."""
        while self._entries and not enough():
            due_s, _, action = heapq.heappop(self._entries)
            time.sleep(max(due_s - self.now(), 0))
            action()


class Evening(Agenda):
    """Sessions that come and go in a shop. Times are in seconds; each session is of a user of its own."""

    def __init__(self, shop: Shop, rng: random.Random, users: Sequence[int]) -> None:
        super().__init__()
        self.shop, self.rng, self._users = shop, rng, list(users)

    def session(self) -> tuple[str, int]:
        """A new session and its user."""
        return f"s{self.rng.randrange(16**6):06x}", self._users.pop()

    def visitors(self, sessions: int, reads: int, begin: float, end: float) -> None:
        """Sessions that never write. They look at profiles, and one time in ten at a product."""
        who = [self.session() for _ in range(sessions)]
        for _ in range(reads):
            session, user = self.rng.choice(who)
            asked = (user % 200 + 1, PRODUCT) if self.rng.random() < 0.1 else (user, PROFILE)
            self.add(self.rng.uniform(begin, end), self.shop.read, session, *asked)

    def write(self, who: tuple[str, int], reads_after: Sequence[float]) -> None:
        """Now: the session writes, is shown its profile at once, and reads again at these times after its write."""
        self.shop.change(*who, some_phone())
        written = self.now()
        for wait in reads_after:
            self.add(written + wait, self.shop.read, *who)
        self.shop.read(*who)

    def soon(self, lag: float, count: int) -> list[float]:
        """Times for write(): after 100 ms, some before the replica has it, and one a little later."""
        return [0.1, *(self.rng.uniform(0, lag) for _ in range(count)), lag * 1.2]


def visits(shop: Shop, users: Sequence[int], seconds: float = 2.0) -> Shop:
    """A short evening: one session in four writes once and looks again, the others only look."""
    evening = Evening(shop, random.Random(), users)
    writers = len(users) // 4
    for _ in range(writers):
        after = [0.1, *(evening.rng.uniform(0, seconds / 2) for _ in range(4))]
        evening.add(evening.rng.uniform(0, seconds / 2), evening.write, evening.session(), after)
    evening.visitors(len(users) - writers, 360, 0, seconds)
    evening.run()
    return shop


def ask(conn: Connection, query: str, *parameters: Any) -> Any:
    """The first value of a query's first row."""
    row = conn.execute(query.encode(), parameters).fetchone()
    return None if row is None else row[0]


def watch_lag(
    primary: Connection, replica: Connection, user_id: int, seconds: float = 3.0
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Write every 100 ms for two thirds of the time, then no more, and look at both nodes all the while.

    Returns:
        (seconds, bytes of WAL not replayed yet) and (seconds, age in ms of the newest commit that the replica shows).
    """
    behind: list[tuple[float, float]] = []
    age: list[tuple[float, float]] = []
    warm_up = 1.0  # the first write to a block after a checkpoint puts all of the block into the WAL
    began, due = time.monotonic() + warm_up, -warm_up
    while (now := time.monotonic() - began) < seconds:
        if due <= now < seconds * 2 / 3:
            primary.execute(CHANGE, [some_phone(), user_id])
            due = now + 0.1
        if now >= 0:
            bytes_behind = as_number(ask(primary, WRITTEN)) - as_number(ask(replica, REPLAYED))
            behind.append((now, max(bytes_behind, 0)))
            age.append((now, ask(replica, NEWEST_AGE_MS)))
        time.sleep(0.01)
    return behind, age
