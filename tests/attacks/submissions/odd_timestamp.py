# lab: 10-missing-index
# tries: a time of submission that is no time.
# needs: engine
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    write(folder, notebook)
    (folder / "timestamp.txt").write_text("never'; DROP TABLE submitted_assignment; --\n" + "9" * 100_000)
