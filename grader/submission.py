"""What a student handed in: read once, so that nothing that is graded can change meanwhile."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbgrader.utils import parse_utc

MB = 2**20  # bytes
MOST_FILES = 500
LARGEST_MB = 50  # all files together, the notebook's outputs not counted: they are thrown away
TIMESTAMP = "timestamp.txt"  # nbgrader's, of when it was handed in
ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # of a cell, as nbformat has it
LARGEST_NOTEBOOK_MB = 512  # with outputs, so that it can be read at all


@dataclass
class Submission:
    """A student's files.

    Attributes:
        files: relative path → bytes, notebooks with sources, ids and nbgrader's marks alone; left_out: what was not read, and why;
        problem: why it cannot be graded at all, empty when it can.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    problem: str = ""

    def digest(self) -> str:
        """Of names and contents."""
        told = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            told.update(f"{len(name)} {name} {len(content)} ".encode(errors="surrogateescape"))
            told.update(content)
        return told.hexdigest()

    def write(self, folder: Path) -> None:
        """Write the files into a new folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def shorten(lines: list[str], most: int = 5) -> list[str]:
    """The first few, and how many more there are."""
    return lines if len(lines) <= most else [*lines[:most], f"{len(lines) - most:,} more"]


def read_submission(folder: Path, notebook: str) -> Submission:
    """Read a submission's folder. Links and other things that are no plain files stay out.

    Args:
        notebook: the file that must be there, such as "10-missing-index.ipynb".
    """
    found = Submission()
    room = LARGEST_MB * MB
    for path in _walk(folder, found):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".ipynb":
            content = _without_outputs(path, name, found, required=name == notebook)
        elif name == TIMESTAMP and not _is_date(path):
            found.left_out.append(f"{name} (no date: the submission counts as on time)")
            continue
        else:
            content = path.read_bytes() if path.stat().st_size <= room else None
        if content is None or len(content) > room or len(found.files) >= MOST_FILES:
            if name == notebook:
                found.problem = found.problem or f"{name} is larger than {LARGEST_MB} MB without its outputs"
                continue
            found.left_out.append(f"{name} (too large or too many: {LARGEST_MB} MB, {MOST_FILES} files)")
            continue
        room -= len(content)
        found.files[name] = content
    if notebook not in found.files and not found.problem:
        found.problem = f"{notebook} is missing"
    return found


def read_files(folder: Path, handed_in: Path) -> dict[str, bytes]:
    """The files of a folder that nbgrader made of a submission, but for its notebooks.

    nbgrader copies what a link points to, be it the instructor's own: what is no plain file in `handed_in` stays out.
    """
    files: dict[str, bytes] = {}
    for path in _walk(folder, Submission()):
        name = path.relative_to(folder)
        origin = handed_in / name
        if path.suffix != ".ipynb" and not any(part.is_symlink() for part in (origin, *origin.parents)):
            files[name.as_posix()] = path.read_bytes()
    return files


def _walk(folder: Path, found: Submission) -> Iterator[Path]:
    """The plain files, the notebooks first."""
    plain: list[Path] = []
    folders = [folder]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) and path.name not in (".ipynb_checkpoints", "__pycache__"):
                folders.append(path)
            elif stat.S_ISREG(mode):
                plain.append(path)
            elif not stat.S_ISDIR(mode):
                found.left_out.append(f"{path.relative_to(folder)} (no plain file)")
    yield from sorted(plain, key=lambda path: (path.suffix != ".ipynb", len(path.parts), str(path)))


def _is_date(path: Path) -> bool:
    """Whether nbgrader can read it."""
    try:
        parse_utc(path.read_text()[:100].strip())
    except (ValueError, OverflowError, OSError):
        return False
    return path.stat().st_size < 100


def _without_outputs(path: Path, name: str, found: Submission, *, required: bool) -> bytes | None:
    def problem(text: str) -> None:
        if required:
            found.problem = text

    if path.stat().st_size > LARGEST_NOTEBOOK_MB * MB:
        problem(f"{name} is larger than {LARGEST_NOTEBOOK_MB} MB")
        return None
    try:
        notebook: Any = json.loads(path.read_bytes())
        ids: set[str] = set()
        for index, cell in enumerate(notebook["cells"]):
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
            claimed = cell.get("metadata", {}).get("nbgrader")
            cell["metadata"] = {} if claimed is None else {"nbgrader": claimed}
            if "id" in cell and (not ID.fullmatch(str(cell["id"])) or cell["id"] in ids):
                cell["id"] = f"cell-{index}"
            ids.add(cell.get("id"))
        notebook["metadata"] = {}  # the gradebook has the kernel; no other setting of a student's counts
        return json.dumps(notebook, indent=1).encode(errors="surrogatepass")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem(f"{name} is no notebook ({type(error).__name__})")
        return None
