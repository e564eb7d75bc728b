"""Try a lab as the contract asks: release, solution and every sample, each in a fresh database.

`python -m grader.trial 10-missing-index [NAME ...]` runs them and says who earned what; exits 1 when one of them does
not earn what its name says.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.notebooknode import NotebookNode

from grader.preprocessors import is_check
from grader.referee import RefereeProcess
from grader.spec import Spec
from pglab.errors import LabError, PglabError
from pglab.home import Home

CELL_LIMIT_S = 300
EXPECT = re.compile(r"^# expect: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Trial:
    """What one notebook earned.

    Attributes:
        record: check → verdict, as the referee saw it; errors: what cells raised; printed: check → what the grade
        cell itself showed as its points.
    """

    name: str
    record: dict[str, dict[str, Any]]
    errors: list[str]
    printed: dict[str, str]

    def points(self, check: str) -> float:
        """Points of a check; 0 when the referee did not see it."""
        return float(self.record.get(check, {}).get("points", 0.0))


def load(spec: Spec, name: str) -> NotebookNode:
    """The notebook of a trial: "release", "solution", or a sample's name laid over the solution."""
    if name == "release":
        path = spec.folder.parent.parent / "labs" / spec.id / f"{spec.id}.ipynb"
        return _read(path)
    notebook = _read(spec.folder / f"{spec.id}.ipynb")
    if name == "solution":
        return notebook
    cells = {
        f"{cell.metadata['solution']}-answer": cell
        for cell in _sample(spec, name).cells
        if "solution" in cell.metadata
    }
    for cell in notebook.cells:
        new = cells.pop(cell.metadata.get("nbgrader", {}).get("grade_id"), None)
        if new is not None:
            cell.source = new.source
    if cells:
        raise LabError(f"{spec.id}: sample {name} fills {', '.join(cells)}, and no such cell is in lab.py")
    return notebook


def _read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def _sample(spec: Spec, name: str) -> NotebookNode:
    path = spec.folder / "samples" / f"{name}.py"
    if not path.is_file():
        raise LabError(f"{spec.id} has no sample {name!r}", f"The samples are: {', '.join(samples(spec))}")
    sample: NotebookNode = jupytext.read(path, fmt="py:percent")
    return sample


def samples(spec: Spec) -> list[str]:
    """Names of the lab's samples."""
    return sorted(path.stem for path in (spec.folder / "samples").glob("*.py"))


def expected(spec: Spec, name: str) -> dict[str, float]:
    """Check → points that a trial must earn.

    The solution earns all of them and the release none. A sample earns all but for its line `# expect: fix=0 safe=0`,
    which fail_* and cheat_* must have.
    """
    full = {check.name: check.points for check in spec.checks.values() if not check.manual}
    if name == "solution":
        return full
    if name == "release":
        return dict.fromkeys(full, 0.0)
    found = EXPECT.search((spec.folder / "samples" / f"{name}.py").read_text())
    stated = dict(pair.split("=", 1) for pair in found[1].split()) if found else {}
    if unknown := sorted(set(stated) - set(full)):
        raise LabError(
            f"{spec.id}: sample {name} expects points of {', '.join(unknown)}, and there is no such check"
        )
    told = {check: float(points) for check, points in stated.items()}
    if name.startswith("pass_"):
        return full | told
    if not told or all(told[check] == full[check] for check in told):
        raise LabError(f"{spec.id}: sample {name} must say in a line `# expect:` where it loses points")
    return full | told


def run(spec: Spec, name: str, home: Home | None = None, student: str = "trial") -> Trial:
    """Run one trial under a referee of its own."""
    notebook = load(spec, name)
    referee = RefereeProcess(student, spec.id, home)
    errors = []
    try:
        with _client(notebook, spec, referee.env()) as client:
            for index, cell in enumerate(notebook.cells):
                try:
                    client.execute_cell(cell, index)
                except CellExecutionError as error:
                    errors.append(f"{error.ename}: {error.evalue}")
        record = referee.record()
    finally:
        referee.close()
    printed = {
        cell.metadata.nbgrader.grade_id: _last_result(cell) for cell in notebook.cells if is_check(cell)
    }
    return Trial(name, record, errors, printed)


@contextmanager
def _client(notebook: NotebookNode, spec: Spec, referee: Mapping[str, str]) -> Iterator[NotebookClient]:
    """A client with a kernel that works in the lab's folder, as a student's does."""
    folder = spec.folder.parent.parent / "labs" / spec.id
    client = NotebookClient(
        notebook, timeout=CELL_LIMIT_S, allow_errors=False, kernel_name="python3", km=KernelManager(kernel_name="python3"),
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    # cleanup_kc: the client did not make the manager, and would leave the kernel running
    with client.setup_kernel(cleanup_kc=True, env={**os.environ, **referee}):
        yield client


def _last_result(cell: NotebookNode) -> str:
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    return str(results[-1]["data"].get("text/plain", "")) if results else ""


def misses(trial: Trial, wanted: Mapping[str, float]) -> list[str]:
    """Where a trial did not earn what it should, one sentence each."""
    found = []
    for check, points in wanted.items():
        verdict = trial.record.get(check)
        if verdict is not None and verdict["status"] == "error":
            found.append(f"{trial.name}: {check} {verdict['message']}")
        elif abs(trial.points(check) - points) > 1e-9:
            lost = [
                f"{t['name']} = {t['measured']}"
                for t in (verdict or {}).get("targets", [])
                if t["status"] != "pass"
            ]
            found.append(
                f"{trial.name}: {check} earned {trial.points(check):g}, should earn {points:g} ({'; '.join(lost) or 'no verdict' if not verdict else '; '.join(lost)})"
            )
    return found


def main() -> int:
    """Run the trials of a lab."""
    parser = argparse.ArgumentParser(
        prog="python -m grader.trial", description="Try a lab's release, solution and samples."
    )
    parser.add_argument("lab")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="release, solution or a sample (default: all)"
    )
    parser.add_argument("--evidence", action="store_true", help="show every verdict")
    options = parser.parse_args()
    bad = 0
    try:
        spec = Spec.load(options.lab)
        for name in options.names or ["release", "solution", *samples(spec)]:
            trial = run(spec, name)
            problems = misses(trial, expected(spec, name))
            earned = " ".join(
                f"{check}={trial.points(check):g}" for check in spec.checks if not spec.checks[check].manual
            )
            print(f"{'MISS' if problems else 'ok':4}  {name:34} {earned}", flush=True)
            for line in problems + (
                [f"raised {error.splitlines()[0]}" for error in trial.errors]
                if options.evidence or problems
                else []
            ):
                print(f"      {line}")
            if options.evidence:
                _print_evidence(trial)
            bad += bool(problems)
    except PglabError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if bad else 0


def _print_evidence(trial: Trial) -> None:
    from pglab.show import verdict as show

    for verdict in trial.record.values():
        print(show(verdict)._repr_mimebundle_()["text/plain"])


if __name__ == "__main__":
    sys.exit(main())
