"""A course folder with one tiny lab, and nbgrader's commands on it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook

from grader.build import build

CHECKOUT = Path(__file__).resolve().parents[3]
LAB = "00-tiny"
Notebook = dict[str, Any]

LAB_TOML = """
title = "Tiny"
module = 1
order = 0
minutes = 1
dataset = "shop"
topology = ["primary"]
source = "none"
incident = "nothing happens"
[[check]]
name = "find"
part = "diagnose"
title = "find"
points = 3
[[check]]
name = "fix"
part = "fix"
title = "fix"
points = 5
[[check]]
name = "explain"
part = "explain"
title = "explain"
points = 2
manual = true
"""
LAB_PY = """# %% [markdown]
# # Tiny

# %%
import stub_lab
lab = stub_lab.start()

# %% solution="find"
cause = None
### BEGIN SOLUTION
cause = "x"  # SECRET
### END SOLUTION

# %% check="find"
lab.check("find", cause)

# %% solution="fix"
answer = 0
### BEGIN SOLUTION
answer = 42  # SECRET
### END SOLUTION

# %% check="fix"
lab.check("fix", answer)

# %% [markdown] manual="explain"
# SECRET: because.
"""
STUB_CONFIG = """
c = get_config()
c.RefereedExecute.referee = "stub_referee.StubReferee"
c.RefereedExecute.timeout = 8
c.RefereedExecute.sandbox = "none"  # in one, the stub could not be imported
"""


def start_nbgrader(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """`nbgrader …` as the README has it, in a folder, the stub importable."""
    paths = {
        "JUPYTER_CONFIG_PATH": str(CHECKOUT / "grader"),
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests" / "labs" / "stub")]),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=folder,
        env=os.environ | paths | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_nbgrader(
    folder: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    process = start_nbgrader(folder, environment, *arguments)
    try:
        out, err = process.communicate(timeout=580)
    finally:
        process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


class Course:
    """nbgrader's commands, run as an instructor runs them: in the course folder, as a process of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # a short path that others may pass through, as a home needs
        self._home = tempfile.TemporaryDirectory(prefix="pglab-course-", dir="/tmp")
        Path(self._home.name).chmod(0o711)
        self.log = root / "stub.log"
        folder = root / "solutions" / LAB
        folder.mkdir(parents=True)
        for name, text in {
            "lab.toml": LAB_TOML,
            "lab.py": LAB_PY,
            "workload.py": "",
            "judge.py": "SECRET = 1\n",
            "break.sql": "-- SECRET\n",
            "samples/pass_all.py": "# SECRET\n",
        }.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        (root / "nbgrader_config.py").write_text(STUB_CONFIG)
        build(root, [LAB])

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_nbgrader(self.root, self.environment, *arguments)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return start_nbgrader(self.root, self.environment, *arguments)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PGLAB_COURSE": "",
            "PGLAB_HOME": self._home.name,
            "PGLAB_ROOT": str(self.root),
            "STUB_LOG": str(self.log),
        }

    @property
    def released(self) -> Notebook:
        path = self.root / "labs" / LAB / f"{LAB}.ipynb"
        return dict(json.loads(path.read_text()))

    def submit(self, student: str, change: Callable[[Notebook], None], when: str = "") -> None:
        """Hand in the release, changed; `when` is what nbgrader's own collect writes to timestamp.txt."""
        notebook = self.released
        change(notebook)
        folder = self.root / "submitted" / student / LAB
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{LAB}.ipynb").write_text(json.dumps(notebook))
        if when:
            (folder / "timestamp.txt").write_text(when)

    def scores(self) -> dict[tuple[str, str], float | None]:
        """(student, check) → the stored score of the autograder; None where there is none."""
        with Gradebook(f"sqlite:///{self.root / 'gradebook.db'}", "pglab") as gradebook:
            return {
                (submission.student.id, grade.name): grade.auto_score
                for submission in gradebook.assignment_submissions(LAB)
                for notebook in submission.notebooks
                for grade in notebook.grades
            }


def cell(notebook: Notebook, name: str) -> dict[str, Any]:
    """The cell with this id."""
    return next(cell for cell in notebook["cells"] if cell["id"] == name)


def answers(**sources: str) -> Callable[[Notebook], None]:
    """A change that writes find=, fix=, explain= into the student's cells."""

    def change(notebook: Notebook) -> None:
        for name, source in sources.items():
            cell(notebook, name if name == "explain" else f"{name}-answer")["source"] = source

    return change
