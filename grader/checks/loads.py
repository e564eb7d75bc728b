"""Loads as evidence: what was lost of one, and how one went beside its baseline in the same seconds."""

from __future__ import annotations

from dataclasses import dataclass

from grader.verdict import Status, Target
from pglab.load import LoadResult

FAR = 2.0  # × a target


def lost(result: LoadResult) -> int:
    """Requests that failed, or that nobody had answered some seconds after the end."""
    return result.failed + result.dropped + result.unfinished


def said(result: LoadResult, most: int = 10) -> str:
    """How many were lost, and the words of the server or the pooler for it; at most so many different ones."""
    errors = "".join(f"; {count:,} × {text}" for text, count in [*result.errors.items()][:most])
    waited = f"; {result.unfinished:,} still waited 5 s after the end" if result.unfinished else ""
    return f"{lost(result):,} of {result.sent:,}{errors}{waited}"


def nothing_lost(
    name: str, result: LoadResult | None, source: str, hint: str, points: float = 0.0, *,
    after: str, untried: Status = "fail", served: bool = False,
) -> Target:  # fmt: skip
    """No request of a load was lost; required.

    Args:
        result: None when it was not tried, because of what stands in `after`; then the status is `untried`.
        served: say how many were answered in a second.
    """
    if result is None:
        return Target(
            name, untried, "not tried", "0", f"comes after {after}", max_points=points, required=True
        )
    good = not lost(result) and result.requests > 0
    measured = said(result)
    if good and served:
        measured += f", {result.tps:,.0f} per second"
    return Target(
        name, "pass" if good else "fail", measured, "0", source, "" if good else hint, points, required=True
    )


@dataclass(frozen=True)
class SideBySide:
    """A load that was tried, and a baseline that had the same requests in the same seconds.

    Attributes:
        least_share: of the baseline's throughput; most_slower: × its p99; baseline_ms: where the baseline's own p99 is
        above that, the machine was too slow to say anything.
    """

    tried: LoadResult
    base: LoadResult
    least_share: float
    most_slower: float
    baseline_ms: float

    @property
    def share(self) -> float:
        """The throughput over the baseline's."""
        return self.tried.tps / max(self.base.tps, 1e-9)

    @property
    def slower(self) -> float:
        """The p99 over the baseline's."""
        return self.tried.p99_ms / self.base.p99_ms if self.tried.requests and self.base.requests else float("inf")  # fmt: skip

    @property
    def clear(self) -> bool:
        """Whether it says something: the baseline went well meanwhile, or requests were lost, which are counted."""
        return not lost(self.base) and (lost(self.tried) > 0 or self.base.p99_ms <= self.baseline_ms)

    @property
    def good(self) -> bool:
        """Nothing lost, and as quick as the baseline."""
        quick = self.share >= self.least_share and self.slower <= self.most_slower
        return self.clear and not lost(self.tried) and quick

    @property
    def missed(self) -> bool:
        """Missed by so much that no hiccup of the machine explains it. What is neither this nor good is tried again."""
        far = self.share < self.least_share / FAR or self.slower > self.most_slower * FAR
        return self.clear and (lost(self.tried) > 0 or far)

    def targets(self, whose: str, baseline: str, hint: str) -> list[Target]:
        """Three of a point each, all required.

        Args:
            whose: requests, such as "the fleet"; baseline: what it is; hint: the next step when it did not go well.
        """
        tried, base = self.tried, self.base

        def target(name: str, good: bool, measured: str, wanted: str, source: str) -> Target:
            status: Status = "pass" if good else "fail" if self.clear else "error"
            unclear = "the baseline was too slow to compare with: check again"
            next_step = "" if good else hint if self.clear else unclear
            return Target(name, status, measured, wanted, source, next_step, 1, required=True)

        return [
            target(f"requests of {whose} that were lost", not lost(tried), said(tried, 2), "0", f"{tried.sent:,} requests in {tried.seconds:.1f} s"),
            target("throughput, of the direct baseline's", self.share >= self.least_share, f"{self.share:.0%}", f"≥ {self.least_share:.0%}",
                   f"{tried.tps:,.0f} and {base.tps:,.0f} per second, in the same seconds; baseline: {baseline}"),
            target("p99, of the direct baseline's", self.slower <= self.most_slower, f"{self.slower:,.1f}×", f"≤ {self.most_slower:g}×",
                   f"{tried.p99_ms:,.0f} ms and {base.p99_ms:,.0f} ms, in the same seconds"),
        ]  # fmt: skip
