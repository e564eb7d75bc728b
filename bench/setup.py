"""Cold `make lab` to a usable JupyterLab, against installing the same packages alone; and a warm `make lab`.

Both are cold: nothing in a cache, nothing made. Over the network, so the two are measured in turn, twice, and the
smaller time of each counts.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pglab.home import course_root

ROUNDS = 2
LIMIT_S = 1800.0


def run() -> Iterator[tuple[str, float | str, str]]:
    """Rows of (name, value, goal)."""
    alone, cold, warm = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="pglab-bench-", dir="/tmp") as name:
            folder = Path(name)
            folder.chmod(0o711)  # as root the servers run as another user
            alone.append(_packages_alone(folder))
            project = _copy(folder / "project")
            cold.append(_make_lab(project, folder / "home"))
            warm.append(_make_lab(project, folder / "home"))
    yield "packages alone, python3 -m venv and pip, s", min(alone), ""
    yield "cold make lab to a usable JupyterLab, s", min(cold), ""
    yield "cold make lab / packages alone", min(cold) / min(alone), "≤ 2"
    yield "warm make lab, s", min(warm), "a few seconds"


def _packages_alone(folder: Path) -> float:
    """Seconds to install the locked packages as one would by hand."""
    lock = course_root() / "requirements.lock"
    began = time.monotonic()
    # Not this virtual environment's Python: its own base.
    subprocess.run([sys._base_executable, "-m", "venv", folder / "alone"], check=True)  # type: ignore[attr-defined]
    python = folder / "alone" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--require-hashes", "-r", lock],
        check=True,
    )
    took = time.monotonic() - began
    shutil.rmtree(folder / "alone")
    return took


def _copy(target: Path) -> Path:
    """The project as a fresh clone has it: tracked files, and new ones that git does not ignore."""
    root = course_root()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    return target


def _make_lab(project: Path, home: Path) -> float:
    """Seconds until `make lab` says that it can be used. It is stopped then."""
    environment: Mapping[str, str] = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PGLAB_", "UV_CACHE", "VIRTUAL_ENV"))
        },
        "PGLAB_HOME": str(home),
        "PGLAB_SCALE": "full",
    }
    said: list[str] = []
    began = time.monotonic()
    process = subprocess.Popen(
        ["make", "lab", "ARGS=--no-browser"], cwd=project, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    took = None
    for line in process.stdout:
        said.append(line.rstrip())
        if line.startswith("pglab: open http"):
            took = time.monotonic() - began
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does, then read on until all have ended
    process.wait(LIMIT_S)
    if took is None:
        raise RuntimeError("make lab failed: " + " | ".join(said[-5:]))
    return took
