# lab: 10-missing-index
# tries: a notebook with outputs of a hundred megabytes, of every kind that there is.
# needs: engine
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                {"output_type": "stream", "name": "stdout", "text": "x" * 2_500_000},
                {
                    "output_type": "display_data",
                    "metadata": {},
                    "data": {"text/html": "<script>" + "y" * 2_500_000, "image/png": "z"},
                },
            ]
    write(folder, notebook)
