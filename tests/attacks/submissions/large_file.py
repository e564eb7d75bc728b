# lab: 10-missing-index
# tries: a file of ten gigabytes that takes no room on the student's disk.
# needs: engine
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    write(folder, notebook)
    with (folder / "sparse.bin").open("wb") as file:
        file.truncate(10_000_000_000)
