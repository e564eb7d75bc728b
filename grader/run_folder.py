"""Folders below run/: a session's, with the referee's socket and those of its links, and a sandbox's.

They are named after the process that made them, so that those of a process that was killed can be told and removed.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from pglab.cluster.account import is_root
from pglab.home import Home

SESSION, SANDBOX = "s", "b"
NAME = re.compile(
    rf"[{SESSION}{SANDBOX}]([0-9a-f]+)[g-z]+"
)  # the process, and letters for each of its folders
CONTAINER = (
    "container"  # a file in a sandbox's folder with the name of the Docker container that it belongs to
)


def make(home: Home, kind: str) -> Path:
    """A new, empty folder of this process. Those of processes that ended without a word are removed."""
    home.make()
    sweep(home)
    for letters in _letters():
        path = home.run / f"{kind}{os.getpid():x}{letters}"  # short, as socket paths must be
        try:
            path.mkdir()
        except FileExistsError:
            continue
        # as root the student's kernel is another user, and passes through a session's folder to its sockets
        path.chmod(0o711 if is_root() and kind == SESSION else 0o700)
        return path
    raise AssertionError("letters never end")


def sweep(home: Home) -> None:
    """Remove what processes left that were killed: their folders, and the containers that ran in them."""
    for path in home.run.iterdir():
        if (found := NAME.fullmatch(path.name)) and not psutil.pid_exists(int(found[1], 16)):
            remove(path)


def remove(path: Path) -> None:
    """Remove a folder, and its container if it has one. None is fine."""
    name = path / CONTAINER
    if name.is_file():
        with suppress(OSError):  # no more Docker here
            subprocess.run(["docker", "rm", "--force", name.read_text()], capture_output=True)
    shutil.rmtree(path, ignore_errors=True)


def _letters() -> Iterator[str]:
    """g, h … z, gg, gh …: no digits of a process's number."""
    for count in itertools.count(1):
        yield from map("".join, itertools.product("ghijklmnopqrstuvwxyz", repeat=count))
