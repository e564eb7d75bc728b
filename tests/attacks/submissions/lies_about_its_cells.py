# lab: 10-missing-index
# tries: metadata that says what a cell is worth, and that it need not be run.
# needs: engine
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        claimed = cell.metadata.get("nbgrader")
        if claimed and claimed.get("grade"):
            claimed.update(points=1000, locked=False, solution=True, schema_version=99, checksum="0")
        cell.metadata["tags"] = ["skip-execution", "raises-exception", "remove-cell"]
        cell.metadata["execution"] = {"timeout": 0}
    write(folder, notebook)
