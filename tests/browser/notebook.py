"""A notebook that is open in a real JupyterLab in a real browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page, expect

from grader.spec import Spec

RUN_LIMIT_MS = 300_000
# The notebook's panel by its path, through JupyterLab's own application object (expose_app_in_browser).
PANEL = """path => {
    for (const widget of window.jupyterapp.shell.widgets('main'))
        if (widget.context?.path === path && widget.content?.widgets && widget.sessionContext) return widget;
    return null;
}"""


@dataclass(frozen=True)
class Course:
    """A `pglab lab` that runs: its address with the token, its home, and a copy of the course that it serves.

    Attributes:
        workspaces: the layout of a first visit, file → content, as it was before anybody came.
    """

    url: str
    home: Path
    root: Path
    workspaces: dict[Path, bytes]


class NotebookPage:
    """What a learner does with a notebook: look, type into a cell, run all, read what came out."""

    def __init__(self, page: Page, path: str) -> None:
        self.page = page
        self.path = path

    def open(self) -> None:
        """Open it in a tab and wait for its kernel."""
        self.page.evaluate(
            "path => window.jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'})",
            self.path,
        )
        self._wait(
            "panel => panel.context.isReady && panel.sessionContext.session?.kernel?.status === 'idle'",
            120_000,
        )
        self._wait(
            """panel => {
                window.jupyterapp.shell.activateById(panel.id);
                return window.jupyterapp.shell.currentWidget === panel;
            }""",
            30_000,
        )

    def cells(self) -> list[dict[str, Any]]:
        """Every cell: type, source, grade_id (or null), outputs as in nbformat."""
        return self._of(
            """panel => panel.content.widgets.map(cell => ({
                type: cell.model.type,
                source: cell.model.sharedModel.getSource(),
                grade_id: cell.model.getMetadata('nbgrader')?.grade_id ?? null,
                outputs: cell.model.type === 'code' ? cell.model.outputs.toJSON() : [],
            }))"""
        )

    def outputs(self, grade_id: str) -> list[dict[str, Any]]:
        """What a cell with this nbgrader id put out."""
        return next(cell["outputs"] for cell in self.cells() if cell["grade_id"] == grade_id)

    def errors(self) -> list[str]:
        """What stopped a cell, and what was said on stderr, which costs nbgrader's points."""
        found = [output for cell in self.cells() for output in cell["outputs"]]
        stopped = [f"{o['ename']}: {o['evalue']}" for o in found if o["output_type"] == "error"]
        return stopped + ["".join(o["text"]) for o in found if o.get("name") == "stderr"]

    def all_said(self) -> str:
        """The text of all outputs from top to bottom, tags and all."""
        return said([output for cell in self.cells() for output in cell["outputs"]])

    def verdict(self, check: str) -> str:
        """A verdict's text form: a headline, and a line for each target."""
        shown = next(output for output in self.outputs(check) if output["output_type"] == "display_data")
        return str(shown["data"]["text/plain"])

    def points(self) -> dict[str, float]:
        """What each check that the referee judges showed as its value."""
        shown = {cell["grade_id"]: cell["outputs"] for cell in self.cells() if cell["outputs"]}
        values = {
            check: [
                o["data"]["text/plain"] for o in shown.get(check, []) if o["output_type"] == "execute_result"
            ]
            for check in most_points(self.path)
        }
        return {check: float(value[0]) for check, value in values.items() if value}

    def charts(self) -> list[str]:
        """What each picture is said to show, from top to bottom; all of them have come up in the browser."""
        found: list[str] = []
        for number, cell in enumerate(self.cells()):
            if "data:image/svg" not in said(cell["outputs"]):
                continue
            self._of("(panel, number) => panel.content.scrollToItem(number, 'center')", number)
            pictures = f"panel.content.widgets[{number}].node.querySelectorAll('.jp-OutputArea img')"
            self._wait(
                f"panel => {pictures}.length && [...{pictures}].every(one => one.complete && one.naturalWidth > 100)",
                30_000,
            )
            found += self._of(f"panel => [...{pictures}].map(one => one.alt)")
        return found

    def solve(self) -> None:
        """Type the solution's cells over the student's."""
        spec = _spec(self.path)
        solution: Any = nbformat.read(spec.folder / f"{spec.id}.ipynb", as_version=4)
        for cell in solution.cells:
            grade = cell.metadata.get("nbgrader", {})
            if cell.cell_type == "code" and grade.get("solution"):
                self.type_into(grade["grade_id"], cell.source)

    def type_into(self, grade_id: str, source: str) -> None:
        """Replace a cell's text with the keyboard, as a learner would."""
        index = next(number for number, cell in enumerate(self.cells()) if cell["grade_id"] == grade_id)
        self._of(
            "async (panel, index) => { panel.content.activeCellIndex = index; await panel.content.scrollToItem(index); }",
            index,
        )
        editor = self.page.locator(
            f'.jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell[data-windowed-list-index="{index}"] .cm-content'
        ).first
        editor.click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(source)
        expect(editor).to_contain_text(source.strip().splitlines()[-1].strip())
        typed = next(cell["source"] for cell in self.cells() if cell["grade_id"] == grade_id)
        assert typed.strip() == source.strip()

    def run_all(self) -> None:
        """Restart the kernel, run every cell and wait for the last one's end. Stops at an error, as JupyterLab does."""
        self._of(
            """async panel => {
                await panel.sessionContext.restartKernel();
                // so that a cell with a number has run now, and not the time before
                await window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs');
            }"""
        )
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        # A cell that waits or runs has no number yet.
        self._wait(
            """panel => panel.sessionContext.session?.kernel?.status === 'idle'
                && (panel.content.widgets.filter(cell => cell.model.type === 'code' && cell.model.sharedModel.getSource().trim())
                        .every(cell => cell.model.executionCount !== null)
                    || panel.content.widgets.some(cell => cell.model.type === 'code'
                        && cell.model.outputs.toJSON().some(output => output.output_type === 'error')))""",
            RUN_LIMIT_MS,
        )

    def scroll_to(self, grade_id: str) -> None:
        """Bring a cell to the middle of the window."""
        index = next(number for number, cell in enumerate(self.cells()) if cell["grade_id"] == grade_id)
        self._of("(panel, index) => panel.content.scrollToItem(index, 'center')", index)

    def picture(self, path: Path) -> None:
        """Keep what is on the screen, for a person to look at."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path))

    def _of(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(
            f"([path, argument]) => ({script})(({PANEL})(path), argument)", [self.path, argument]
        )

    def _wait(self, condition: str, limit_ms: float) -> None:
        self.page.wait_for_function(
            f"path => {{ const panel = ({PANEL})(path); return panel !== null && ({condition})(panel); }}",
            arg=self.path,
            timeout=limit_ms,
            polling=200,
        )


EVIDENCE = re.compile(r"^  ✗ fail  (?P<name>.+?) = (?P<measured>.+), target (?P<target>.+?)   \((?P<source>.+)\)   hint: (?P<hint>.+)$", re.M)  # fmt: skip


def evidence(verdict: str) -> dict[str, dict[str, str]]:
    """Of a verdict's text form, each target that failed with what was measured, the target, the source and a hint."""
    return {found["name"]: found.groupdict() for found in EVIDENCE.finditer(verdict)}


def said(outputs: list[dict[str, Any]]) -> str:
    """The text of outputs, tags and all."""
    parts = [
        output.get("data", {}).get("text/html")
        or output.get("data", {}).get("text/plain")
        or output.get("text", "")
        for output in outputs
    ]
    return "\n".join("".join(part) if isinstance(part, list) else part for part in parts)


def most_points(path: str) -> dict[str, float]:
    """Check → its points, of a lab's notebook: those that the referee judges."""
    return {name: check.points for name, check in _spec(path).checks.items() if not check.manual}


def _spec(path: str) -> Spec:
    return Spec.load(Path(path).stem)
