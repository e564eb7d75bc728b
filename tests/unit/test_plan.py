"""Plans of real servers: own figures, totals over loops and workers, and what checks ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pglab.errors import PglabError
from pglab.plan import Plan, PlanNode

PLANS = Path(__file__).parent / "plans"
ALL = sorted(path.stem for path in PLANS.glob("*.json"))


def raw(name: str) -> Any:
    return json.loads((PLANS / f"{name}.json").read_text())


def load(name: str) -> Plan:
    return Plan.from_explain(raw(name))


def only(plan: Plan, node_type: str, relation: str | None = None) -> PlanNode:
    (node,) = plan.find(node_type, relation)
    return node


def node(**fields: Any) -> dict[str, Any]:
    """A node as EXPLAIN writes it: 10 ms and 100 blocks, hit, unless said otherwise."""
    known = {
        "Node Type": "Result", "Plan Rows": 1, "Actual Rows": 1, "Actual Loops": 1, "Actual Total Time": 10.0,
        "Shared Hit Blocks": 100, "Shared Read Blocks": 0,
    }  # fmt: skip
    return known | {key.replace("_", " "): value for key, value in fields.items()}


def plan_of(root: dict[str, Any]) -> Plan:
    return Plan.from_explain([{"Plan": root, "Planning Time": 0.5, "Execution Time": 20.0}])


@pytest.mark.parametrize("name", ALL)
def test_own_figures_add_up_to_the_whole(name: str) -> None:
    plan = load(name)
    assert all(n.self_ms >= 0 and n.shared_blks >= 0 for n in plan.walk())
    assert sum(n.shared_blks for n in plan.walk()) == plan.shared_blks == plan.root.total_blks
    # Postgres rounds to a microsecond a loop: half of one for each loop is how far a sum can be off.
    rounding = sum(n.loops for n in plan.walk()) * 0.0005 + 0.01
    assert sum(n.self_ms for n in plan.walk()) == pytest.approx(plan.root.total_ms, abs=rounding)
    assert plan.root.total_ms <= plan.execution_ms


@pytest.mark.parametrize(
    ("name", "rows", "removed", "blocks"),
    [("pg18_parallel_seq_scan", 1, 3_000_000, 34_091), ("pg15_parallel_seq_scan", 12, 599_988, 6_186)],
)
def test_a_parallel_scan_counts_all_processes_and_times_one(
    name: str, rows: int, removed: int, blocks: int
) -> None:
    plan = load(name)
    scan = only(plan, "Seq Scan", "order_items")
    assert (scan.title, scan.loops, scan.processes) == ("Parallel Seq Scan", 3, 3)
    assert (scan.actual_rows, scan.rows_removed, scan.shared_blks) == (rows, removed, blocks)
    assert scan.total_ms == raw(name)[0]["Plan"]["Plans"][0]["Actual Total Time"]
    assert plan.root.self_ms == pytest.approx(plan.root.total_ms - scan.total_ms)
    assert plan.costliest() is scan
    assert plan.seq_scans("order_items") == [scan]
    assert plan.seq_scans("orders") == []
    assert plan.rows_removed == removed


def test_an_inner_index_scan_is_counted_over_all_its_loops() -> None:
    plan = load("pg18_loops_nl")
    scan = only(plan, "Index Scan", "users")
    assert (scan.loops, scan.rows_removed, scan.shared_blks) == (20_000, 20_000, 80_002)
    assert scan.total_ms == pytest.approx(0.004 * 20_000 / 3)
    assert plan.costliest() is scan
    assert plan.uses_index("users_pkey")
    assert not plan.uses_index("users_name_idx")


def test_partitions_that_one_worker_scanned_share_the_time_of_all() -> None:
    plan = load("pg18_append")
    first, second = plan.seq_scans()
    assert (first.relation, first.loops, first.processes) == ("events_2024", 1, 3)
    assert (second.relation, second.loops, second.processes) == ("events_2025", 3, 3)
    assert first.total_ms == pytest.approx(raw("pg18_append")[0]["Plan"]["Plans"][0]["Plans"][0]["Plans"][0][
        "Plans"][0]["Plans"][0]["Actual Total Time"] / 3)  # fmt: skip
    assert only(plan, "Append").title == "Parallel Append"


def test_what_never_ran_read_nothing() -> None:
    plan = load("pg18_never_executed")
    scan = only(plan, "Bitmap Heap Scan", "orders")
    assert not scan.executed
    assert (scan.actual_rows, scan.self_ms, scan.shared_blks, scan.estimate_factor) == (0, 0.0, 0, 1.0)
    assert not plan.uses_index("orders_user_id_idx")
    assert plan.find("Bitmap Heap Scan", executed=True) == []


def test_an_initplan_comes_off_the_node_that_used_it() -> None:
    """Its 15.5 ms were spent in the Nested Loop's target list, which is not where it hangs (the Limit)."""
    plan = load("pg18_subplan_cte")
    assert only(plan, "Limit").self_ms == pytest.approx(0.01, abs=0.001)
    assert only(plan, "Nested Loop").self_ms < 0.1
    assert plan.costliest() is only(plan, "Seq Scan", "users")


