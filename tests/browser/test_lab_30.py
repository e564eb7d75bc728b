"""Lab 30 as a learner has it: old values from a replica that lags, and a router that knows who may read there."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.notebook import NotebookPage, evidence, most_points

NOTEBOOK = "notebooks/30-replica-lag/30-replica-lag.ipynb"
STALE = "reads that gave a session an older value than it wrote"

pytestmark = pytest.mark.slow


def test_it_fails_with_evidence_then_passes(page: Page, pictures: Path) -> None:
    notebook = NotebookPage(page, NOTEBOOK)
    notebook.open()

    notebook.run_all()
    assert notebook.errors() == []
    assert set(notebook.points().values()) == {0.0}
    lag, before, _ = notebook.charts()
    assert lag.startswith("Two seconds of writes") and "bytes of WAL not replayed yet" in lag
    assert before.startswith("Reads of sessions that had written") and " 0 old value" not in before
    stale = evidence(notebook.verdict("fix"))[STALE]
    for found in ("session s", " wrote '+", " ms later read ", "from the replica, which was at 0/"):
        assert found in stale["measured"]
    assert stale["target"] == "0" and "last write" in stale["hint"]
    assert "reads that failed while the replica was stopped" in evidence(notebook.verdict("safe"))
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-30-fail.png")

    notebook.solve()
    notebook.run_all()
    assert notebook.errors() == []
    assert notebook.points() == most_points(NOTEBOOK)
    assert (
        "after: " in notebook.charts()[2] and ", 0 old value" in notebook.charts()[2].partition("after: ")[2]
    )
    assert f"{STALE} = 0 of " in notebook.verdict("fix")
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-30-pass.png")
