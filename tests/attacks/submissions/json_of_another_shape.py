# lab: 10-missing-index
# tries: JSON that is no notebook: cells that are numbers, sources that are dicts.
# needs: engine
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
from __future__ import annotations

import json
from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    cells = [
        1,
        None,
        {"cell_type": "code"},
        {"cell_type": ["code"], "source": {"a": 1}, "metadata": 5, "outputs": "none"},
    ]
    (folder / NAME).write_text(
        json.dumps({"cells": cells, "metadata": [], "nbformat": "4", "nbformat_minor": None})
    )
