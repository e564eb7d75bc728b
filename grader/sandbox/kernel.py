"""A kernel for a submission: in a sandbox, or, when that was said in so many words, without one."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import zmq.asyncio
from jupyter_client.manager import AsyncKernelManager
from traitlets import Instance

from grader.sandbox.bubblewrap import READY, Surroundings, free_user, why_not
from grader.sandbox.forge import fork_kernel
from grader.sandbox.limits import MB, Limits
from grader.sandbox.watch import Watch
from pglab.errors import PglabError
from pglab.home import Home

KINDS = ("bubblewrap", "none")
LARGEST_MESSAGE_MB = 64
START_LIMIT_S = 60.0
WORDS = "words"  # a file for what the sandbox says before there is a kernel


class SandboxedKernel(AsyncKernelManager):
    """jupyter_client's manager: the process that it starts is the sandbox; a kernel joins it."""

    surroundings = Instance(Surroundings)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """The sandbox's command line."""
        return self.surroundings.command()

    def kernel_command(self) -> list[str]:
        """That of the kernel, were it started as any other."""
        return super().format_kernel_cmd(["--HistoryManager.hist_file=:memory:"])


def choose(asked: str = "") -> str:
    """The kind of sandbox to use: what was asked for, else bubblewrap.

    Raises:
        PglabError: it is not there, or there is no such kind.
    """
    kind = asked or "bubblewrap"
    if kind not in KINDS:
        raise PglabError(f"There is no sandbox {kind!r}", f"The kinds are: {', '.join(KINDS)}")
    if kind == "bubblewrap" and (why := why_not()):
        raise PglabError(
            f"Submissions are not run without a sandbox, and {why}",
            "Install bubblewrap (Debian, Ubuntu, Fedora: package bubblewrap), or say --no-sandbox if you trust every submission",
        )
    return kind


@asynccontextmanager
async def sandboxed(
    files: dict[str, bytes], variables: Mapping[str, str], sockets: Sequence[Path], limits: Limits, home: Home
) -> AsyncIterator[tuple[AsyncKernelManager, Watch]]:
    """A kernel manager whose kernel runs in bubblewrap, while the block runs.

    Args:
        files: of the submission, by relative path; variables: for the kernel's environment; sockets: see Surroundings.

    Yields:
        The manager, its kernel started; and the watch over it.

    Raises:
        PglabError: the sandbox could not be made, in bubblewrap's own words.
    """
    with _Folder(home) as folder:
        surroundings = Surroundings(folder, sockets, limits, home, free_user())
        surroundings.fill(files)
        manager = SandboxedKernel(
            kernel_name="python3", surroundings=surroundings, **_messages(folder / "messages")
        )
        async with _running(manager, limits, folder) as watch:
            holder = await _holder(watch.process, folder / WORDS)
            environment = surroundings.environment(dict(variables))
            request = surroundings.request(holder, manager.kernel_command(), environment)
            watch.add(await asyncio.to_thread(fork_kernel, home, request))
            yield manager, watch


@asynccontextmanager
async def unsandboxed(
    files: dict[str, bytes], variables: Mapping[str, str], limits: Limits, home: Home
) -> AsyncIterator[tuple[AsyncKernelManager, Watch]]:
    """The same without a sandbox: the student's code runs as the user who grades, and can read what they can."""
    with _Folder(home) as folder:
        Surroundings(folder, [], limits, home).fill(files)
        manager = AsyncKernelManager(kernel_name="python3", **_messages(folder / "messages"))
        environment = {"env": dict(variables), "cwd": str(folder / "submission")}
        async with _running(manager, limits, folder, **environment) as watch:
            yield manager, watch


class _Folder:
    """A sandbox's folder on the host: a short path, for the sockets in it."""

    def __init__(self, home: Home) -> None:
        home.make()
        self._path = Path(tempfile.mkdtemp(prefix="b", dir=home.run))

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def _messages(folder: Path) -> dict[str, Any]:
    context = zmq.asyncio.Context()
    context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE_MB * MB)  # what a kernel sends is the student's
    return {
        "context": context,
        "transport": "ipc",
        "ip": str(folder / "k"),
        "connection_file": str(folder / "kernel.json"),
    }


@asynccontextmanager
async def _running(
    manager: AsyncKernelManager, limits: Limits, folder: Path, **started: Any
) -> AsyncIterator[Watch]:
    spec = manager.kernel_spec
    assert spec is not None
    spec.interrupt_mode = "message"  # a signal would reach the wrapper
    with (folder / WORDS).open("w") as words:
        await manager.start_kernel(
            extra_arguments=["--HistoryManager.hist_file=:memory:"], stdout=words, stderr=words, **started
        )
    watch = Watch(manager.provisioner.process.pid, limits, folder / "messages")  # type: ignore[union-attr]
    try:
        yield watch
    finally:
        watch.stop()
        watch.end("")
        await manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)


async def _holder(wrapper: psutil.Process, words: Path) -> int:
    """The process inside the sandbox, once bubblewrap has made it to the end."""
    deadline = asyncio.get_running_loop().time() + START_LIMIT_S
    while READY not in (said := words.read_text()):
        if not wrapper.is_running() or wrapper.status() == psutil.STATUS_ZOMBIE:
            raise PglabError(f"The sandbox could not be made: {said.strip() or 'bubblewrap said nothing'}")
        if asyncio.get_running_loop().time() > deadline:
            raise PglabError(f"The sandbox was not ready within {START_LIMIT_S:g} s")
        await asyncio.sleep(0.005)
    return int(wrapper.children(recursive=True)[-1].pid)
