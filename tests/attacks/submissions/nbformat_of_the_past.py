# lab: 10-missing-index
# tries: a format from before cells had ids.
# needs: engine
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    notebook.nbformat_minor = 0
    for cell in notebook.cells:
        del cell["id"]
    write(folder, notebook)
