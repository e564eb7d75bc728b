"""A plan as a tree: what each node did itself, and which one cost most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from pglab.plan import Plan, PlanNode
from pglab.show import style
from pglab.show.style import Shown, div, span

FLAG_FROM = 10.0  # an estimate this many times off is worth a look
COSTLIEST = "costliest"
_HEADS = ("own ms", "share", "rows", "estimated", "removed", "blocks")
_WIDTHS = (11, 7, 13, 12, 13, 10)


@dataclass(frozen=True, slots=True)
class _Row:
    node: PlanNode
    lasts: tuple[bool, ...]  # for each level below the root: whether this branch is the last one there
    share: float  # of the execution time, 0 to 1
    costliest: bool


class PlanTree(Shown):
    """Own time with its share, rows against the estimate, rows removed and blocks, node by node."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def text(self) -> str:
        return _text(self.plan)

    def html(self) -> str:
        return _html(self.plan)


def plan_tree(plan: Plan) -> PlanTree:
    return PlanTree(plan)


def _rows(plan: Plan) -> list[_Row]:
    costliest = plan.costliest()
    whole = max(plan.execution_ms, plan.root.total_ms) or 1.0

    def below(node: PlanNode, lasts: tuple[bool, ...]) -> Iterator[_Row]:
        yield _Row(node, lasts, node.self_ms / whole, node is costliest)
        for child in node.children:
            yield from below(child, (*lasts, child is node.children[-1]))

    return list(below(plan.root, ()))


def _name(node: PlanNode) -> tuple[str, str]:
    """The node's title, and what it works on: "Index Scan", "on orders o using orders_pkey"."""
    said = []
    if node.index and not node.relation:
        said.append(f"on {node.index}")
    elif node.relation or node.source:
        said.append(f"on {node.relation or node.source}")
    if node.alias and node.alias not in (node.relation, node.source):
        said.append(node.alias)
    if node.index and node.relation:
        said.append(f"using {node.index}")
    return node.title, " ".join(said)


