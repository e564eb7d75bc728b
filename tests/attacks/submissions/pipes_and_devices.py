# lab: 10-missing-index
# tries: named pipes, sockets, unreadable files: whoever reads them waits for ever.
# needs: engine
from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    write(folder, notebook)
    for name in ("data.csv", "timestamp.txt", "other.ipynb"):
        os.mkfifo(folder / name)
    (folder / "closed").write_text("x")
    (folder / "closed").chmod(0)
    (folder / "locked").mkdir(mode=0)
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path must be short
        try:
            s.bind("socket")
        finally:
            os.chdir(here)
