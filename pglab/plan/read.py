"""From EXPLAIN's JSON to nodes with their own figures. The rules stand in pglab/plan/__init__.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pglab.plan.node import PlanNode

_REMOVED = (
    "Rows Removed by Filter",
    "Rows Removed by Join Filter",
    "Rows Removed by Index Recheck",
    "Rows Removed by Conflict Filter",
)
_CONDITIONS = (
    "Index Cond",
    "Recheck Cond",
    "TID Cond",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "One-Time Filter",
    "Filter",
    "Order By",
    "Run Condition",
    "Sort Key",
    "Presorted Key",
    "Group Key",
    "Cache Key",
)
_BLOCKS = (
    ("Shared Hit Blocks",),
    ("Shared Read Blocks",),
    ("Local Hit Blocks", "Local Read Blocks"),
    ("Temp Read Blocks", "Temp Written Blocks"),
)
# These need all of their input before they give a row: a LIMIT above them does not stop what is below them.
_BLOCKING = frozenset({"Sort", "Hash", "Aggregate", "Bitmap Index Scan", "ModifyTable", "SetOp", "WindowAgg"})


def read_nodes(raw: Mapping[str, Any]) -> PlanNode:
    """The tree of nodes from the value of "Plan"."""
    charges: list[_Charge] = []
    root = _node(raw, 1.0, False, charges)
    _settle(charges)
    return root


@dataclass(slots=True)
class _Charge:
    """A node and where it hangs. total and own are [ms, hit, read, local, temp]."""

    node: PlanNode
    parent: _Charge | None
    total: list[float]
    own: list[float]

    def inside(self, other: _Charge) -> bool:
        at: _Charge | None = self
        while at is not None and at is not other:
            at = at.parent
        return at is other


def _node(
    raw: Mapping[str, Any], processes: float, limited: bool, out: list[_Charge], parent: _Charge | None = None
) -> PlanNode:
    loops = int(raw.get("Actual Loops", 0))
    node_type = str(raw["Node Type"])
    node = PlanNode(
        node_type=node_type,
        title=_title(raw),
        relation=raw.get("Relation Name"),
        schema=raw.get("Schema"),
        alias=raw.get("Alias"),
        index=raw.get("Index Name"),
        source=raw.get("CTE Name") or raw.get("Function Name") or raw.get("Tuplestore Name"),
        parent_relationship=str(raw.get("Parent Relationship", "")),
        subplan=raw.get("Subplan Name"),
        join_type=raw.get("Join Type"),
        loops=loops,
        processes=processes,
        actual_rows=round(float(raw.get("Actual Rows", 0)) * loops),
        estimated_rows=round(float(raw.get("Plan Rows", 0)) * max(loops, 1)),
        rows_removed=round(sum(float(raw.get(key, 0)) for key in _REMOVED) * loops),
        heap_fetches=int(raw.get("Heap Fetches", 0)),
        total_ms=float(raw.get("Actual Total Time", 0.0)) * loops / processes,
        conditions={key: _text(raw[key]) for key in _CONDITIONS if key in raw},
        facts={key: value for key, value in raw.items() if key != "Plans"},
        limited=limited,
    )
    blocks = [float(sum(int(raw.get(key, 0)) for key in keys)) for keys in _BLOCKS]
    node.total_blks = int(blocks[0] + blocks[1])
    charge = _Charge(node, parent, [node.total_ms, *blocks], [node.total_ms, *blocks])
    out.append(charge)
    for child in raw.get("Plans", []):
        below = processes
        if node_type in ("Gather", "Gather Merge") and loops and child.get("Parent Relationship") == "Outer":
            below = max(int(child.get("Actual Loops", 0)) / loops, 1.0)
        node.children.append(_node(child, below, _stops(raw, child, limited), out, charge))
    return node


def _stops(raw: Mapping[str, Any], child: Mapping[str, Any], limited: bool) -> bool:
    """Whether this parent may stop this child before its last row."""
    relationship, kind = child.get("Parent Relationship"), raw["Node Type"]
    if relationship in ("InitPlan", "SubPlan"):
        return bool(relationship == "SubPlan")  # EXISTS stops at the first row
    if kind in ("Limit", "Merge Join"):
        return True
    if relationship == "Inner" and (raw.get("Inner Unique") or raw.get("Join Type") in ("Semi", "Anti")):
        return bool(kind == "Nested Loop")
    return limited and kind not in _BLOCKING


def _settle(charges: list[_Charge]) -> None:
    """Takes every node's total off the node that it ran inside of; what is left is that node's own."""
    late = [c for c in charges if c.node.parent_relationship == "InitPlan"]
    for charge in charges:
        if charge.parent is not None and charge.node.parent_relationship != "InitPlan":
            _take([charge.parent], charge.total)
    # A CTE's readers may themselves hold an InitPlan: that comes off first.
    for charge in sorted(late, key=lambda c: (c.node.subplan or "").startswith("CTE ")):
        _take(_users(charge, charges), charge.total)
    for charge in charges:
        node = charge.node
        node.self_ms = max(charge.own[0], 0.0)
        node.shared_hit, node.shared_read, node.local_blks, node.temp_blks = (
            max(int(value), 0) for value in charge.own[1:]
        )


def _users(plan: _Charge, charges: list[_Charge]) -> list[_Charge]:
    """The nodes that an InitPlan or a CTE ran inside of, most likely first."""
    name = plan.node.subplan or ""
    others = [c for c in charges if not c.inside(plan)]
    if name.startswith("CTE "):
        # Each reader pulls rows as it needs them. One that writes and has no reader runs after all nodes.
        readers = [c for c in others if c.node.node_type == "CTE Scan" and c.node.source == name[4:]]
        return sorted(readers, key=lambda c: -c.own[0])
    # "InitPlan 1 (returns $0)" up to Postgres 16, "InitPlan 1" from 17 on; its user's text says $0 or that.
    parameter = name.partition("returns ")[2].rstrip(")").split(",")[0] or name
    for other in others:
        if any(_mentions(text, parameter) for text in _texts(other.node)):
            return [other]
    # A use in the target list is not shown. Its node has at least the InitPlan's time and blocks left over.
    fits = (c for c in others if plan.parent is None or c.inside(plan.parent))
    able = (c for c in fits if all(o >= 0.9 * t for o, t in zip(c.own, plan.total, strict=True)))
    found = next(able, plan.parent)
    return [found] if found else []


def _take(users: Sequence[_Charge], amount: Sequence[float]) -> None:
    for i, left in enumerate(amount):
        for user in users:
            part = left if len(users) == 1 else min(left, max(user.own[i], 0.0))
            user.own[i] -= part
            left -= part


def _texts(node: PlanNode) -> Iterator[str]:
    yield from node.conditions.values()
    for key in ("Params Evaluated", "Output"):
        yield _text(node.facts.get(key, ""))


def _mentions(text: str, parameter: str) -> bool:
    at = text.find(parameter)
    while at >= 0:
        if not text[at + len(parameter) : at + len(parameter) + 1].isdigit():  # $1 is not $10
            return True
        at = text.find(parameter, at + 1)
    return False


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _title(raw: Mapping[str, Any]) -> str:
    kind, join = str(raw["Node Type"]), str(raw.get("Join Type", "Inner"))
    if kind == "Aggregate":
        strategies = {"Sorted": "GroupAggregate", "Hashed": "HashAggregate", "Mixed": "MixedAggregate"}
        kind = strategies.get(str(raw.get("Strategy")), kind)
        mode = raw.get("Partial Mode", "Simple")
        kind = kind if mode == "Simple" else f"{mode} {kind}"
    elif kind == "ModifyTable":
        kind = str(raw.get("Operation", kind))
    elif join != "Inner" and kind == "Nested Loop":
        kind = f"Nested Loop {join} Join"
    elif join != "Inner" and kind.endswith(" Join"):
        kind = kind.replace(" Join", f" {join} Join")
    if raw.get("Scan Direction") == "Backward":
        kind += " Backward"
    return f"Parallel {kind}" if raw.get("Parallel Aware") else kind
