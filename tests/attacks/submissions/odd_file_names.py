# lab: 10-missing-index
# tries: files whose names are options, commands, patterns, settings, or no text at all.
# needs: engine
from __future__ import annotations

import os
from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    write(folder, notebook)
    names = [
        b"--help", b"-rf", b"$(touch pglab-attack)", b"; touch pglab-attack", b"a\nb", b"*", b"~", b"con", b"\xff\xfe", b"x" * 250,
        b"nbgrader_config.py", b"jupyter_config.py", b"ipython_config.py", b"sitecustomize.py", b"evil.pth", b"conftest.py", b".bashrc", b"gradebook.db",
        b"grader.py", b"pglab.py", b"workload.py.bak", b".psqlrc", b".pgpass", b"pyvenv.cfg", "ü\u202egpj.exe".encode(),
    ]  # fmt: skip
    for name in names:
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:
            file.write(b"raise SystemExit('a file of the submission was run')\n")
    deep = folder
    for _ in range(60):
        deep = deep / "deep"
    deep.mkdir(parents=True)
