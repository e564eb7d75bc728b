# lab: 10-missing-index
# tries: outputs of graded cells with full points, and cells that do nothing.
# needs: engine
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = "" if cell.metadata.get("nbgrader", {}).get("grade") else "pass"
            data = {"text/plain": "5.0"}
            cell.outputs = [
                {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": data}
            ]
    write(folder, notebook)
