# lab: 10-missing-index
# tries: every graded cell twice, and all cells with the same id.
# needs: engine
# expect: diagnose-rows=0 diagnose-blocks=0
from __future__ import annotations

import copy
from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    notebook.cells += [
        copy.deepcopy(cell)
        for cell in notebook.cells
        if "nbgrader" in cell.metadata and cell.cell_type == "code"
    ]
    for cell in notebook.cells:
        cell.id = "same"
    write(folder, notebook)
