"""Nothing that would hurt in production: no lock that stops writers, nothing dropped, no bloated index, no row changed."""

from __future__ import annotations

from typing import Any

import psycopg

from grader.verdict import Target

# What must still be there afterwards, by name, so that a table rebuilt under the old name is compared as well.
CATALOG = {
    "tables": """
        SELECT c.relname, json_build_object('kind', c.relkind, 'rls', c.relrowsecurity, 'rules', c.relhasrules,
               'children', c.relhassubclass, 'triggers', (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT tgisinternal))
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')""",
    "columns": """
        SELECT c.relname || '.' || a.attname, json_build_object('type', a.atttypid::regtype::text, 'not null', a.attnotnull)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraints": """
        SELECT c.relname || ': ' || pg_get_constraintdef(o.oid), json_build_object('valid', o.convalidated)
        FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
        WHERE o.connamespace = 'public'::regnamespace AND o.contype IN ('p', 'u', 'f', 'c', 'x')""",
    "indexes": """
        SELECT c.relname, json_build_object('table', i.indrelid::regclass::text, 'bytes', pg_relation_size(c.oid), 'valid', i.indisvalid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace""",
    "bytes": """
        SELECT c.relname, json_build_object('heap', pg_relation_size(c.oid), 'file', pg_relation_filenode(c.oid)::bigint)
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')""",
}

Snapshot = dict[str, dict[str, dict[str, Any]]]


def take_snapshot(admin: psycopg.Connection[Any]) -> Snapshot:
    """What the catalogs say of schema public: tables, columns, constraints, indexes, sizes in bytes and files."""
    return {kind: dict(admin.execute(query).fetchall()) for kind, query in CATALOG.items()}


def nothing_dropped(before: Snapshot, after: Snapshot, points: float) -> Target:
    """Every table, column, constraint and index is there, as it was, and valid."""
    lost = []
    for kind in ("tables", "columns", "constraints", "indexes"):
        for name, was in before[kind].items():
            now = after[kind].get(name)
            if now is None:
                lost.append(f"{kind[:-1]} {name} is gone")
            elif any(now[key] != was[key] for key in was if key != "bytes"):
                lost.append(f"{kind[:-1]} {name} is not what it was")
    broken = [
        f"index {name} is invalid"
        for name, now in after["indexes"].items()
        if not now["valid"] and name not in before["indexes"]
    ]
    problems = sorted(set(lost + broken))
    shown = "; ".join(problems[:3]) + (f" and {len(problems) - 3} more" if len(problems) > 3 else "")
    return Target(
        "tables, constraints and indexes lost", "fail" if problems else "pass", shown or "none", "none", "pg_class, pg_constraint, pg_index",
        "put back what is missing, or start again with lab.reset()" if lost else "drop the invalid index and build it again" if broken else "",
        points,
    )  # fmt: skip


def index_size(before: Snapshot, after: Snapshot, table: str, most: float, points: float) -> Target:
    """The indexes added to a table take at most `most` times its own size (heap, without indexes)."""
    heap = after["bytes"].get(table, {"heap": 0})["heap"]
    added = sum(now["bytes"] for name, now in after["indexes"].items() if name not in before["indexes"])
    good = added <= most * heap
    return Target(
        "size of the new indexes", "pass" if good else "fail", f"{added / 2**20:,.1f} MB", f"≤ {most * heap / 2**20:,.1f} MB, {most:g}× the table",
        "pg_relation_size", "" if good else "which of these columns does the query need? Drop the indexes that it does not use", points,
    )  # fmt: skip


def no_blocking_ddl(
    log: list[dict[str, Any]], hot: dict[int, str], before: Snapshot, after: Snapshot, points: float
) -> Target:
    """No DDL held a lock that stops writers on a hot table, and nothing wrote one anew.

    VACUUM FULL, CLUSTER and TRUNCATE fire no event trigger. They give the table another file, under a lock that stops
    readers too.

    Args:
        log: LabDatabase.ddl_log(); hot: table oid → name, the tables that take writes all day.
    """
    hits = [
        (entry, hot[int(oid)], mode) for entry in log for oid, mode in entry["blocked"].items() if int(oid) in hot
    ]  # fmt: skip
    then, now = before["bytes"], after["bytes"]
    rewritten = [
        table
        for table in hot.values()
        if "file" in then.get(table, {}) and then[table]["file"] != now.get(table, {}).get("file")
    ]
    if not hits and rewritten:
        hint = "readers and writers wait until such a command ends. lab.reset() gives you a fresh incident"
        return Target(
            "DDL that stopped writers", "fail", f"{rewritten[0]} was written anew, as VACUUM FULL and CLUSTER do", "none",
            "pg_relation_filenode", hint, points,
        )  # fmt: skip
    if not hits:
        return Target(
            "DDL that stopped writers", "pass", "none", "none", "event trigger, pg_locks", max_points=points
        )
    entry, table, mode = hits[0]
    statement = " ".join(entry["statement"].split())
    hint = "every INSERT waits until this ends; in production, build it CONCURRENTLY. lab.reset() gives you a fresh incident"
    return Target(
        "DDL that stopped writers", "fail", f"{len(hits)}: {statement[:90]} held {mode} on {table}", "none",
        "event trigger, pg_locks", hint, points,
    )  # fmt: skip


def rows_unchanged(
    judge: psycopg.Connection[Any],
    expected: dict[str, dict[str, str | int]],
    points: float,
    *,
    required: bool = False,
) -> Target:
    """Every row of every table is as it was, by count and checksum.

    Args:
        expected: table → {"rows": count, "checksum": text} as `grader.context` works it out.
    """
    from pglab.dataset import checksum

    changed = []
    for table, want in expected.items():
        try:
            found = checksum(judge, table)
        except psycopg.ProgrammingError as error:
            changed.append(f"{table} ({error.diag.message_primary or 'unreadable'})")
            continue
        if found != want["checksum"]:
            row = judge.execute(f'SELECT count(*) FROM public."{table}"').fetchone()  # noqa: S608
            changed.append(
                f"{table} ({row[0] - int(want['rows']):+,} rows)"
                if row and row[0] != want["rows"]
                else f"{table} (values differ)"
            )
    return Target(
        "tables with changed rows", "fail" if changed else "pass", ", ".join(changed) or "none", "none", "count and checksum of every row",
        "a fix must not touch the data; lab.reset() gives you a fresh incident" if changed else "", points, required,
    )  # fmt: skip


def nothing_added(before: Snapshot, after: Snapshot, points: float, *, indexes: bool = True) -> Target:
    """No table or materialised view was added that holds the data a second time, and no index of the others."""
    kinds = {"r": "table", "p": "table", "m": "materialised view", "f": "foreign table"}
    tables = {
        name: kinds[now["kind"]]
        for name, now in after["tables"].items()
        if now["kind"] in kinds and name not in before["tables"]
    }
    added = [f"{kind} {name}" for name, kind in tables.items()]
    if indexes:
        added += [
            f"index {name}"
            for name, now in after["indexes"].items()
            if name not in before["indexes"] and now["table"] not in tables
        ]
    more = f" and {len(added) - 3} more" if len(added) > 3 else ""
    return Target(
        "tables and indexes added" if indexes else "tables added", "fail" if added else "pass",
        ("; ".join(added[:3]) or "none") + more, "none", "pg_class, pg_index",
        "every write pays for it from now on, and this page needs none: drop it" if added else "", points,
    )  # fmt: skip
