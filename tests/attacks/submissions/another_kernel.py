# lab: 10-missing-index
# tries: a kernel, a language and a loader of its own.
# needs: engine
from __future__ import annotations

from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    notebook.metadata = {
        "kernelspec": {"name": "../../evil", "display_name": "x", "language": "bash", "argv": ["/bin/sh", "-c", "touch /tmp/pglab-attack"]},
        "language_info": {"name": "bash", "version": "5"}, "jupytext": {"formats": "ipynb,py"},
    }  # fmt: skip
    share = folder / "kernels" / "python3"
    share.mkdir(parents=True)
    (share / "kernel.json").write_text(
        '{"argv": ["touch", "/tmp/pglab-attack"], "display_name": "x", "language": "python"}'
    )
    write(folder, notebook)
