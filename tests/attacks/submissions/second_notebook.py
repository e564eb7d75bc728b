# lab: 10-missing-index
# tries: a second notebook with the same graded cells, all of them solved by a number.
# needs: engine
from __future__ import annotations

import copy
from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    write(folder, notebook)
    other = copy.deepcopy(notebook)
    for cell in other.cells:
        if cell.cell_type == "code":
            cell.source = "5.0"
    write(folder, other, "0-" + NAME)
    write(folder, other, "10-missing-index.IPYNB")
