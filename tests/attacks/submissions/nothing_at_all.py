# lab: 10-missing-index
# tries: an empty folder.
# needs: engine
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    assert folder.is_dir()
