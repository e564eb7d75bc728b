"""A session's folder below run/: the referee's socket, and those of the links that it makes."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from pathlib import Path

import psutil

from pglab.cluster.account import is_root
from pglab.home import Home

NAME = re.compile(r"s([0-9a-f]+)[g-z]")  # the process, and a letter for each of its sessions
_letters = itertools.cycle("ghijklmnopqrstuvwxyz")


def make(home: Home) -> Path:
    """A new, empty folder of this process. Those of processes that ended without a word are removed."""
    home.make()
    for path in home.run.iterdir():
        if (found := NAME.fullmatch(path.name)) and not psutil.pid_exists(int(found[1], 16)):
            remove(path)
    path = home.run / f"s{os.getpid():x}{next(_letters)}"  # short, as socket paths must be
    remove(path)
    path.mkdir()
    path.chmod(0o711 if is_root() else 0o700)
    return path


def remove(path: Path) -> None:
    """Remove a session's folder. None is fine."""
    shutil.rmtree(path, ignore_errors=True)
