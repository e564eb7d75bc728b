"""From lab.py to the notebooks: solutions/<lab>/<lab>.ipynb and, through nbgrader, labs/<lab>/.

`python -m grader.build` writes what has changed; `--check` writes nothing and exits 1 if a file has drifted.
The same lab.py gives the same bytes everywhere: ids come from names and contents, nothing bears a date.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from grader.notebook import CODE_STUB, PUBLIC, SECRET, TEXT_STUB, LabText, notebook_text
from grader.spec import Spec, all_labs
from pglab.errors import LabError
from pglab.home import course_root

MARKERS = ("<!-- labs -->", "<!-- /labs -->")
# What working in a folder leaves behind: neither made by us nor ours to judge.
LEFTOVERS = (".ipynb_checkpoints", "__pycache__", ".virtual_documents")


def private_names(root: Path) -> list[str]:
    """Every name in solutions/*/ that nbgrader must not copy to labs/: whatever is not named as public.

    Raises:
        LabError: a name is public in one lab and private in another (nbgrader knows names, not paths).
    """
    private, public = set(SECRET), set[str]()
    for spec in all_labs(root):
        shown = {*PUBLIC, *spec.raw.get("public", ())}
        public |= shown
        private |= {path.name for path in spec.folder.iterdir()} - shown - {f"{spec.id}.ipynb"}
    both = sorted(public & private)
    if both:
        raise LabError(
            f"{both[0]} is public in one lab and private in another", "Give the two files different names"
        )
    return sorted(private)


def release(root: Path, lab: str, staging: Path) -> dict[str, bytes]:
    """Make one lab's files in a scratch folder: path from the root → content.

    nbgrader works on a copy that holds the public files alone: what it does not have it cannot show.
    """
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    text = LabText.load(lab, root)
    folder = text.spec.folder
    source = staging / "solutions" / lab
    source.mkdir(parents=True)
    (source / f"{lab}.ipynb").write_text(notebook_text(text), encoding="utf-8")
    for name in text.public:
        if (folder / name).is_dir():
            shutil.copytree(folder / name, source / name)
        elif (folder / name).exists():
            shutil.copy(folder / name, source / name)
    config = Config(
        CourseDirectory={
            "root": str(staging),
            "source_directory": "solutions",
            "release_directory": "labs",
            "assignment_id": lab,
        },
        ClearSolutions={"code_stub": CODE_STUB, "text_stub": TEXT_STUB},
        GenerateAssignment={"no_database": True},
        SaveCells={"enabled": False},
    )
    coursedir = CourseDirectory(config=config)
    GenerateAssignment(coursedir=coursedir, config=config).start()
    made = {f"solutions/{lab}/{lab}.ipynb": (source / f"{lab}.ipynb").read_bytes()}
    for path in sorted((staging / "labs" / lab).rglob("*")):
        if path.is_file():
            made[str(path.relative_to(staging))] = path.read_bytes()
    text.refuse_broken_release(made[f"labs/{lab}/{lab}.ipynb"].decode())
    return made


def table(specs: Iterable[Spec], prefix: str) -> str:
    """The labs as a Markdown table, links relative to where it stands."""
    lines = ["| Lab | Module | Minutes | Incident | Before → after |", "| --- | --- | --- | --- | --- |"]
    for spec in specs:
        link = f"[{spec.title}]({prefix}{spec.id}/{spec.id}.ipynb)"
        measured = spec.raw.get("measured", "")  # what its authors saw, on two cores
        lines.append(
            f"| {link} | {spec.module} | {spec.minutes} | {spec.incident} | {measured} |".replace("\n", " ")
        )
    return "\n".join(lines) + "\n"


def indexes(root: Path) -> dict[str, bytes]:
    """labs/README.md, and README.md with its table renewed where it has the markers."""
    specs = all_labs(root)
    head = "# Labs\n\nEach notebook is one production incident. Open one in JupyterLab (`make lab`).\n\n"
    made = {"labs/README.md": (head + table(specs, "")).encode()}
    readme = root / "README.md"
    if readme.exists():
        before, start, rest = readme.read_text(encoding="utf-8").partition(MARKERS[0])
        _, end, after = rest.partition(MARKERS[1])
        if start and end:
            made["README.md"] = f"{before}{start}\n{table(specs, 'labs/')}{end}{after}".encode()
    return made


def make(root: Path, labs: list[str]) -> dict[str, bytes]:
    """Everything that the build writes, path from the root → content."""
    made: dict[str, bytes] = {}
    for lab in labs:
        with tempfile.TemporaryDirectory() as staging:
            # resolved: nbgrader compares paths as text, and a temporary folder is a link on macOS
            made |= release(root, lab, Path(staging).resolve())
    return made | indexes(root)


def strays(root: Path, labs: list[str], made: dict[str, bytes]) -> list[Path]:
    """Files in the labs' release folders that nobody makes: an earlier public file, or a leak."""
    found = (path for lab in labs for path in (root / "labs" / lab).rglob("*") if path.is_file())
    ours = (path for path in found if not set(path.relative_to(root).parts) & set(LEFTOVERS))
    return sorted(path for path in ours if str(path.relative_to(root)) not in made)


def drift(root: Path, labs: list[str]) -> list[str]:
    """What is not as it would be made, one sentence each."""
    made = make(root, labs)
    changed = [
        f"{name} is not what lab.py and lab.toml give"
        for name, content in made.items()
        if not (root / name).exists() or (root / name).read_bytes() != content
    ]
    extra = [path.relative_to(root) for path in strays(root, labs, made)]
    return changed + [f"{path} is not made by the build" for path in extra]


def build(root: Path, labs: list[str]) -> list[str]:
    """Write what differs, remove what is no longer made; the paths that changed."""
    made = make(root, labs)
    changed = []
    for name, content in made.items():
        path = root / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            changed.append(name)
    for path in strays(root, labs, made):
        path.unlink()
        changed.append(f"{path.relative_to(root)} (removed)")
    return changed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grader.build", description="lab.py → notebooks")
    parser.add_argument("labs", nargs="*", metavar="LAB", help="labs to build (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    options = parser.parse_args(arguments)
    try:
        root = course_root().resolve()
        labs = options.labs or [spec.id for spec in all_labs(root)]
        if options.check:
            problems = drift(root, labs)
            for problem in problems:
                print(f"{problem}. Run python -m grader.build.", file=sys.stderr)
            return 1 if problems else 0
        for name in build(root, labs):
            print(name)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
