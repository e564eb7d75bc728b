"""Lab 23 as a learner has it: the fleet that takes all connections, live, and through the learner's PgBouncer."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from pglab.cluster import pgbouncer
from pglab.home import Home
from tests.browser.notebook import NotebookPage, evidence, most_points

NOTEBOOK = "notebooks/23-pool-exhaustion/23-pool-exhaustion.ipynb"

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _needs_pgbouncer(tmp_path: Path) -> None:
    if pgbouncer.find(Home(tmp_path)) is None:
        pytest.skip("PgBouncer is not installed")


def test_it_fails_with_evidence_then_passes(page: Page, pictures: Path) -> None:
    notebook = NotebookPage(page, NOTEBOOK)
    notebook.open()

    notebook.run_all()
    assert notebook.errors() == []
    assert set(notebook.points().values()) == {0.0}
    outage, pooled, both = notebook.charts()
    assert outage.startswith("Tuesday, 9:00: ") and "failed: FATAL: " in outage
    assert pooled.startswith("With your PgBouncer: ") and "max_client_conn" in pooled
    assert both.startswith("The fleet, without and with your PgBouncer: ")
    failed = evidence(notebook.verdict("fix"))
    assert failed["pool_mode"]["measured"] == "session" and failed["pool_mode"]["target"] == "transaction"
    lost = failed["requests of the fleet that were lost"]
    assert "no more connections allowed (max_client_conn)" in lost["measured"] and lost["target"] == "0"
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-23-fail.png")

    notebook.solve()
    notebook.run_all()
    assert notebook.errors() == []
    assert notebook.points() == most_points(NOTEBOOK)
    assert "failed" not in notebook.charts()[1]
    assert "8,147" in notebook.all_said()  # the story's table, with this machine's figures beside it
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-23-pass.png")