@pytest.mark.parametrize("name", ["pg15_cte_initplan", "pg18_subplan_cte"])
def test_a_cte_comes_off_its_readers(name: str) -> None:
    plan = load(name)
    readers = plan.find("CTE Scan")
    assert [reader.source for reader in readers] == ["big", "big"]
    assert sum(reader.shared_blks for reader in readers) == 0
    assert sum(reader.total_blks for reader in readers) > 0
    assert sum(reader.self_ms for reader in readers) < sum(reader.total_ms for reader in readers) / 4


def test_a_parameter_is_not_taken_for_another() -> None:
    inner = node(
        Node_Type="Aggregate", Parent_Relationship="InitPlan", Subplan_Name="InitPlan 1 (returns $1)"
    )
    inner |= {"Actual Total Time": 6.0, "Shared Hit Blocks": 60}
    wrong = node(Node_Type="Seq Scan", Parent_Relationship="Outer", Filter="(a = $10)")
    right = node(Node_Type="Seq Scan", Parent_Relationship="Inner", Filter="(a = $1)")
    root = node(Node_Type="Nested Loop", Plans=[inner, wrong, right]) | {
        "Actual Total Time": 21.0, "Shared Hit Blocks": 200,
    }  # fmt: skip
    plan = plan_of(root)
    first, second = plan.find("Seq Scan")
    assert (first.self_ms, first.shared_blks) == (10.0, 100)
    assert (second.self_ms, second.shared_blks) == (4.0, 40)
    assert plan.root.self_ms == 1.0


def test_times_that_contradict_each_other_never_go_below_zero() -> None:
    child = node(Node_Type="Seq Scan", Parent_Relationship="Outer") | {
        "Actual Total Time": 12.0, "Shared Hit Blocks": 101,
    }  # fmt: skip
    root = plan_of(node(Node_Type="Sort", Plans=[child])).root
    assert (root.self_ms, root.shared_blks) == (0.0, 0)


def test_estimates() -> None:
    plan = load("pg18_estimate_off")
    scan = only(plan, "Seq Scan", "order_items")
    assert scan.estimate_factor == pytest.approx(59_880 / 1_463, rel=0.01)
    assert plan.estimate_factor == scan.estimate_factor
    inner = only(plan, "Index Scan", "orders")
    assert inner.estimate_factor == 1.0


def test_fewer_rows_below_a_limit_are_no_wrong_estimate() -> None:
    scan = node(Node_Type="Seq Scan", Parent_Relationship="Outer", Plan_Rows=1_000_000, Actual_Rows=20)
    limit = plan_of(node(Node_Type="Limit", Plans=[scan]))
    assert limit.estimate_factor == 1.0
    sort = node(
        Node_Type="Sort", Parent_Relationship="Outer", Plan_Rows=1_000_000, Actual_Rows=20, Plans=[scan]
    )
    assert only(plan_of(node(Node_Type="Limit", Plans=[sort])), "Seq Scan").estimate_factor == 50_000
    loop = node(Node_Type="Nested Loop", Parent_Relationship="Outer", Plans=[scan])
    assert plan_of(node(Node_Type="Limit", Plans=[loop])).estimate_factor == 1.0


