"""What a verdict costs beside the workload that it judges, for lab 10, in one run on one database."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import psycopg

from bench._scratch import scratch_cluster
from grader.session import Session
from pglab.dataset import Dataset, seed

LAB = "10-missing-index"
GOAL = "≤ 3"


def run() -> Iterator[tuple[str, float | str, str]]:
    """Seconds of the check `fix` over seconds of the lab's twenty requests, in the broken database."""
    scale = os.environ.get("PGLAB_BENCH_SCALE", "full")
    with scratch_cluster() as cluster:
        seed(cluster, Dataset.load("shop"), scale, lambda fraction, step: None)
        session = Session(cluster, "bench", graded=True)
        try:
            opened = session.start(LAB)
            assert session.db
            request = session.db.spec.workload().order_page
            orders = opened["params"]["requests"]
            with psycopg.connect(**opened["conninfo"], autocommit=True) as student:
                for order in orders[:2]:
                    request(student, order)  # warm
                began = time.perf_counter()
                for order in orders:
                    request(student, order)
                bare = time.perf_counter() - began
            yield f"lab 10, {len(orders)} requests, broken, scale {scale}", f"{bare:.2f} s", ""
            for state in ("broken", "solved"):
                for check in ("fix", "safe"):
                    began = time.perf_counter()
                    verdict = session.check(check, None)
                    took = time.perf_counter() - began
                    yield (
                        f"lab 10, verdict on {check}, {state} ({verdict['status']}) ÷ bare workload",
                        took / bare,
                        GOAL,
                    )
                if state == "broken":
                    with psycopg.connect(**opened["conninfo"], autocommit=True) as student:
                        student.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
        finally:
            session.close()
