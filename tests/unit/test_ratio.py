"""The interval and the decisions of paired ratios, on samples made up so that the truth is known."""

from __future__ import annotations

import math
import random

import pytest

from grader.checks.ratio import estimate, paired_ratio


def judge(
    slow: float, fast: float, target: float = 100.0, noise: float = 0.0, seed: int = 1, budget_s: float = 5.0
):  # type: ignore[no-untyped-def]
    rng = random.Random(seed)

    def sample(mean: float) -> float:
        # A sample is often a little and sometimes hugely slower than the mean, never faster: that is how load looks.
        return mean * (1 + rng.random() * noise + (50 if noise and rng.random() < 0.05 else 0))

    return paired_ratio(
        "r",
        lambda _: sample(slow),
        lambda _: sample(fast),
        target,
        2,
        source="test",
        hint="h",
        budget_s=budget_s,
    )


def test_interval_needs_eight_pairs_for_99_percent() -> None:
    assert estimate([5.0] * 7).high == math.inf
    few = estimate([float(n) for n in range(8)])
    assert (few.low, few.high) == (0.0, 7.0)  # coverage 1 - 2 / 2**8 = 99.2 %


def test_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = random.Random(7)
    missed = 0
    for _ in range(2000):
        found = estimate([rng.lognormvariate(0, 1) for _ in range(20)])
        missed += not found.low <= 1.0 <= found.high
    assert missed / 2000 <= 0.015


@pytest.mark.parametrize("seed", range(20))
def test_noise_flips_neither_a_right_nor_a_wrong_fix(seed: int) -> None:
    assert judge(160, 0.4, noise=1.0, seed=seed).status == "pass"
    assert judge(160, 160, noise=1.0, seed=seed).status == "fail"


def test_undecided_is_an_error_and_never_a_fail() -> None:
    undecided = judge(100, 1, noise=2.0, budget_s=0.0)
    assert undecided.status == "error"
    assert undecided.points == 0


def test_target_of_a_pass_shows_its_evidence() -> None:
    good = judge(160, 0.1)
    assert good.measured == "1,600×"
    assert "8 pairs" in good.source and "99%" in good.source
