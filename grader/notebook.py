"""lab.py (jupytext percent) and lab.toml → one notebook with nbgrader's metadata, always the same bytes."""

from __future__ import annotations

import ast
import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.notebooknode import NotebookNode

from grader.spec import Spec
from pglab.errors import LabError

PUBLIC = ("lab.toml", "workload.py")  # what every release may show
SECRET = ("lab.py", "judge.py", "break.sql", "samples")  # and what none does, whatever lab.toml says
# A release runs as it is, and is slow: a comment, no `raise`.
CODE_STUB = {"python": "# your code here"}
TEXT_STUB = "*Your answer here.*"
KINDS = ("check", "solution", "manual")
KEPT = {"tags", "jupyter"}  # cell metadata that lab.py may set beside ours
JUPYTEXT = {"lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker"}  # how the text was laid out
BEGIN, END, HIDDEN = "BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    # no version: it would differ from machine to machine
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}


@dataclass(frozen=True)
class LabText:
    """What the build needs of a lab's folder."""

    spec: Spec
    text: str
    public: tuple[str, ...]  # what stands beside the released notebook

    @property
    def lab(self) -> str:
        return self.spec.id

    @classmethod
    def load(cls, lab: str, root: Path) -> LabText:
        """Read lab.toml and lab.py.

        Raises:
            LabError: a file or field is missing, a check's name or points are none, a secret is to be public.
        """
        spec = Spec.load(lab, root)
        if not (spec.folder / "lab.py").is_file():
            raise LabError(f"{lab}: lab.py is missing")
        for check in spec.checks.values():
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,48}", check.name):
                raise LabError(
                    f"{lab}: the check {check.name!r} has no proper name", "Use letters, digits, - and _"
                )
            if not math.isfinite(check.points):
                raise LabError(
                    f"{lab}: check {check.name} is worth {check.points}", "Points are a number above 0"
                )
        public = tuple(spec.raw.get("public", ()))
        for name in public:
            if name in SECRET or "/" in name or name.endswith(".ipynb"):
                raise LabError(f"{lab}: {name} cannot be public", "Name a file or folder beside lab.toml")
            if not (spec.folder / name).exists():
                raise LabError(
                    f"{lab}: {name} is public in lab.toml, but not there", "Add it or drop the name"
                )
        return cls(spec, (spec.folder / "lab.py").read_text(encoding="utf-8"), (*PUBLIC, *public))

    def refuse_broken_release(self, release: str) -> None:
        """A release runs as it is: a stub must not leave a hole that Python cannot parse."""
        for cell in nbformat.reads(release, as_version=4).cells:
            if cell.cell_type == "code":
                try:
                    source = TransformerManager().transform_cell(cell.source)
                    compile(source, cell.id, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
                except SyntaxError as error:
                    raise LabError(
                        f"{self.lab}: without its solution the cell {cell.id} does not parse ({error.msg})",
                        f"Let a complete, slow version stand above ### {BEGIN}",
                    ) from None


def _grade(lab: LabText, cell: NotebookNode, kind: str, name: str) -> dict[str, Any]:
    """nbgrader's metadata (schema 3) of one cell; refuses a cell that does not fit lab.toml."""
    if name not in lab.spec.checks:
        raise LabError(f"{lab.lab}: lab.py has {kind}={name!r}, lab.toml has no such check", "Add it there")
    code = cell.cell_type == "code"
    if code == (kind == "manual"):
        wanted = "Markdown" if kind == "manual" else "code"
        raise LabError(f"{lab.lab}: {kind}={name!r} is not a {wanted} cell")
    check = lab.spec.checks[name]
    if kind != "solution" and (kind == "manual") != check.manual:
        raise LabError(
            f"{lab.lab}: {kind}={name!r}, but lab.toml says manual = {str(check.manual).lower()}",
            "A check that a person grades is manual in both",
        )
    if kind == "check" and not _ends_in_check(cell.source, name):
        raise LabError(f'{lab.lab}: the cell check={name!r} does not end in lab.check("{name}")')
    if kind == "solution" and BEGIN not in cell.source:
        raise LabError(f"{lab.lab}: the cell solution={name!r} has no ### {BEGIN}")
    metadata = {
        "grade": kind != "solution",
        "grade_id": f"{name}-answer" if kind == "solution" else name,
        "locked": kind == "check",
        "schema_version": 3,
        "solution": kind != "check",
        "task": False,
    }
    if kind != "solution":
        metadata["points"] = check.points
    return metadata


def _ends_in_check(source: str, name: str) -> bool:
    """The last statement is lab.check("name", …): its value is the cell's output."""
    try:
        last = ast.parse(source).body[-1]
    except (SyntaxError, IndexError):
        return False
    match last:
        case ast.Expr(ast.Call(func=ast.Attribute(attr="check"), args=[ast.Constant(value=first), *_])) if (
            first == name
        ):
            return True
    return False


def _refuse_markers(lab: str, source: str, kind: str) -> None:
    """Markers come in pairs and in student's cells alone: a marker elsewhere would show the solution."""
    if HIDDEN in source:
        raise LabError(f"{lab}: lab.py has hidden tests, which feedback shows", "Let the referee check it")
    marks = re.findall(f"{BEGIN}|{END}", source)
    if marks != [BEGIN, END] * (len(marks) // 2):
        raise LabError(f"{lab}: ### {BEGIN} and ### {END} do not pair in a cell of lab.py")
    if marks and kind not in ("solution", "manual"):
        raise LabError(f"{lab}: ### {BEGIN} stands in a cell that is not solution= or manual=")


def notebook(lab: LabText) -> NotebookNode:
    """The source notebook.

    Raises:
        LabError: lab.py and lab.toml do not fit.
    """
    cells, seen, copies = [], Counter[str](), Counter[str]()
    for cell in jupytext.reads(lab.text, fmt="py:percent").cells:
        extra = {key: value for key, value in cell.metadata.items() if key not in JUPYTEXT}
        kinds = [kind for kind in KINDS if kind in extra]
        unknown = sorted(set(extra) - KEPT - set(KINDS))
        if len(kinds) > 1 or unknown:
            what = " and ".join(kinds) if len(kinds) > 1 else unknown[0]
            raise LabError(
                f"{lab.lab}: a cell of lab.py is marked {what}", "Use check=, solution= or manual="
            )
        kind = kinds[0] if kinds else ""
        _refuse_markers(lab.lab, cell.source, kind)
        metadata = {key: extra[key] for key in sorted(KEPT & set(extra))}
        if kind:
            metadata["nbgrader"] = _grade(lab, cell, kind, extra[kind])
            name = metadata["nbgrader"]["grade_id"]
            seen[name] += 1
            if seen[name] > 1:
                raise LabError(f"{lab.lab}: lab.py has {kind}={extra[kind]!r} twice")
        else:
            digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
            copies[digest] += 1
            name = f"{digest}-{copies[digest]}"
        make: Any = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        cells.append(make(cell.source, id=name, metadata=metadata))
    missing = [name for name in lab.spec.checks if not seen[name]]
    if missing:
        raise LabError(f"{lab.lab}: lab.toml has the check {missing[0]}, but lab.py has no cell for it")
    made: NotebookNode = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    return made


def notebook_text(lab: LabText) -> str:
    """The source notebook as the file holds it."""
    made = notebook(lab)
    made.nbformat_minor = 5
    nbformat.validate(made)
    return str(nbformat.writes(made, version=4)) + "\n"
