# lab: 10-missing-index
# tries: links to the gradebook, the solutions, the neighbours and the machine's files; the notebook prints what it can read of them.
# needs: engine
from __future__ import annotations

from pathlib import Path

from nbformat.v4 import new_code_cell

from tests.attacks.attack import NAME, NotebookNode, write


def build(folder: Path, notebook: NotebookNode) -> None:
    write(folder, notebook)
    course = folder.parents[2]
    aims = {
        "book": course / "gradebook.db", "answers": course / "solutions", "others": course / "submitted", "passwd": Path("/etc/passwd"),
        "up": Path("../../.."), "loop": folder / "loop", "self": folder, "shadow": Path("/etc/shadow"), "proc": Path("/proc/self/environ"),
    }  # fmt: skip
    for name, aim in aims.items():
        (folder / name).symlink_to(aim)
    look = """
    from pathlib import Path

    for path in [Path(name) for name in ("book", "passwd", "shadow", "proc")] + [*Path("answers").glob("*/judge.py"), *Path("others").glob("*/*/*.ipynb")]:
        try:
            print(path, path.read_bytes()[:2000])
        except OSError as error:
            print(path, error)
    """
    notebook.cells.append(new_code_cell(look, id="look"))
    write(folder, notebook)
