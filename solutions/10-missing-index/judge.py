"""What the referee does for this lab. Students never see it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from grader.checks import answers, plan, safety
from grader.checks.ratio import paired_ratio
from grader.context import Context, expected_rows, public_rng
from grader.database import LabDatabase
from grader.spec import Spec
from grader.verdict import Target
from pglab.dataset import checksum
from pglab.plan import Plan

workload = Spec.load("10-missing-index").workload()

TABLE = "order_items"
HOT = ("orders", "order_items", "shipments")
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS)"
MOST_BLOCKS = 20  # catalogue; a right index needs 4 to 8
LEAST_RATIO = 100  # catalogue; a right index gives over 300 already at scale small
MOST_SIZE = 1.0  # × the table; an index of order_id takes about a fifth, a covering one three quarters
DIAGNOSED = "your database when the incident began"

# What else the application asks, which must stay as it was: name → query and which drawn number goes into it.
OTHERS = {
    "one order": ("SELECT * FROM orders WHERE id = %s", "order_id"),
    "latest orders of a user": (
        "SELECT id, status FROM orders WHERE user_id = %s ORDER BY created_at DESC LIMIT 20",
        "user_id",
    ),
    "shipments of an order": ("SELECT * FROM shipments WHERE order_id = %s", "order_id"),
    "one item": ("SELECT * FROM order_items WHERE id = %s", "item_id"),
    "sessions of a user": ("SELECT * FROM sessions WHERE user_id = %s", "user_id"),
}


def prepare(db: LabDatabase) -> dict[str, Any]:
    """Drop the index, and add a few thousand orders so that every student's numbers are their own."""
    rows = db.dataset.scales[db.scale].rows
    rng = public_rng(db)
    orders = rng.randrange(1_000, 4_000)
    per_order = rng.choice([2, 3, 4])
    with db.admin() as admin, admin.transaction():
        admin.execute(
            "INSERT INTO public.orders SELECT new.* FROM generate_series(1, %s) n JOIN public.orders o ON o.id = n, "
            "jsonb_populate_record(o, jsonb_build_object('id', %s + n)) new",
            [orders, rows["orders"]],
        )
        admin.execute(
            "INSERT INTO public.order_items (id, order_id, product_id, quantity, price_cents, sku) "
            "SELECT %s + id, %s + 1 + (id - 1) / %s, product_id, quantity, price_cents, sku FROM public.order_items WHERE id <= %s",
            [rows["order_items"], rows["orders"], per_order, orders * per_order],
        )
        added = {
            table: (count, int(checksum(admin, table, f"id > {rows[table]}")))
            for table, count in (("orders", orders), ("order_items", orders * per_order))
        }
    db.run_break()
    drawn = {
        "order_id": rng.randrange(1, rows["orders"]),
        "user_id": rng.randrange(1, rows["users"]),
        "item_id": rng.randrange(1, rows["order_items"]),
    }
    with db.judge() as judge:
        asked = judge.execute(workload.ITEMS, [drawn["order_id"]]).fetchall()
        blocks = judge.execute("SELECT pg_relation_size('order_items') / 8192").fetchone()
        assert blocks is not None
        return {
            "params": {"order_id": drawn["order_id"], "requests": rng.sample(range(1, rows["orders"]), 20)},
            "drawn": drawn,
            "removed": rows["order_items"] + orders * per_order - len(asked),
            "blocks": blocks[0],
            "expected": expected_rows(db, added),
            "others": _blocks_of_others(judge, drawn),
        }


def _blocks_of_others(judge: psycopg.Connection[Any], drawn: dict[str, int]) -> dict[str, int]:
    return {
        name: plan.explain(judge, query, [drawn[which]]).shared_blks
        for name, (query, which) in OTHERS.items()
    }


def diagnose_node(ctx: Context) -> list[Target]:
    """{"node": …, "table": …}"""
    given = ctx.answer if isinstance(ctx.answer, dict) else {}
    return [
        answers.text("node", given.get("node"), ["Seq Scan", "Parallel Seq Scan", "Sequential Scan"], 0.5, source=EXPLAIN,
                     hint="which step of the plan carries the label of the costliest?"),
        answers.text("table", given.get("table"), [TABLE, f"public.{TABLE}"], 0.5, source=EXPLAIN, hint="which table does that step read?"),
    ]  # fmt: skip


def diagnose_rows(ctx: Context) -> list[Target]:
    """A number."""
    truth = ctx.facts["removed"]
    per_loop = "that is the average of one process: the step ran in several (loops), and all of them read"
    return [
        answers.number(
            "rows removed by the filter",
            ctx.answer,
            truth,
            1,
            source=DIAGNOSED,
            within=0.0005,
            hint="look for Rows Removed by Filter, for the order that the question names",
            traps=[(truth / loops, per_loop) for loops in (2, 3, 4, 5)],
        )
    ]


