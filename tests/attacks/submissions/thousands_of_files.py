# lab: 10-missing-index
# tries: twenty thousand files beside the notebook.
# needs: engine
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    write(folder, notebook)
    for number in range(20_000):
        (folder / f"{number}.txt").write_text("x")
