"""What measuring costs beside what is measured: a query of 1 ms alone and inside lab.measure, in turn, on one server.

The server has some hundred kinds of statements in its books, as after an hour in a lab: with their number grows what a
look at the counters costs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import psycopg

from bench._scratch import scratch_cluster
from grader.session import Session
from pglab import wire
from pglab.dataset import Dataset, seed
from pglab.lab import Lab
from pglab.measure import measure_each

LAB = "10-missing-index"
QUERY = b"SELECT sum(quantity) FROM (SELECT quantity FROM order_items LIMIT %s) AS first"
REQUESTS, ROUNDS = 200, 25
GOAL = "< 3 %"


def run() -> Iterator[tuple[str, float | str, str]]:
    """Rows of (name, value, goal)."""
    with scratch_cluster() as cluster:
        seed(cluster, Dataset.load("shop"), "tiny", lambda fraction, step: None)
        session = Session(cluster, "bench", graded=True)
        try:
            lab = Lab(cast(wire.Channel, None), session.start(LAB))  # nothing here is asked of a referee
            with lab.connect() as conn, cluster.primary.connect() as admin:
                _fill_the_books(admin, 300)
                _fill_the_books(conn, 60)
            yield from _overhead(lab)
        finally:
            session.close()


def _overhead(lab: Lab) -> Iterator[tuple[str, float | str, str]]:
    rows = 5_000
    for _ in range(3):  # tuned until the server itself takes 1 ms for it
        rows = round(rows / lab.measure(_request, [rows] * REQUESTS).exec_ms * REQUESTS)
    alone: list[float] = []
    inside: list[float] = []
    turns: list[float] = []
    measured: list[float] = []
    once: list[float] = []
    for _ in range(ROUNDS):
        with lab.connect() as conn:  # as lab.measure does, and as it does, one request to warm up
            _request(conn, rows)
            times = [_timed(lambda: _request(conn, rows)) for _ in range(REQUESTS)]
            measured.append(
                _timed(lambda: measure_each(conn, lambda n: _request(conn, n), [rows] * REQUESTS))
            )
        alone += times
        turns.append(sum(times))
        inside += lab.measure(_request, [rows] * REQUESTS).elapsed_ms
        once.append(_timed(lambda: lab.measure(_request, [rows])))
    one_ms = _quiet(alone)
    looks = f"measure: {REQUESTS} of them and both looks at the counters ÷ alone"
    yield "measure: a query of 1 ms at the server, alone, ms", one_ms, ""
    yield "measure: the same as lab.measure times it ÷ alone", f"{_quiet(inside) / one_ms - 1:+.1%}", GOAL
    yield looks, f"{_quiet(measured) / _quiet(turns) - 1:+.1%}", GOAL
    yield "measure: what a measurement costs once: connection, looks, ms", _quiet(once) - 2 * one_ms, ""


def _quiet(times: list[float]) -> float:
    """The first quartile: what else the machine does is not what is measured here."""
    return statistics.quantiles(times, n=4)[0]


def _request(conn: psycopg.Connection[Any], rows: int) -> None:
    conn.execute(QUERY, [rows]).fetchall()


def _timed(call: Callable[[], object]) -> float:
    """ms."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _fill_the_books(conn: psycopg.Connection[Any], kinds: int) -> None:
    """So many kinds of statements: constants of another type make another entry in pg_stat_statements."""
    for number in range(kinds):
        columns = ("1" if number >> bit & 1 else "''" for bit in range(kinds.bit_length()))
        conn.execute(f"SELECT {', '.join(columns)}".encode())
