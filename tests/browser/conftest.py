"""A JupyterLab started as a learner starts it, and a headless Chromium in front of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pglab.home import course_root
from tests.browser.notebook import Course

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a Chromium there is nothing to look with."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))
            if CHROMIUM is None:
                item.add_marker(
                    pytest.mark.skip(reason="no Chromium on PATH (Debian: apt-get install chromium)")
                )


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def course() -> Iterator[Course]:
    """`pglab lab --no-browser` over a copy of the course, so that what a test types stays out of the checkout."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH")
    home = Path(tempfile.mkdtemp(prefix="pglab-browser-", dir="/tmp"))  # short, for the Unix sockets below it
    home.chmod(0o711)
    root = home / "course"
    root.mkdir(mode=0o755)
    for name in ("labs", "solutions", "datasets", "grader", "pglab"):
        shutil.copytree(
            course_root() / name,
            root / name,
            ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"),
        )
    config = home / "test-config"
    config.mkdir()
    (config / "jupyter_server_config.json").write_text(
        json.dumps({"LabApp": {"expose_app_in_browser": True}})
    )
    environment = {
        **os.environ,
        "PGLAB_HOME": str(home / "home"),
        "PGLAB_ROOT": str(root),
        "PYTHONPATH": str(root),
        "JUPYTER_CONFIG_PATH": str(config),
    }
    log = home / "pglab-lab.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from pglab.cli import main; main()", "lab", "--no-browser"]
            + ["--port", str(free_port()), "--scale", os.environ.get("PGLAB_TEST_SCALE", "small")],
            env=environment, cwd=root, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        address = _address(process, log)
        workspaces = {
            path: path.read_bytes() for path in (home / "home" / "jupyter" / "workspaces").iterdir()
        }
        yield Course(address, home / "home", root, workspaces)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()
            shutil.rmtree(home, ignore_errors=True)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that it prints when it can be used."""
    while True:  # pytest's time-out bounds it
        said = log.read_text().splitlines()
        for line in said:
            if line.startswith("pglab: open http"):
                return line.split()[-1]
        try:
            code = process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"pglab lab ended with {code}:\n" + "\n".join(said[-20:]))


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Chromium, headless, with no services of its own.

    Of one module, not of the session: while Playwright's loop lives, no other test can `asyncio.run`.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, course: Course):  # type: ignore[no-untyped-def]
    """A fresh browser window on the address that `pglab lab` printed, JupyterLab loaded."""
    for path, seeded in course.workspaces.items():  # each is a first visit, whatever the last one closed
        path.write_bytes(seeded)
    window = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = window.new_page()
    page.goto(course.url)
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=120_000)
    page.wait_for_function("window.jupyterapp !== undefined")
    page.evaluate("window.jupyterapp.restored")
    page.wait_for_selector(".jp-MarkdownViewer h1")  # the address opens the index last
    yield page
    window.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go: out of the repository (.gitignore), for a person to look at."""
    return course_root() / "screenshots"
