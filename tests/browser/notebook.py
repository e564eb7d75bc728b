"""A notebook that is open in a real JupyterLab in a real browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

RUN_LIMIT_MS = 300_000
# The notebook's panel by its path, through JupyterLab's own application object (expose_app_in_browser).
PANEL = """path => {
    for (const widget of window.jupyterapp.shell.widgets('main'))
        if (widget.context?.path === path && widget.content?.widgets && widget.sessionContext) return widget;
    return null;
}"""


@dataclass(frozen=True)
class Course:
    """A `pglab lab` that runs: its address with the token, its home, and a copy of the course that it serves."""

    url: str
    home: Path
    root: Path


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
