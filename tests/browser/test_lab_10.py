"""Lab 10 as a learner has it: run it as it is and see it fail with evidence, mend it, see it pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.browser.notebook import NotebookPage

NOTEBOOK = "notebooks/10-missing-index/10-missing-index.ipynb"
FIX = 'lab.execute("CREATE INDEX CONCURRENTLY order_items_order_id_idx ON order_items (order_id)")'


def said(outputs: list[dict[str, Any]]) -> str:
    """The text of a cell's outputs, tags and all."""
    parts = [
        output.get("data", {}).get("text/html")
        or output.get("data", {}).get("text/plain")
        or output.get("text", "")
        for output in outputs
    ]
    return "\n".join("".join(part) if isinstance(part, list) else part for part in parts)


def errors(notebook: NotebookPage) -> list[str]:
    """What stopped a cell."""
    found = [
        output for cell in notebook.cells() for output in cell["outputs"] if output["output_type"] == "error"
    ]
    return [f"{output['ename']}: {output['evalue']}" for output in found]


def test_it_fails_with_evidence_then_passes(page: Page, pictures: Path) -> None:
    notebook = NotebookPage(page, NOTEBOOK)
    notebook.open()

    notebook.run_all()
    assert errors(notebook) == []
    failed = said(notebook.outputs("fix"))
    assert "fail" in failed.lower()
    assert "blocks" in failed  # the evidence, not only the verdict
    assert failed.rstrip().endswith("0.0")
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-10-fail.png")

    notebook.type_into("fix-answer", FIX)
    notebook.run_all()
    assert errors(notebook) == []
    passed = said(notebook.outputs("fix"))
    assert "pass" in passed.lower()
    assert "fail" not in passed.lower()
    assert "pass" in said(notebook.outputs("safe")).lower()
    notebook.scroll_to("fix")
    notebook.picture(pictures / "lab-10-pass.png")
