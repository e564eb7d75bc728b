"""A verdict as data: what was measured, the target, where the number comes from, the next step."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["pass", "fail", "error"]

LONGEST_TEXT = 2000  # characters


@dataclass(frozen=True)
class Target:
    """One thing that a check asks for.

    Attributes:
        name: of the quantity, such as "blocks per request"; measured, target: as text for a person;
        source: where the number comes from; hint: the next step, shown on a fail;
        points: what it is worth; required: when it fails, the whole check earns nothing.
    """

    name: str
    status: Status
    measured: str
    target: str
    source: str
    hint: str = ""
    max_points: float = 0.0
    required: bool = False

    @property
    def points(self) -> float:
        """What it earned by itself."""
        return self.max_points if self.status == "pass" else 0.0


@dataclass(frozen=True)
class Verdict:
    """What the referee says of one check. An error is nobody's failure: it is never a score."""

    check: str
    part: str
    title: str
    max_points: float
    targets: list[Target] = field(default_factory=list)
    message: str = ""

    @property
    def status(self) -> Status:
        """pass when every target passes; error as soon as one could not be measured, unless a required one failed."""
        if any(target.required and target.status == "fail" for target in self.targets):
            return "fail"
        if not self.targets or any(target.status == "error" for target in self.targets):
            return "error"
        return "fail" if any(target.status == "fail" for target in self.targets) else "pass"

    @property
    def points(self) -> float:
        """Between 0 and max_points; partial credit is the sum of what passed."""
        if self.status == "error" or any(
            target.required and target.status != "pass" for target in self.targets
        ):
            return 0.0
        return min(self.max_points, float(sum(target.points for target in self.targets)))

    def as_dict(self) -> dict[str, Any]:
        """For the wire, the record and the notebook."""
        lost = self.status == "fail" and self.points == 0.0
        return {
            "check": self.check,
            "part": self.part,
            "title": self.title,
            "status": self.status,
            "points": self.points,
            "max_points": self.max_points,
            "message": harmless(self.message),
            "targets": [
                {
                    **{key: harmless(value) for key, value in asdict(target).items()},
                    "points": 0.0 if lost or self.status == "error" else target.points,
                }
                for target in self.targets
            ],
        }


def harmless(value: Any) -> Any:
    """Text that may be a student's (an answer, a table's name, an error of theirs): short, and without control characters
    and halves of characters, which no terminal or file takes well. Other values as they are."""
    if not isinstance(value, str):
        return value
    kept = value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if kept.isprintable():
        return kept
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "\N{REPLACEMENT CHARACTER}"
        for c in kept
    )


def could_not_measure(check: str, part: str, title: str, max_points: float, why: str) -> Verdict:
    """The verdict when the referee could not do its work: a dead server, no disk, a timeout."""
    return Verdict(check, part, title, max_points, [], f"could not measure: {why}")
