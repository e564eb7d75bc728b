"""How many times faster: broken and fixed run in turn, until the interval of the ratio leaves the target behind."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from grader.verdict import Target

CONFIDENCE = 0.99
MOST_PAIRS = 60


@dataclass(frozen=True)
class RatioEstimate:
    """The median of paired ratios with its confidence interval."""

    median: float
    low: float
    high: float
    pairs: int


def estimate(ratios: list[float], confidence: float = CONFIDENCE) -> RatioEstimate:
    """Median and its distribution-free interval: the order statistics whose binomial(n, 1/2) coverage is high enough.

    Source: the sign test's interval (Conover, Practical Nonparametric Statistics, 3.2). It assumes nothing about how
    noise is distributed, so one sample that another process slowed a hundredfold moves it by one place. Under eight
    pairs no interval reaches 99 %, and it is (0, ∞).
    """
    ordered = sorted(ratios)
    count = len(ordered)
    tail = (1 - confidence) / 2
    rank, below = -1, 0.0  # the largest rank k with P(Bin(n, 1/2) ≤ k) ≤ tail
    for k in range(count):
        below += math.comb(count, k) / 2**count
        if below > tail:
            break
        rank = k
    low, high = (ordered[rank], ordered[count - 1 - rank]) if rank >= 0 else (0.0, math.inf)
    return RatioEstimate(statistics.median(ordered) if ordered else math.nan, low, high, count)


def paired_ratio(
    name: str,
    broken: Callable[[int], float],
    fixed: Callable[[int], float],
    target: float,
    points: float,
    *,
    source: str,
    hint: str,
    budget_s: float = 30.0,
) -> Target:
    """Sample pairs in turn and judge the ratio broken / fixed against a target.

    Args:
        broken, fixed: run sample number i, return its milliseconds; target: the smallest ratio that passes;
        budget_s: seconds after which an undecided ratio is `error`, which is nobody's failure.
    """
    deadline = time.monotonic() + budget_s
    ratios: list[float] = []
    now = estimate(ratios)
    while len(ratios) < MOST_PAIRS:
        # Who goes first changes each time, so that neither side always inherits the other's caches.
        number = len(ratios)
        if number % 2:
            slow, fast = broken(number), fixed(number)
        else:
            fast, slow = fixed(number), broken(number)
        ratios.append(slow / max(fast, 1e-6))
        now = estimate(ratios)
        if now.low > target or now.high < target:
            break
        if time.monotonic() > deadline:
            break
    shown = f"{now.median:,.0f}×" if now.median >= 10 else f"{now.median:.2f}×"
    where = f"{source}, {now.pairs} pairs in turn, {CONFIDENCE:.0%} interval {_short(now.low)} to {_short(now.high)}"
    if now.low > target:
        return Target(name, "pass", shown, f"≥ {target:g}×", where, max_points=points)
    if now.high < target:
        return Target(name, "fail", shown, f"≥ {target:g}×", where, hint, points)
    return Target(
        name,
        "error",
        f"{shown}, undecided after {now.pairs} pairs",
        f"≥ {target:g}×",
        where,
        "the machine is too busy: check again",
        points,
    )


def _short(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
