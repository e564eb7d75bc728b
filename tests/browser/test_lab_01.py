"""Lab 01 as a learner has it: the page that asks once per order, seen, mended and judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.notebook import NotebookPage, evidence, most_points, said

NOTEBOOK = "notebooks/01-n-plus-one/01-n-plus-one.ipynb"

pytestmark = pytest.mark.slow


def test_it_fails_with_evidence_then_passes(page: Page, pictures: Path) -> None:
    notebook = NotebookPage(page, NOTEBOOK)
    notebook.open()

    notebook.run_all()
    assert notebook.errors() == []
    assert set(notebook.points().values()) == {0.0}
    assert [chart.split(":")[0] for chart in notebook.charts()] == [
        "Time of each request",
        "Before and after",
    ]
    asked = next(cell for cell in notebook.cells() if cell["source"].startswith("%%sql"))
    assert "text-align:left" in said(asked["outputs"])  # a table of ours, not JupyterLab's
    calls = evidence(notebook.verdict("fix"))["calls per request"]
    assert calls["measured"].startswith("21, 161, 601")  # 1 + 2N for 10, 80 and 300 orders
    assert calls["target"].startswith("≤ 3") and "pg_stat_statements" in calls["source"]
    assert "which line sends it?" in calls["hint"]
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-01-fail.png")

    notebook.solve()
    notebook.run_all()
    assert notebook.errors() == []
    assert notebook.points() == most_points(NOTEBOOK)
    assert "calls per request = 3, 3, 3" in notebook.verdict("fix")
    assert "faster" in notebook.charts()[1]
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-01-pass.png")
