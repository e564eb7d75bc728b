"""Lab 10 as a learner has it: run it as it is and see it fail with evidence, mend it, see it pass."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.notebook import NotebookPage, said

NOTEBOOK = "notebooks/10-missing-index/10-missing-index.ipynb"
FIX = 'lab.execute("CREATE INDEX CONCURRENTLY order_items_order_id_idx ON order_items (order_id)")'


def test_it_fails_with_evidence_then_passes(page: Page, pictures: Path) -> None:
    notebook = NotebookPage(page, NOTEBOOK)
    notebook.open()

    notebook.run_all()
    assert notebook.errors() == []
    failed = said(notebook.outputs("fix"))
    assert "fail" in failed.lower()
    assert "blocks" in failed  # the evidence, not only the verdict
    assert failed.rstrip().endswith("0.0")
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-10-fail.png")

    notebook.type_into("fix-answer", FIX)
    notebook.run_all()
    assert notebook.errors() == []
    passed = said(notebook.outputs("fix"))
    assert "pass" in passed.lower()
    assert "fail" not in passed.lower()
    assert "pass" in said(notebook.outputs("safe")).lower()
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-10-pass.png")
