# lab: 10-missing-index
# tries: cell ids that are empty, endless, paths or numbers.
# needs: engine
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    odd = ["", "x" * 10_000, "../../gradebook", "a b", "ä", "\n", "<script>"]
    for number, cell in enumerate(notebook.cells):
        cell.id = odd[number % len(odd)]
    write(folder, notebook)
