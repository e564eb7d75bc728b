"""One submission, run: a referee beside it, a sandbox around it, and bounds on all that it does."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_output

from grader.referee import RefereeProcess
from grader.sandbox.kernel import NONE, sandboxed, unsandboxed
from grader.sandbox.limits import MB, Limits
from grader.sandbox.watch import Watch
from grader.spec import Spec
from pglab import jupyter
from pglab.errors import PglabError
from pglab.home import Home

Record = dict[str, dict[str, Any]]
TIMEOUT = {
    "ename": "CellTimeoutError",
    "evalue": "",
    "traceback": ["CellTimeoutError: No reply from kernel before timeout"],
}


class Judging(Protocol):
    """What a submission is judged by: grader.referee.RefereeProcess."""

    def open(self) -> list[Path]:
        """Open the lab; the folders and files with sockets that the kernel needs."""

    def env(self) -> dict[str, str]:
        """The kernel's variables."""

    def record(self) -> Record:
        """Check → verdict."""

    def close(self) -> None:
        """End it."""


class Referees(Protocol):
    """Makes one for a student and a lab."""

    def __call__(self, *, student: str, lab: str, home: Home | None, key: str) -> Judging: ...


@dataclass(frozen=True)
class Job:
    """What is to be run, whole: nothing else of the submission is read later, on whatever machine.

    Attributes:
        notebook: the sanitized notebook, as JSON; files: what lies beside it, by relative path; sandbox: see
        grader.sandbox.choose; limits: None for those of the lab; key: the course's, that parameters are drawn from: on
        another machine the home has another one.
    """

    student: str
    lab: str
    notebook: str
    files: dict[str, bytes]
    sandbox: str
    limits: Limits | None = None
    key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Executed:
    """What came of it.

    Attributes:
        notebook: with its outputs, as JSON; record: check → verdict, as the referee saw it; ended: why the kernel ended
        before the notebook did, empty when it did not; ended_in: in which cell; in_flight: and with which grade_id;
        seconds: all in all; peak_mb: of the kernel and what it started, MB of 2^20 bytes; sandbox: its kind.
    """

    notebook: str
    record: Record
    ended: str = ""
    ended_in: int = -1
    in_flight: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    sandbox: str = ""


def execute(
    job: Job,
    referees: Referees = RefereeProcess,
    home: Home | None = None,
    place: AbstractContextManager[object] | None = None,
) -> Executed:
    """Run a submission. What it does to itself stands in the result.

    Args:
        place: held while the notebook runs, not while its lab is opened before and closed after.

    Raises:
        PglabError, OSError, RuntimeError: faults of the server, the referee or the machine, which are nobody's failure.
    """
    began = time.monotonic()
    home = home or Home.default()
    limits = job.limits or Limits.of(Spec.load(job.lab))
    notebook: NotebookNode = nbformat.reads(job.notebook, as_version=4)
    referee = referees(student=job.student, lab=job.lab, home=home, key=job.key)
    try:
        sockets = referee.open()
        if job.sandbox != NONE and not all(path.is_absolute() for path in sockets):
            raise PglabError(
                "A sandbox has no network, and this cluster's servers have no Unix sockets",
                "Grade with PGLAB_HOME set to a folder for the embedded backend, or say --no-sandbox",
            )
        variables = referee.env() | {"NBGRADER_EXECUTION": "autograde"}
        # a thread for a loop of its own: the formgrader calls this inside of one
        with place or nullcontext(), ThreadPoolExecutor(1) as thread:
            running = _run(notebook, job, variables, sockets, limits, home)
            run = thread.submit(asyncio.run, running).result()
        record = referee.record()
    finally:
        referee.close()
    return Executed(
        nbformat.writes(notebook), record, run.ended, run.ended_in, run.in_flight, time.monotonic() - began,
        run.peak_mb, job.sandbox,
    )  # fmt: skip


@dataclass
class _Run:
    ended: str = ""
    ended_in: int = -1
    in_flight: str = ""
    peak_mb: float = 0.0


async def _run(
    notebook: NotebookNode, job: Job, variables: Mapping[str, str], sockets: list[Path], limits: Limits, home: Home
) -> _Run:  # fmt: skip
    run = _Run()
    async with _kernel(job, variables, sockets, limits, home) as (manager, watch):
        client = _Client(notebook, watch, limits, km=manager)
        await client.async_start_new_kernel_client()  # the student's code has not begun: a fault here is ours
        assert client.kc is not None
        try:
            for index, cell in enumerate(notebook.cells):
                try:
                    await client.async_execute_cell(cell, index)
                except Exception as error:  # what a kernel can make nbclient raise is not a closed list
                    why = watch.reason or type(error).__name__
                    run.ended, run.ended_in = f"the kernel ended in cell {index + 1} ({why})", index
                    run.in_flight = str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
                    cell.outputs = [
                        new_output("error", ename="DeadKernelError", evalue=run.ended, traceback=[run.ended])
                    ]
                    break
            client.set_widgets_metadata()
        finally:
            client.kc.stop_channels()
        run.peak_mb = watch.peak_mb
    return run


@asynccontextmanager
async def _kernel(
    job: Job, variables: Mapping[str, str], sockets: list[Path], limits: Limits, home: Home
) -> AsyncIterator[tuple[AsyncKernelManager, Watch]]:
    if job.sandbox == NONE:
        inherited = {**os.environ, **jupyter.environment(home), **variables}
        async with unsandboxed(job.files, inherited, limits, home) as running:
            yield running
    else:
        async with sandboxed(job.sandbox, job.files, variables, sockets, limits, home) as running:
            yield running


class _Client(NotebookClient):
    """nbclient's, as nbgrader sets it, with an end to what a notebook may print."""

    def __init__(self, notebook: NotebookNode, watch: Watch, limits: Limits, **more: Any) -> None:
        super().__init__(
            notebook, timeout=limits.cell_s, interrupt_on_timeout=True, error_on_timeout=TIMEOUT, allow_errors=True,
            raise_on_iopub_timeout=True, on_cell_executed=_note_error, **more,
        )  # fmt: skip
        self._watch = watch
        self._left = limits.output_mb * MB
        self._most = limits.output_mb

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Keep a message of the kernel, until there were too many."""
        self._left -= len(repr(msg["content"]))
        if self._left < 0:
            self._watch.end(f"it printed more than {self._most} MB")
            return None
        return super().process_message(msg, cell, cell_index)


def _note_error(cell: NotebookNode, cell_index: int, execute_reply: Mapping[str, Any]) -> None:
    """Show the reply's error when the cell shows none, such as that of a timeout. As nbgrader's Execute does."""
    told = execute_reply["content"]
    if told["status"] != "error":
        return
    if any(output.output_type == "error" and output.ename == told["ename"] for output in cell.outputs):
        return
    traceback = told.get("traceback") or [told["ename"]]
    cell.outputs.append(new_output("error", ename=told["ename"], evalue=told["evalue"], traceback=traceback))
