# lab: 10-missing-index
# tries: the notebook itself is a named pipe.
# needs: engine
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
from __future__ import annotations

import os
from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    os.mkfifo(folder / NAME)
