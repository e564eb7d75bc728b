"""`pglab lab` with real processes: whatever ends it, nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from pglab.cluster import Cluster
from pglab.home import Home, course_root

PGLAB = [sys.executable, "-c", "from pglab.cli import main; main()"]
LIMIT_S = 120.0


def until(what: str, done: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    """Poll."""
    deadline = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.05)


class Run:
    """A `pglab lab` in a session of its own, as a terminal's foreground group is."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self.home = home
        self.seen: list[psutil.Process] = []
        self.log = home.root.with_name(f"{home.root.name}-{id(self)}.log")
        environment = {**os.environ, "PGLAB_HOME": str(home.root), "PYTHONPATH": str(course_root())}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*PGLAB, "lab", "--no-browser", *arguments], env=environment, cwd=course_root(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text()

    def wait_said(self, words: str) -> None:
        until(f"{words!r}", lambda: words in self.said() or self.process.poll() is not None)
        assert words in self.said(), self.said()

    def address(self) -> str:
        self.wait_said("pglab: open http")
        return next(
            line.split()[-1] for line in self.said().splitlines() if line.startswith("pglab: open http")
        )

    def start_kernel(self) -> None:
        """A kernel, as an open notebook has."""
        address = urlsplit(self.address())
        token = parse_qs(address.query)["token"][0]
        request = urllib.request.Request(
            f"http://{address.netloc}/api/kernels",
            data=b"{}",
            headers={"Authorization": f"token {token}"},
            method="POST",
        )
        assert json.load(urllib.request.urlopen(request, timeout=60))["id"]

    def family(self) -> list[psutil.Process]:
        self.seen = psutil.Process(self.process.pid).children(recursive=True)
        return self.seen

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the whole group, as Ctrl-C does; the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(LIMIT_S)


@pytest.fixture
def run(own_home: Home) -> Iterator[Callable[..., Run]]:
    started: list[Run] = []

    def start(*arguments: str) -> Run:
        started.append(Run(own_home, "--scale", "tiny", *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.family()
            one.process.kill()
        for process in one.seen:  # what a failed test left
            with suppress(psutil.NoSuchProcess):
                process.kill()
        one.log.unlink()


def left(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that live after a moment's grace."""
    return psutil.wait_procs(family, timeout=10)[1]


def is_up(home: Home) -> bool:
    return Cluster(home).primary.is_running()


def names(family: list[psutil.Process]) -> str:
    return " ".join(" ".join(process.cmdline()) for process in family)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_process(
    run: Callable[..., Run], own_home: Home, number: signal.Signals, backend: str
) -> None:
    lab = run()
    lab.start_kernel()
    family = lab.family()
    ours = ("postgres", "jupyterlab", "ipykernel") if backend == "embedded" else ("jupyterlab", "ipykernel")
    assert all(word in names(family) for word in ours)
    assert lab.end(number) == 128 + number
    assert left(family) == []
    assert not is_up(own_home)
    assert "Traceback" not in lab.said()


def test_ctrl_c_before_it_is_ready(run: Callable[..., Run], own_home: Home) -> None:
    lab = run("--scale", "small")
    lab.wait_said("seeding")
    until("JupyterLab's process", lambda: "jupyterlab" in names(lab.family()))
    family = lab.family()
    assert lab.end(signal.SIGINT) == 130
    assert left(family) == []
    assert not is_up(own_home)
    assert "Traceback" not in lab.said()


def test_the_last_of_two_stops_the_cluster(run: Callable[..., Run], own_home: Home) -> None:
    first, second = run(), run()
    assert urlsplit(first.address()).port != urlsplit(second.address()).port
    assert first.end(signal.SIGINT) == 130
    assert "another `pglab lab` uses the cluster" in first.said()
    assert is_up(own_home)
    assert second.end(signal.SIGINT) == 130
    assert not is_up(own_home)


def test_a_cluster_started_by_hand_goes_on(run: Callable[..., Run], own_home: Home) -> None:
    environment = {**os.environ, "PGLAB_HOME": str(own_home.root), "PYTHONPATH": str(course_root())}

    def pglab(*arguments: str) -> str:
        return subprocess.run(
            [*PGLAB, *arguments], env=environment, capture_output=True, text=True, check=True
        ).stdout

    pglab("up", "--scale", "tiny")
    lab = run()
    address = lab.address()
    assert json.loads(pglab("status", "--json"))["jupyterlab"] == [
        address.replace("/tree/notebooks/README.md", "")
    ]
    assert (
        pglab("open", "10", "--no-browser")
        .split()[-1]
        .startswith(address.split("?")[0].replace("README.md", "10-"))
    )
    lab.end(signal.SIGINT)
    assert "`pglab down` stops it" in lab.said()
    assert is_up(own_home)
    pglab("down")
    assert not is_up(own_home)


def test_a_killed_jupyterlab_is_said_and_all_is_taken_down(run: Callable[..., Run], own_home: Home) -> None:
    lab = run()
    lab.start_kernel()
    family = lab.family()
    next(process for process in family if "jupyterlab" in names([process])).kill()
    assert lab.process.wait(LIMIT_S) == 1
    assert "pglab: JupyterLab ended" in lab.said().splitlines()[-1]
    assert left(family) == []
    assert not is_up(own_home)


def test_a_taken_port_is_said_before_anything_is_written(run: Callable[..., Run], own_home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lab = run("--port", str(port))
        assert lab.process.wait(LIMIT_S) == 1
    assert (
        lab.said() == f"pglab: Port {port} is taken. Choose another one with --port, or leave --port out.\n"
    )
    assert list(own_home.root.iterdir()) == []
