"""PlanNode: what one node of an executed plan did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class PlanNode:
    """One node of a plan. Figures are its own unless the name says total; all are 0 where it never ran."""

    node_type: str  # as in the JSON: "Seq Scan", also when parallel
    title: str  # as EXPLAIN's text form has it: "Parallel Seq Scan", "HashAggregate"
    relation: str | None
    schema: str | None  # only when the plan is VERBOSE
    alias: str | None
    index: str | None
    source: str | None  # what a scan reads that is no relation: the name of a CTE, a function, a subquery
    parent_relationship: str  # "" | Outer | Inner | Member | Subquery | SubPlan | InitPlan
    subplan: str | None  # "CTE big", "InitPlan 1", "SubPlan 2"
    join_type: str | None
    loops: int
    processes: float  # that ran this node at the same time: 1, below a Gather 1 to workers + 1
    actual_rows: int
    estimated_rows: int
    rows_removed: int
    heap_fetches: int
    total_ms: float
    conditions: dict[str, str]  # "Filter": "(order_id = 42)"
    facts: dict[str, Any]  # the node's JSON without its children
    children: list[PlanNode] = field(default_factory=list)
    limited: bool = False  # a parent may have stopped it early: fewer rows than estimated mean nothing
    total_blks: int = 0  # shared, hit + read, with its children
    self_ms: float = 0.0
    shared_hit: int = 0
    shared_read: int = 0
    local_blks: int = 0
    temp_blks: int = 0

    @property
    def shared_blks(self) -> int:
        return self.shared_hit + self.shared_read

    @property
    def executed(self) -> bool:
        return self.loops > 0

    @property
    def estimate_factor(self) -> float:
        """How far the planner's row estimate was off: 1 = right, 10 = ten times too many or too few.

        Always 1 where the two can't be compared: never ran, stopped early by a parent, no count (BitmapAnd).
        """
        if not self.executed or self.node_type in ("BitmapAnd", "BitmapOr", "ModifyTable"):
            return 1.0
        estimated = max(self.estimated_rows / self.loops, 1.0)  # Postgres never estimates less than a row
        actual = max(self.actual_rows / self.loops, 1.0)
        if self.limited and actual < estimated:
            return 1.0
        return max(actual / estimated, estimated / actual)

    def walk(self) -> Iterator[PlanNode]:
        """This node and all below it, parents first, in the order of EXPLAIN."""
        yield self
        for child in self.children:
            yield from child.walk()
