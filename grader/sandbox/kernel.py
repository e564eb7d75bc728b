"""A kernel for a submission: in a sandbox, or, when that was said in so many words, without one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import zmq.asyncio
from jupyter_client.manager import AsyncKernelManager
from traitlets import Dict, Instance

from grader import run_folder
from grader.sandbox import bubblewrap, docker
from grader.sandbox.forge import fork_kernel
from grader.sandbox.limits import MB, Limits
from grader.sandbox.surroundings import READY, Surroundings, free_user
from grader.sandbox.watch import Watch
from pglab.errors import PglabError
from pglab.home import Home

BUBBLEWRAP, DOCKER, NONE = KINDS = ("bubblewrap", "docker", "none")
LARGEST_MESSAGE_MB = 64
START_LIMIT_S = 60.0
ARGUMENTS = ["--HistoryManager.hist_file=:memory:"]
WORDS = "words"  # a file for what the sandbox says before there is a kernel


class BubblewrapKernel(AsyncKernelManager):
    """jupyter_client's manager: the process that it starts is the sandbox; a kernel joins it."""

    around = Instance(Surroundings)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """The sandbox's command line."""
        return bubblewrap.command(self.around)

    def kernel_command(self) -> list[str]:
        """That of the kernel, were it started as any other."""
        return super().format_kernel_cmd(ARGUMENTS)


class DockerKernel(AsyncKernelManager):
    """jupyter_client's manager: the process that it starts is Docker's, with a kernel in a container."""

    around = Instance(Surroundings)
    variables = Dict()

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Docker's command line. The connection file has been written by now, and the kernel has to read it."""
        docker.hand_over(self.around)
        return docker.command(self.around, super().format_kernel_cmd(extra_arguments), self.variables)


def choose(asked: str = "") -> str:
    """The kind of sandbox to use: what was asked for, else bubblewrap.

    Raises:
        PglabError: it is not there, or there is no such kind.
    """
    kind = asked or BUBBLEWRAP
    if kind not in KINDS:
        raise PglabError(f"There is no sandbox {kind!r}", f"The kinds are: {', '.join(KINDS)}")
    trust = "or say --no-sandbox if you trust every submission"
    if kind == BUBBLEWRAP and (why := bubblewrap.why_not()):
        raise PglabError(
            f"Submissions are not run without a sandbox, and {why}",
            f"Install bubblewrap (Debian, Ubuntu, Fedora: package bubblewrap), say --sandbox docker where Docker is, {trust}",
        )
    if kind == DOCKER and (why := docker.why_not()):
        raise PglabError(
            f"Submissions are not run without a sandbox, and {why}",
            f"See what `docker info` says, install bubblewrap and leave out --sandbox docker, {trust}",
        )
    return kind


@asynccontextmanager
async def sandboxed(
    kind: str, files: Mapping[str, bytes], variables: Mapping[str, str], sockets: Sequence[Path], limits: Limits, home: Home
) -> AsyncIterator[tuple[AsyncKernelManager, Watch]]:  # fmt: skip
    """A kernel manager whose kernel runs in a sandbox, while the block runs.

    Args:
        kind: see choose(); files: of the submission, by relative path; variables: for the kernel's environment;
        sockets: see Surroundings.

    Yields:
        The manager, its kernel started; and the watch over it.

    Raises:
        PglabError: the sandbox could not be made, in bubblewrap's or Docker's own words.
    """
    with _folder(home) as folder:
        if kind == DOCKER:
            around = Surroundings(folder, sockets, limits, home, docker.user())
            around.fill(files, around.user)
            async with _in_container(around, variables) as running:
                yield running
        else:
            around = Surroundings(folder, sockets, limits, home, free_user())
            around.fill(files, bubblewrap.USER)
            async with _in_bubblewrap(around, variables) as running:
                yield running


@asynccontextmanager
async def _in_bubblewrap(
    around: Surroundings, variables: Mapping[str, str]
) -> AsyncIterator[tuple[AsyncKernelManager, Watch]]:
    manager = BubblewrapKernel(kernel_name="python3", around=around, **_messages(around.messages))
    async with _running(manager, around) as watch:
        await _made(watch.process, around.folder / WORDS)
        holder = watch.process.children(recursive=True)[-1].pid
        request = bubblewrap.request(around, holder, manager.kernel_command(), variables)
        watch.add(await asyncio.to_thread(fork_kernel, around.home, request))
        yield manager, watch


@asynccontextmanager
async def _in_container(
    around: Surroundings, variables: Mapping[str, str]
) -> AsyncIterator[tuple[AsyncKernelManager, Watch]]:
    manager = DockerKernel(
        kernel_name="python3", around=around, variables=dict(variables), **_messages(around.messages)
    )
    async with _running(manager, around, env={**os.environ, **variables}) as watch:
        await _made(watch.process, around.folder / WORDS)
        if number := await asyncio.to_thread(docker.process, around):
            watch.add(number)
        yield manager, watch


@asynccontextmanager
async def unsandboxed(
    files: Mapping[str, bytes], variables: Mapping[str, str], limits: Limits, home: Home
) -> AsyncIterator[tuple[AsyncKernelManager, Watch]]:
    """The same without a sandbox: the student's code runs as the user who grades, and can read what they can."""
    with _folder(home) as folder:
        around = Surroundings(folder, [], limits, home)
        around.fill(files, os.getuid())
        manager = AsyncKernelManager(kernel_name="python3", **_messages(around.messages))
        async with _running(manager, around, env=dict(variables), cwd=str(folder / "submission")) as watch:
            yield manager, watch


@contextmanager
def _folder(home: Home) -> Iterator[Path]:
    """A sandbox's folder on the host."""
    path = run_folder.make(home, run_folder.SANDBOX)
    try:
        yield path
    finally:
        run_folder.remove(path)


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
async def _running(manager: AsyncKernelManager, around: Surroundings, **started: Any) -> AsyncIterator[Watch]:
    spec = manager.kernel_spec
    assert spec is not None
    spec.interrupt_mode = "message"  # a signal would reach the wrapper
    with (around.folder / WORDS).open("w") as words:
        await manager.start_kernel(extra_arguments=ARGUMENTS, stdout=words, stderr=words, **started)
    watch = Watch(manager.provisioner.process.pid, around.limits, around.messages)  # type: ignore[union-attr]
    try:
        yield watch
    finally:
        watch.stop()
        watch.end("")
        await manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)


async def _made(wrapper: psutil.Process, words: Path) -> None:
    """Wait until bubblewrap or Docker has made the sandbox to the end."""
    deadline = asyncio.get_running_loop().time() + START_LIMIT_S
    while READY not in (said := words.read_text()):
        if not wrapper.is_running() or wrapper.status() == psutil.STATUS_ZOMBIE:
            raise PglabError(f"The sandbox could not be made: {said.strip() or 'it said nothing'}")
        if asyncio.get_running_loop().time() > deadline:
            raise PglabError(f"The sandbox was not ready within {START_LIMIT_S:g} s")
        await asyncio.sleep(0.005)