def _notes(plan: Plan, node: PlanNode) -> list[tuple[str, str]]:
    """What stands below a node: conditions first, then what went wrong in it."""
    notes = list(node.conditions.items())
    facts = node.facts
    if "Workers Planned" in facts:
        notes.append(
            ("Workers", f"{facts.get('Workers Launched', 0)} of {facts['Workers Planned']} launched")
        )
    if facts.get("Sort Space Type") == "Disk":
        notes.append(("Sorted on disk", style.size(int(facts.get("Sort Space Used", 0)) // 8)))
    if int(facts.get("Hash Batches", 1)) > 1:
        notes.append(("Hash did not fit work_mem", f"{facts['Hash Batches']} batches"))
    if "Heap Fetches" in facts and node.executed:
        notes.append(("Heap fetches", f"{node.heap_fetches:,}"))
    if int(facts.get("Subplans Removed", 0)):
        notes.append(("Partitions not read", str(facts["Subplans Removed"])))
    if node.loops > round(node.processes):  # once in each process is no repetition
        notes.append(("Ran", f"{node.loops:,} times"))
    if node.local_blks:
        notes.append(("Blocks of temporary tables", f"{node.local_blks:,}"))
    return notes


def _estimate(node: PlanNode) -> str:
    """Such as "250 times too few", or nothing where the estimate was near enough."""
    if node.estimate_factor < FLAG_FROM:
        return ""
    way = "few" if node.actual_rows > node.estimated_rows else "many"
    return f"{style.times(node.estimate_factor)} too {way}"


def _head(plan: Plan) -> str:
    said = [f"Execution {style.ms(plan.execution_ms)} ms", f"planning {style.ms(plan.planning_ms)} ms"]
    if plan.has_buffers:
        blocks = plan.shared_blks
        said.append(f"{style.plural(blocks, 'block')} of 8 kB ({style.size(blocks)})")
    said += [
        f"trigger {name} {style.ms(spent)} ms in {calls:,} calls" for name, calls, spent in plan.triggers
    ]
    if plan.jit_ms:
        said.append(f"JIT {style.ms(plan.jit_ms)} ms")
    return " · ".join(said)


def _figures(plan: Plan, row: _Row) -> tuple[str, str, str, str, str, str]:
    """As _HEADS."""
    node = row.node
    if not node.executed:
        return "never ran", "", "", f"{node.estimated_rows:,}", "", ""
    return (
        style.ms(node.self_ms) if plan.timed else "",
        (f"{row.share:.0%}" if row.share >= 0.005 else "<1%") if plan.timed else "",
        f"{node.actual_rows:,}",
        f"{node.estimated_rows:,}",
        f"{node.rows_removed:,}" if node.rows_removed else "",
        f"{node.shared_blks:,}" if node.shared_blks else "",
    )


def _text(plan: Plan) -> str:
    rows = _rows(plan)
    lines: list[tuple[str, str, str]] = []  # tree, figures, what is said behind them
    for row in rows:
        stem = "".join("   " if last else "│  " for last in row.lasts[:-1])
        branch = ("└─ " if row.lasts[-1] else "├─ ") if row.lasts else ""
        title, on = _name(row.node)
        subplan = f"[{row.node.subplan}] " if row.node.subplan else ""
        figures = "".join(f.rjust(w) for f, w in zip(_figures(plan, row), _WIDTHS, strict=True))
        marks = [f"◀ {COSTLIEST}"] if row.costliest else []
        if estimate := _estimate(row.node):
            marks.append(f"! estimate {estimate}")
        lines.append((f"{stem}{branch}{subplan}{title} {on}".rstrip(), figures, "  ".join(marks)))
        below = stem + ("   " if row.lasts and row.lasts[-1] else "│  " if row.lasts else "")
        below += "│  " if row.node.children else "   "
        lines += [(f"{below}{name}: {said}", "", "") for name, said in _notes(plan, row.node)]
    width = max(len(tree) for tree, figures, _ in lines if figures)
    heads = " " * width + "".join(h.rjust(w) for h, w in zip(_HEADS, _WIDTHS, strict=True))
    body = [f"{t.ljust(width)}{f}  {m}".rstrip() if f else t for t, f, m in lines]
    return "\n".join([_head(plan), heads, *body])


# HTML: rows are flex boxes, so that the tree's lines run through rows of any height.
_SMALL = f"font-size:.88em;color:{style.FAINT};"
_CELL = (
    "flex:none;text-align:right;padding:.3em .5em;font-variant-numeric:tabular-nums;box-sizing:border-box;"
)
_COLUMNS = {"own time": 9, "rows": 10.5, "removed": 6.5, "blocks": 7}  # widths in em


def _html(plan: Plan) -> str:
    line = f"border-bottom:1px solid {style.HAIR};"
    small = _SMALL + "font-weight:600;"
    heads = div(span("node", small), "flex:1;padding:.3em .5em;", role="columnheader")
    for name, width in _COLUMNS.items():
        heads += div(span(name, small), f"{_CELL}width:{width}em;", role="columnheader")
    body = div(heads, f"display:flex;{line}", role="row")
    body += "".join(_row_html(plan, row) for row in _rows(plan))
    grid = div(body, "min-width:52em;", role="table", aria_label="query plan")
    head = div(escape(_head(plan)), "font-weight:600;margin-bottom:.4em;")
    note = div(
        "Time and blocks are each node's own, without what stands below it.", _SMALL + "margin-top:.4em;"
    )
    return div(head + div(grid, "overflow-x:auto;") + note, style.BASE + "margin:.4em 0;")


def _row_html(plan: Plan, row: _Row) -> str:
    node = row.node
    title, on = _name(node)
    name = span(escape(node.subplan) + " ", f"color:{style.FAINT};") if node.subplan else ""
    name += span(escape(title), "font-weight:600;")
    name += f" {span(escape(on), f'font-family:{style.MONO};font-size:.92em;')}" if on else ""
    if row.costliest:
        name += " " + style.badge(f"◀ {COSTLIEST}", f"var(--jp-warn-color0, {style.ORANGE})")
    notes = "".join(
        div(
            f"{escape(key)}: {span(escape(said), f'font-family:{style.MONO};')}",
            _SMALL + "overflow-wrap:anywhere;" + ("margin-left:1.2em;" if node.children else ""),
        )
        for key, said in _notes(plan, node)
    )
    if node.children:
        # Room for the line down to them, also where the name needs a second line.
        name = div(name, "padding-left:1.2em;text-indent:-1.2em;")
        notes += div(
            "", f"position:absolute;left:.9em;top:1.9em;bottom:-1px;border-left:1px solid {style.LINE};"
        )
    shade = "opacity:.6;" if not node.executed else ""
    place = "position:relative;flex:1;min-width:0;padding:.3em .5em;"
    cells = _indent(row) + div(name + notes, place + shade, role="cell")
    for content, width in zip(_cells_html(plan, row), _COLUMNS.values(), strict=True):
        cells += div(content, f"{_CELL}width:{width}em;{shade}", role="cell")
    mark = f"background:rgba(189,96,25,.12);box-shadow:inset 3px 0 0 {style.ORANGE};" if row.costliest else ""
    return div(cells, f"display:flex;border-bottom:1px solid {style.HAIR};{mark}", role="row")


def _cells_html(plan: Plan, row: _Row) -> tuple[str, str, str, str]:
    node = row.node
    own, share, rows, estimated, removed, blocks = _figures(plan, row)
    guess = div(f"estimated {estimated}", _SMALL + "white-space:nowrap;")
    if not node.executed:
        return div(own, _SMALL), guess, "", ""
    if estimate := _estimate(node):
        guess += style.badge(f"! {estimate}", f"var(--jp-warn-color0, {style.ORANGE})")
    time = ""
    if plan.timed:
        colour = style.ORANGE if row.costliest else style.BLUE
        bar = div("", f"width:{min(row.share, 1):.1%};height:100%;background:{colour};border-radius:2px;")
        part = span(escape(share), _SMALL + "display:inline-block;width:3em;")
        time = div(f"{own} ms {part}")
        time += div(bar, "height:.4em;margin-top:.2em;background:rgba(128,128,128,.2);border-radius:2px;")
    if node.shared_blks:
        blocks += div(escape(style.size(node.shared_blks)), _SMALL)
        blocks += (
            div(f"hit {node.shared_hit:,} · read {node.shared_read:,}", _SMALL) if node.shared_read else ""
        )
    return time, rows + guess, removed, blocks


def _indent(row: _Row) -> str:
    """The lines of the tree to the left of a node: a box a level, as high as the row."""
    line = f"1px solid {style.LINE}"
    boxes = ""
    for depth, last in enumerate(row.lasts):
        at_node = depth == len(row.lasts) - 1
        pieces = ""
        if at_node or not last:
            height = "height:1.1em;" if at_node and last else "bottom:-1px;"
            pieces += div("", f"position:absolute;left:.9em;top:0;{height}border-left:{line};")
        if at_node:
            pieces += div("", f"position:absolute;left:.9em;top:1.1em;width:.6em;border-top:{line};")
        boxes += div(pieces, "position:relative;flex:none;width:1.5em;")
    return boxes
