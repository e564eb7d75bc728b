"""What the server did for a query: EXPLAIN (ANALYZE, BUFFERS) under the judge's role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from grader.verdict import Target
from pglab.plan import Plan

# The planner as it was without the index: every way to use one is off. Only for the broken side of a ratio.
WITHOUT_INDEXES = {"enable_indexscan": "off", "enable_indexonlyscan": "off", "enable_bitmapscan": "off"}


def explain(judge: psycopg.Connection[Any], query: str, parameters: Sequence[Any]) -> Plan:
    """Run the query under EXPLAIN (ANALYZE, BUFFERS) and return its plan. The query must only read."""
    row = judge.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode(), parameters).fetchone()
    assert row is not None
    return Plan.from_explain(row[0])


def blocks_per_request(plans: Sequence[Plan], table: str, most: int, points: float, hint: str) -> Target:
    """Each plan reads at most `most` blocks of 8 kB, and none reads the table from end to end."""
    worst = max(plan.shared_blks for plan in plans)
    scans = [node for plan in plans for node in plan.seq_scans(table)]
    good = worst <= most and not scans
    measured = f"{worst:,}" + (f" with a {scans[0].node_type} of {table}" if scans else "")
    return Target(
        "blocks per request", "pass" if good else "fail", measured, f"≤ {most} and no Seq Scan of {table}",
        "EXPLAIN (ANALYZE, BUFFERS)" + (f", {len(plans)} requests, the worst" if len(plans) > 1 else ""), "" if good else hint, points,
    )  # fmt: skip


def others_unharmed(before: dict[str, int], after: dict[str, int], points: float) -> Target:
    """Other queries read no more blocks than before: at most twice as many and ten more.

    Args:
        before, after: query's name → blocks of 8 kB.
    """
    worse = [
        f"{name}: {before[name]:,} → {after[name]:,} blocks"
        for name in before
        if after[name] > 2 * before[name] + 10
    ]
    return Target(
        "other queries that became slower", "fail" if worse else "pass", "; ".join(worse) or "none", "none",
        f"EXPLAIN (ANALYZE, BUFFERS), {len(before)} queries", "which index did they use?" if worse else "", points,
    )  # fmt: skip