def test_disk_sorts_and_heap_fetches() -> None:
    assert load("pg18_sort_disk").temp_blks > 1_000
    assert load("pg18_index_only").temp_blks == 0
    index_only = raw("pg18_index_only")
    index_only[0]["Plan"]["Heap Fetches"] = 7
    plan = Plan.from_explain(index_only)
    assert (plan.heap_fetches, plan.uses_index("orders_user_id_idx"), plan.shared_blks) == (7, True, 5)


def test_the_top() -> None:
    plan = load("pg18_parallel_seq_scan")
    assert (plan.planning_ms, plan.execution_ms, plan.planning_blks) == (0.338, 90.802, 84)
    top = raw("pg18_parallel_seq_scan")[0]
    top |= {"Triggers": [{"Trigger Name": "fk", "Calls": 3, "Time": 1.5}], "JIT": {"Timing": {"Total": 9.0}}}
    plan = Plan.from_explain(top)
    assert (plan.triggers, plan.jit_ms) == ((("fk", 3, 1.5),), 9.0)


def test_every_form_that_a_driver_hands_over() -> None:
    found = raw("pg18_index_only")
    forms = [found, found[0], (found,), json.dumps(found), json.dumps(found).encode()]
    assert {Plan.from_explain(form).execution_ms for form in forms} == {found[0]["Execution Time"]}


@pytest.mark.parametrize("wrong", [None, 7, [], {}, "Seq Scan on orders", [{"Plan": "Seq Scan"}], [1, 2]])
def test_what_is_no_plan_is_said_to_be_none(wrong: Any) -> None:
    with pytest.raises(PglabError, match=r"not the JSON form of a plan\. Run EXPLAIN \(ANALYZE, BUFFERS"):
        Plan.from_explain(wrong)


def test_a_plan_without_analyze_is_refused() -> None:
    with pytest.raises(PglabError, match="not executed"):
        Plan.from_explain([{"Plan": {"Node Type": "Seq Scan", "Plan Rows": 1}}])


def test_without_buffers_there_is_no_block_count_to_pass_a_check() -> None:
    top = node()
    del top["Shared Hit Blocks"], top["Shared Read Blocks"]
    plan = plan_of(top)
    with pytest.raises(PglabError, match="no block counts"):
        _ = plan.shared_blks


def test_without_timing_blocks_decide() -> None:
    few, many = (node(Node_Type=kind, Parent_Relationship="Outer") for kind in ("Seq Scan", "Index Scan"))
    root = node(Node_Type="Append", Plans=[few | {"Shared Hit Blocks": 3}, many])
    for part in (root, *root["Plans"]):
        del part["Actual Total Time"]
    plan = plan_of(root | {"Shared Hit Blocks": 103})
    assert not plan.timed
    assert plan.costliest().node_type == "Index Scan"


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        (
            {"Node_Type": "Aggregate", "Strategy": "Hashed", "Partial_Mode": "Partial"},
            "Partial HashAggregate",
        ),
        ({"Node_Type": "Aggregate", "Strategy": "Plain", "Partial_Mode": "Simple"}, "Aggregate"),
        ({"Node_Type": "Hash Join", "Join_Type": "Left", "Parallel_Aware": True}, "Parallel Hash Left Join"),
        ({"Node_Type": "Nested Loop", "Join_Type": "Anti"}, "Nested Loop Anti Join"),
        ({"Node_Type": "Merge Join", "Join_Type": "Inner"}, "Merge Join"),
        ({"Node_Type": "ModifyTable", "Operation": "Update"}, "Update"),
        ({"Node_Type": "Index Scan", "Scan_Direction": "Backward"}, "Index Scan Backward"),
    ],
)
def test_titles_are_those_of_the_text_form(fields: dict[str, Any], title: str) -> None:
    assert plan_of(node(**fields)).root.title == title
