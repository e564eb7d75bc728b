"""A lab as its folder says: lab.toml, break.sql, judge.py."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pglab.errors import LabError
from pglab.home import course_root

PARTS = ("diagnose", "fix", "safe", "explain")


@dataclass(frozen=True)
class CheckSpec:
    """One graded cell: who judges it and for how many points. timed: in class one runs at a time on a machine."""

    name: str
    part: str
    title: str
    points: float
    hints: tuple[str, ...] = ()
    manual: bool = False
    timed: bool = False


@dataclass(frozen=True)
class Spec:
    """A lab's public facts, and where its hidden ones are."""

    id: str
    folder: Path
    title: str
    incident: str
    module: int
    order: int
    minutes: int
    dataset: str
    topology: tuple[str, ...]
    source: str
    checks: dict[str, CheckSpec]
    raw: dict[str, Any] = field(repr=False)

    @classmethod
    def load(cls, lab: str, root: Path | None = None) -> Spec:
        """Read solutions/<lab>/lab.toml.

        Raises:
            LabError: there is no such lab, or its lab.toml is not whole.
        """
        home = (root or course_root()) / "solutions"
        folder = home / lab
        if "/" in lab or not (folder / "lab.toml").is_file():
            known = ", ".join(sorted(path.parent.name for path in home.glob("*/lab.toml")))
            raise LabError(f"There is no lab {lab!r}", f"The labs are: {known or 'none'}")
        try:
            raw = tomllib.loads((folder / "lab.toml").read_text())
            checks = [
                CheckSpec(
                    c["name"],
                    c["part"],
                    c["title"],
                    float(c["points"]),
                    tuple(c.get("hints", ())),
                    c.get("manual", False),
                    c.get("timed", False),
                )
                for c in raw["check"]
            ]
            spec = cls(
                id=lab, folder=folder, title=raw["title"], incident=raw["incident"], module=raw["module"],
                order=raw["order"], minutes=raw["minutes"], dataset=raw["dataset"], topology=tuple(raw["topology"]),
                source=raw["source"], checks={check.name: check for check in checks}, raw=raw,
            )  # fmt: skip
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            raise LabError(
                f"solutions/{lab}/lab.toml is not whole ({type(error).__name__}: {error})"
            ) from error
        if len(checks) != len(spec.checks):
            raise LabError(f"solutions/{lab}/lab.toml names a check twice")
        for check in checks:
            if check.points <= 0 or check.part not in PARTS:
                raise LabError(
                    f"solutions/{lab}/lab.toml: check {check.name!r} needs points above 0 and a part of {', '.join(PARTS)}"
                )
        return spec

    @property
    def scale(self) -> str:
        """The dataset's scale that the lab insists on; empty for that of the course."""
        return str(self.raw.get("scale", ""))

    @property
    def number(self) -> str:
        """The lab's permanent id, such as "10"."""
        return self.id.split("-", 1)[0]

    def judge(self) -> ModuleType:
        """The lab's judge.py, loaded fresh: what prepares its database and one function per check."""
        return self._module("judge")

    def workload(self) -> ModuleType:
        """The lab's own copy of workload.py, whatever a student made of theirs."""
        return self._module("workload")

    def _module(self, name: str) -> ModuleType:
        path = self.folder / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"pglab_lab_{self.number}_{name}", path)
        if spec is None or spec.loader is None or not path.exists():
            raise LabError(f"solutions/{self.id}/{name}.py is missing")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no __pycache__ beside the solutions
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = writes
        return module


def all_labs(root: Path | None = None) -> list[Spec]:
    """Every lab, in teaching order."""
    home = (root or course_root()) / "solutions"
    labs = [Spec.load(path.parent.name, root) for path in home.glob("*/lab.toml")]
    return sorted(labs, key=lambda spec: (spec.module, spec.order))
