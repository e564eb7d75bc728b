"""Plan: an executed plan, and the questions that people and checks ask of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pglab.errors import PglabError
from pglab.plan.node import PlanNode
from pglab.plan.read import read_nodes

_REMEDY = "Run EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) and pass its output on"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that was executed. Make it with Plan.from_explain."""

    root: PlanNode
    planning_ms: float
    execution_ms: float
    planning_blks: int
    triggers: tuple[tuple[str, int, float], ...]  # (name, calls, ms): outside of every node
    jit_ms: float
    timed: bool  # False with TIMING OFF: all ms of the nodes are 0
    has_buffers: bool

    @classmethod
    def from_explain(cls, explained: Any) -> Plan:
        """From what the server sent: the list with one dict, that dict, or either as text.

        Raises PglabError for anything else and for a plan without ANALYZE.
        """
        top = _unwrap(explained)
        raw = top["Plan"]
        if "Actual Loops" not in raw:
            raise PglabError("This plan was not executed, so it shows estimates only", _REMEDY)
        planning = top.get("Planning", {})
        return cls(
            root=read_nodes(raw),
            planning_ms=float(top.get("Planning Time", 0.0)),
            execution_ms=float(top.get("Execution Time", 0.0)),
            planning_blks=sum(int(planning.get(f"Shared {how} Blocks", 0)) for how in ("Hit", "Read")),
            triggers=tuple(
                (str(t.get("Trigger Name", "?")), int(t.get("Calls", 0)), float(t.get("Time", 0.0)))
                for t in top.get("Triggers", [])
            ),
            jit_ms=float(top.get("JIT", {}).get("Timing", {}).get("Total", 0.0)),
            timed="Actual Total Time" in raw,
            has_buffers="Shared Hit Blocks" in raw,
        )

    def walk(self) -> Iterator[PlanNode]:
        return self.root.walk()

    def costliest(self) -> PlanNode:
        """The node with the most time of its own; without timing, the one with the most blocks of its own.

        Never a Gather: its own time is starting workers and waiting for what they do, which is the nodes below it.
        """
        at_work = [node for node in self.walk() if node.node_type not in ("Gather", "Gather Merge")]
        return max(at_work, key=lambda node: (node.self_ms, node.shared_blks))

    def find(
        self, node_type: str | None = None, relation: str | None = None, executed: bool | None = None
    ) -> list[PlanNode]:
        """Nodes of that type ("Seq Scan" finds parallel ones too) on that relation (no schema)."""
        return [
            node
            for node in self.walk()
            if (node_type is None or node.node_type == node_type)
            and (relation is None or node.relation == relation)
            and (executed is None or node.executed == executed)
        ]

    def seq_scans(self, relation: str | None = None) -> list[PlanNode]:
        """The Seq Scans that were executed; a planned one that never ran read nothing."""
        return self.find("Seq Scan", relation, executed=True)

    def uses_index(self, name: str) -> bool:
        """Whether an executed node reads this index (no schema)."""
        return any(node.index == name and node.executed for node in self.walk())

    @property
    def shared_blks(self) -> int:
        """Blocks of tables and indexes that the plan touched, hit + read; without planning and triggers."""
        # Missing must not look like 0: a check "blocks ≤ 20" would pass.
        if not self.has_buffers:
            raise PglabError("This plan has no block counts", _REMEDY)
        return self.root.total_blks

    @property
    def local_blks(self) -> int:
        """Blocks of temporary tables."""
        return sum(node.local_blks for node in self.walk())

    @property
    def temp_blks(self) -> int:
        """Blocks of sorts and hashes that did not fit work_mem, read + written."""
        return sum(node.temp_blks for node in self.walk())

    @property
    def rows_removed(self) -> int:
        return sum(node.rows_removed for node in self.walk())

    @property
    def heap_fetches(self) -> int:
        """Rows for which an Index Only Scan had to look into the table after all."""
        return sum(node.heap_fetches for node in self.walk())

    @property
    def estimate_factor(self) -> float:
        """The worst estimate of all nodes, see PlanNode.estimate_factor."""
        return max(node.estimate_factor for node in self.walk())


def _unwrap(explained: Any) -> Mapping[str, Any]:
    if isinstance(explained, (str, bytes)):
        try:
            explained = json.loads(explained)
        except ValueError as error:
            raise PglabError("This is not the JSON form of a plan", _REMEDY) from error
    while isinstance(explained, Sequence) and not isinstance(explained, (str, bytes)) and len(explained) == 1:
        explained = explained[0]  # also a row of one column
    if not isinstance(explained, Mapping) or not isinstance(explained.get("Plan"), Mapping):
        raise PglabError("This is not the JSON form of a plan", _REMEDY)
    return explained