def diagnose_blocks(ctx: Context) -> list[Target]:
    """A number."""
    truth = ctx.facts["blocks"]
    return [
        answers.number(
            "blocks of 8 kB read",
            ctx.answer,
            truth,
            1,
            source=DIAGNOSED,
            within=0.005,
            hint="look at the buffers of the scan: hit and read together",
            traps=[(truth * 8192, "that is bytes"), (truth * 8, "that is kB"), (truth / 128, "that is MB")],
        )
    ]


def fix(ctx: Context) -> list[Target]:
    """The order page on orders that the student never saw, and on orders that did not exist a moment ago."""
    known = ctx.rng.sample(range(1, ctx.db.dataset.scales[ctx.db.scale].rows["orders"]), 5)
    with ctx.oracle() as oracle:
        expected = [oracle.execute(workload.ITEMS, [order]).fetchall() for order in known]
    with ctx.judge() as judge, ctx.judge(**plan.WITHOUT_INDEXES) as without:
        found = [judge.execute(workload.ITEMS, [order]).fetchall() for order in known]
        fresh, plans = _ask_fresh_orders(ctx, judge)
        plans += [plan.explain(judge, workload.ITEMS, [order]) for order in known]

        def run(side: psycopg.Connection[Any], turn: int) -> float:
            return plan.explain(side, workload.ITEMS, [known[turn % len(known)]]).execution_ms

        return [
            _still_a_table(ctx),
            answers.same_rows("answers as they should be", [*zip(found, expected, strict=True), *fresh], "the same query on the untouched dataset, and on rows inserted just now", "the order page shows other items now"),
            plan.blocks_per_request(plans, TABLE, MOST_BLOCKS, 3, "which column does the WHERE clause compare, and which index starts with it?"),
            paired_ratio(
                "items query, without your index against with it", lambda turn: run(without, turn), lambda turn: run(judge, turn), LEAST_RATIO, 2,
                source="Execution Time of EXPLAIN ANALYZE", hint="is your index used at all? Explain the query again",
            ),
        ]  # fmt: skip


def _ask_fresh_orders(
    ctx: Context, judge: psycopg.Connection[Any]
) -> tuple[list[tuple[list[Any], list[Any]]], list[Plan]]:
    """Insert two orders, ask for their items as the page does, and roll back."""
    answered, plans = [], []
    with judge.transaction(force_rollback=True):
        for _ in range(2):
            order = ctx.rng.randrange(10**12, 10**13)
            judge.execute(
                "INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', %s::bigint))).* FROM orders o WHERE id = 1",
                [order],
            )
            items = [
                (
                    order + number,
                    ctx.rng.randrange(1, 100),
                    f"SKU-{ctx.rng.randrange(10**6)}",
                    ctx.rng.randrange(1, 5),
                    ctx.rng.randrange(100, 9_999),
                )
                for number in range(ctx.rng.randrange(2, 6))
            ]
            for item in items:
                judge.execute(
                    "INSERT INTO order_items (id, order_id, product_id, sku, quantity, price_cents) VALUES (%s, %s, %s, %s, %s, %s)",
                    [item[0], order, *item[1:]],
                )
            answered.append((judge.execute(workload.ITEMS, [order]).fetchall(), items))
            plans.append(plan.explain(judge, workload.ITEMS, [order]))
    return answered, plans


def _still_a_table(ctx: Context) -> Target:
    kinds = {
        "r": "a table",
        "p": "a partitioned table",
        "v": "a view",
        "m": "a materialised view",
        "f": "a foreign table",
    }
    now = ctx.snapshot_now()["tables"].get(TABLE)
    kind = kinds[now["kind"]] if now else "gone"
    return Target(
        f"kind of {TABLE}",
        "pass" if kind == "a table" else "fail",
        kind,
        "a table",
        "pg_class",
        "put the table back; lab.reset() gives you a fresh incident",
        required=True,
    )


def safe(ctx: Context) -> list[Target]:
    """What the fix did besides. Without a fix, or with other data, there is nothing to be safe."""
    then, now = ctx.snapshot_then(), ctx.snapshot_now()
    with ctx.judge() as judge:
        one = plan.explain(judge, workload.ITEMS, [ctx.facts["drawn"]["order_id"]])
        holds = plan.blocks_per_request([one], TABLE, MOST_BLOCKS, 0, "fix first, then check again")
        return [
            replace(holds, required=True),
            _still_a_table(ctx),
            replace(safety.rows_unchanged(judge, ctx.facts["expected"], 1), required=True),
            safety.nothing_dropped(then, now, 0.5),
            plan.others_unharmed(ctx.facts["others"], _blocks_of_others(judge, ctx.facts["drawn"]), 0.5),
            safety.index_size(then, now, TABLE, MOST_SIZE, 1),
            safety.no_blocking_ddl(ctx.db.ddl_log(), ctx.oids(*HOT), then, now, 1),
        ]


CHECKS = {
    "diagnose-node": diagnose_node,
    "diagnose-rows": diagnose_rows,
    "diagnose-blocks": diagnose_blocks,
    "fix": fix,
    "safe": safe,
}
