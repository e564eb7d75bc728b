"""What people see: the words, the escaping, the marks that are no colour, and a clean stderr."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pglab import show
from pglab.measure import Measurement
from pglab.plan import Plan
from pglab.show import style

PLANS = Path(__file__).parent / "plans"
FAIL: dict[str, Any] = {
    "check": "fix", "part": "fix", "title": "Pages read few blocks", "status": "fail",
    "points": 2.0, "max_points": 5.0, "message": "",
    "targets": [
        {"name": "blocks per request", "status": "fail", "measured": "31,204", "target": "≤ 20",
         "source": "EXPLAIN (ANALYZE, BUFFERS), 5 orders", "points": 0.0, "max_points": 3.0,
         "hint": "which node reads the whole table?"},
        {"name": "rows", "status": "pass", "measured": "equal", "target": "equal", "source": "oracle",
         "points": 2.0, "max_points": 2.0, "hint": "not for those who pass"},
    ],
}  # fmt: skip


def tree(name: str) -> show.PlanTree:
    return show.plan_tree(Plan.from_explain(json.loads((PLANS / f"{name}.json").read_text())))


def measured(*elapsed_ms: float, calls: int = 1, blocks: int = 7) -> Measurement:
    count = len(elapsed_ms)
    return Measurement(calls * count, 5, blocks * count, 0, 0, 1.0, list(elapsed_ms))


def both(shown: show.Shown) -> tuple[str, str]:
    """Text and HTML; the HTML is checked to close what it opens."""
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == str(shown) == repr(shown)
    Balanced().check(bundle["text/html"])
    return bundle["text/plain"], bundle["text/html"]


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def check(self, html: str) -> None:
        self.feed(html)
        assert self.open == []
        assert not self.seen & {"script", "style", "b", "svg"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def pictures(html: str) -> list[str]:
    found = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", html)
    return [base64.b64decode(one).decode() for one in found]


def words(svg: str) -> list[str]:
    return [
        "".join(part.itertext()).strip()
        for part in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


# -- verdicts


def test_a_verdict_says_what_was_measured_the_target_the_source_and_the_next_step() -> None:
    text, html = both(show.verdict(FAIL))
    assert text.splitlines() == [
        "✗ FAIL  fix: Pages read few blocks  2 of 5 points",
        "  ✗ fail  blocks per request = 31,204, target ≤ 20   (EXPLAIN (ANALYZE, BUFFERS), 5 orders)"
        "   hint: which node reads the whole table?",
        "  ✓ pass  rows = equal, target equal   (oracle)",
    ]
    for said in (
        "✗ FAIL",
        "✗ fail",
        "✓ pass",
        "31,204",
        "which node reads the whole table?",
        "0 of 3 points",
    ):
        assert said in html
    assert "not for those who pass" not in html


def test_what_passes_and_earns_nothing_says_why() -> None:
    first = {"name": "answers", "status": "fail", "points": 0.0, "max_points": 0.0, "required": True}
    second = {"name": "calls", "status": "pass", "points": 0.0, "max_points": 3.0}
    _, html = both(show.verdict(FAIL | {"points": 0.0, "targets": [first, second]}))
    assert html.count("required") == 2
    assert "3 points when all that is required passes" in html


def test_an_error_is_nobodys_failure() -> None:
    error = FAIL | {"status": "error", "targets": [], "message": "could not measure: The server is stopped."}
    text, html = both(show.verdict(error))
    assert text.splitlines() == [
        "! ERROR  could not measure: nobody's failure, not counted  fix: Pages read few blocks  5 points not decided",
        "  The server is stopped.",
    ]
    assert "nobody&#x27;s failure" in html
    for said in (text, html):
        assert "fail " not in said.lower()
        assert "0 of 5" not in said


def test_a_verdict_escapes_what_it_was_told() -> None:
    evil = "<script>alert(1)</script>"
    target = dict.fromkeys(("name", "measured", "target", "source", "hint"), evil) | {"status": "fail"}
    _, html = both(
        show.verdict({"check": evil, "title": evil, "message": evil, "status": "fail", "targets": [target]})
    )
    assert html.count("&lt;script&gt;") == 8


@pytest.mark.parametrize("odd", [{}, {"status": "???"}, {"targets": None}, {"targets": [{}]}])
def test_a_verdict_with_gaps_is_shown_all_the_same(odd: dict[str, Any]) -> None:
    """An exception here would go to stderr, where nbgrader takes it for 0 points."""
    text, _ = both(show.verdict(odd))
    assert text.startswith("! ERROR")


# -- plans


def test_the_tree_marks_the_costliest_node_and_shows_its_evidence() -> None:
    text, html = both(tree("pg18_parallel_seq_scan"))
    assert text.splitlines()[0] == ("Execution 90.8 ms · planning 0.338 ms · 34,091 blocks of 8 kB (266 MB)")
    (costliest,) = [line for line in text.splitlines() if "costliest" in line]
    assert re.sub(" +", " ", costliest) == (
        "└─ Parallel Seq Scan on order_items 73.4 81% 1 6 3,000,000 34,091 ◀ costliest"
    )
    assert "Filter: (order_id = 4242)" in text
    for said in ("Parallel Seq Scan", "3,000,000", "266 MB", "(order_id = 4242)", "Gather"):
        assert said in html
    assert html.count("◀ costliest") == 1


def test_the_tree_flags_estimates_that_are_far_off_and_no_others() -> None:
    text, html = both(tree("pg18_estimate_off"))
    assert text.count("! estimate 41× too few") == 2
    assert html.count("! 41× too few") == 2
    assert "!" not in tree("pg18_loops_nl").text()
    explained = json.loads((PLANS / "pg18_index_only.json").read_text())
    for rows, flagged in ((9_990, True), (9_700, False)):  # against 979 estimated: 10.2 and 9.9 times
        explained[0]["Plan"]["Actual Rows"] = rows
        assert ("! estimate" in show.plan_tree(Plan.from_explain(explained)).text()) is flagged


def test_the_tree_keeps_its_shape() -> None:
    _, heads, *lines = tree("pg18_subplan_cte").text().splitlines()
    width = heads.index("own ms") - 5
    assert [line[:width].rstrip() for line in lines if len(line) > width + 5] == [
        "Limit",
        "├─ [CTE big] GroupAggregate",
        "│  └─ Index Only Scan on orders using orders_user_id_idx",
        "├─ [InitPlan 3] Aggregate",
        "│  └─ Seq Scan on users",
        "├─ [InitPlan 4] Aggregate",
        "│  └─ CTE Scan on big",
        "└─ Nested Loop",
        "   ├─ CTE Scan on big b",
        "   ├─ Index Only Scan on users u using users_pkey",
        "   └─ [SubPlan 2] Aggregate",
        "      └─ Bitmap Heap Scan on orders o",
        "         └─ Bitmap Index Scan on orders_user_id_idx",
    ]


def test_the_tree_says_what_never_ran_and_what_went_to_disk() -> None:
    text, html = both(tree("pg18_never_executed"))
    assert text.count("never ran") == html.count("never ran") == 2
    assert "Sorted on disk: 29 MB" in tree("pg18_sort_disk").text()
    assert "Ran: 20,000 times" in tree("pg18_loops_nl").text()


def test_the_tree_escapes_conditions() -> None:
    explained = json.loads((PLANS / "pg18_index_only.json").read_text())
    explained[0]["Plan"] |= {"Filter": "(note <> '<script>x</script>'::text)", "Relation Name": "<b>t</b>"}
    _, html = both(show.plan_tree(Plan.from_explain(explained)))
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;t" in html


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.json")))
def test_every_plan_can_be_shown(name: str) -> None:
    text, html = both(tree(name))
    assert text.count("costliest") == html.count("costliest") == 1


# -- tables


def test_numbers_stand_right_with_separators_and_ids_without() -> None:
    rows = [
        {"order_id": 104202, "name": "Ada", "rows": 2847221, "total": Decimal("1234567.50"), "share": 0.5},
        {"order_id": 7, "name": None, "rows": 12, "total": None, "share": 1234.25},
    ]
    text, html = both(show.table(rows))
    assert text.splitlines() == [
        "order_id  name       rows         total     share",
        "────────  ────  ─────────  ────────────  ────────",
        "  104202  Ada   2,847,221  1,234,567.50       0.5",
        "       7  NULL         12          NULL  1,234.25",
    ]
    assert re.search(r"text-align:right[^>]*>2,847,221<", html)
    assert re.search(r"text-align:left[^>]*>Ada<", html)


def test_a_table_takes_sequences_frames_and_nothing() -> None:
    expected = show.table([{"a": 1, "b": "x"}]).text()
    assert show.table([(1, "x")], ["a", "b"]).text() == expected
    assert show.table(pd.DataFrame({"a": [1], "b": ["x"]})).text() == expected
    assert both(show.table([], ["a", "b"]))[0] == "a  b\n─  ─"


def test_a_long_table_says_how_much_it_leaves_out() -> None:
    text, html = both(show.table([{"n": n} for n in range(1_200)]))
    assert text.splitlines()[-1] == "… 1,150 more rows"
    assert "… 1,150 more rows" in html
    assert len(text.splitlines()) == 53


def test_cells_are_escaped_and_kept_short() -> None:
    text, html = both(show.table([{"note": "<script>\n" + "x" * 500}]))
    assert "&lt;script&gt;" in html
    assert max(map(len, text.splitlines())) == 120


# -- charts


def test_requests_are_drawn_with_their_percentiles() -> None:
    text, html = both(show.chart_requests(measured(*range(1, 101))))
    assert text == "Time of each request: 100 requests · p50 50.5 ms · p95 95.0 ms · p99 99.0 ms"
    (svg,) = pictures(html)
    said = words(svg)
    assert any("p50" in word and "50.5 ms" in word for word in said)
    assert any("p95" in word and "95.0 ms" in word for word in said)
    assert f'alt="{text}"' in html


def test_before_and_after_in_one_chart_and_one_table() -> None:
    before = measured(700, 748, 800, calls=161, blocks=31_204)
    after = measured(0.29, 0.3, 0.31, calls=3, blocks=7)
    compared = show.before_after(before, after)
    text, html = both(compared)
    assert text.splitlines() == [
        "Before and after: 2,493× faster",
        "                    before  after  before ÷ after",
        "──────────────────  ──────  ─────  ──────────────",
        "calls per request      161      3             54×",
        "blocks per request  31,204      7          4,458×",
        "p50 ms                 748  0.300          2,493×",
        "p95 ms                 795  0.309          2,572×",
    ]
    assert compared.ratio == pytest.approx(748 / 0.3)
    (svg,) = pictures(html)
    assert {"2,493× faster", "p50 748 ms", "p50 0.300 ms", "before", "after"} <= set(words(svg))


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [(5.0, 14.0, "2.8× slower"), (5.0, 5.1, "as fast as before"), (0.0, 1.0, "nothing to compare")],
)
def test_a_fix_that_is_none_is_called_so(was: float, now: float, said: str) -> None:
    text, _ = both(show.before_after(measured(was), measured(now)))
    assert text.splitlines()[0] == f"Before and after: {said}"


@pytest.mark.parametrize("times", [(), (0.0,), (1.0, 5_000.0), (0.001,) * 300])
def test_any_measurement_can_be_drawn(times: tuple[float, ...]) -> None:
    for shown in (show.chart_requests(measured(*times)), show.before_after(measured(*times), measured(1.0))):
        (svg,) = pictures(both(shown)[1])
        ET.fromstring(svg)


def test_the_same_figures_make_the_same_picture() -> None:
    first, second = (show.before_after(measured(5, 6, 7), measured(1, 2)).html() for _ in range(2))
    assert first == second


def test_a_picture_has_no_background_and_colours_for_both_themes() -> None:
    (svg,) = pictures(show.before_after(measured(5, 6, 7), measured(1, 2)).html())
    colours = set(re.findall(r"(?:fill|stroke): ?(#[0-9a-f]{6})", svg))
    assert {style.BLUE, style.ORANGE, style.GREY} <= colours
    for colour in (style.BLUE, style.ORANGE, style.GREY):
        for page in ("#ffffff", "#111111"):
            assert contrast(colour, page) >= 4, (colour, page)
    boxes = re.findall(r'<g id="patch_[12]">\s*<path [^>]*style="([^"]*)"', svg)
    assert boxes
    assert all("fill: none" in box or "opacity: 0" in box for box in boxes)


def contrast(one: str, other: str) -> float:
    """As WCAG defines it: 1 to 21."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_showing_leaves_stderr_clean_where_nothing_can_be_cached(tmp_path: Path) -> None:
    """nbgrader gives 0 points for any stderr output. /dev/null/x can't be made, not even by root."""
    script = (
        "from pglab import show; from pglab.measure import Measurement as M;"
        "m = M(1, 1, 1, 1, 1, 1.0, [1.0, 2.0, 300.0]);"
        "print(len(show.before_after(m, m)._repr_mimebundle_()['text/html']));"
        "print(len(show.chart_requests(m)._repr_mimebundle_()['text/html']))"
    )
    nowhere = dict.fromkeys(("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/dev/null/x")
    root = Path(show.__file__).parents[2]
    environment = (
        os.environ | nowhere | {"PYTHONPATH": str(root), "TMPDIR": str(tmp_path), "PYTHONWARNINGS": "default"}
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 2


def test_showing_leaves_pyplot_and_the_log_level_alone() -> None:
    import logging

    logger = logging.getLogger("matplotlib")
    before = logger.level
    show.chart_requests(measured(1, 2)).html()
    assert logger.level == before
    done = subprocess.run(
        [sys.executable, "-c", "import sys; import pglab.show; print('matplotlib' in sys.modules)"],
        env=os.environ | {"PYTHONPATH": str(Path(show.__file__).parents[2])},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"  # drawn only when asked for: the import takes half a second


# -- numbers


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (31204, "31,204"),
        (0.0624, "0.062"),
        (5.234, "5.23"),
        (52.34, "52.3"),
        (1234.5, "1,234"),
        (7.0, "7"),
        (0, "0"),
    ],
)
def test_numbers(value: float, said: str) -> None:
    assert style.number(value) == said


@pytest.mark.parametrize(
    ("blocks", "said"),
    [(0, "0 kB"), (1, "8 kB"), (124, "992 kB"), (131, "1.0 MB"), (34091, "266 MB"), (273611, "2.1 GB")],
)
def test_sizes(blocks: int, said: str) -> None:
    assert style.size(blocks) == said


def test_times_of_nothing() -> None:
    assert style.ms(float("nan")) == style.number(float("inf")) == style.DASH
