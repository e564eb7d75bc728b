"""Which volume is whose: a server's data lies in one, and the home's volumes.json says in which.

A line is written when the data is whole, so a labelled volume that no line names is what a killed process left, and goes
at the next start.
"""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

import psutil

from pglab.cluster.docker_engine import engine
from pglab.cluster.process import is_alive, wait_until
from pglab.home import Home

BOOK = "volumes.json"
SWEEP_LIMIT_S = 60.0


def read_book(home: Home) -> dict[str, str]:
    """A home's servers that are made → their volume."""
    try:
        return dict(json.loads((home.root / BOOK).read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def write_book(home: Home, name: str, volume: str | None) -> None:
    """Note a server's volume; None forgets it."""
    with home.lock("volumes"):
        book = read_book(home) | ({name: volume} if volume else {})
        if volume is None:
            book.pop(name, None)
        draft = home.root / f"volumes.{os.getpid()}"
        draft.write_text(json.dumps(book))
        draft.replace(home.root / BOOK)


class DataFolder:
    """Where an image has its data: the place of the volume, and the folder in it."""

    def __init__(self, image: str) -> None:
        environment, volumes = engine().config(image)
        self.data = PurePosixPath(environment.get("PGDATA", "/var/lib/postgresql/data"))
        parents = {str(self.data), *map(str, self.data.parents)}
        self.mount = next((folder for folder in volumes if folder in parents), str(self.data))


def sweep(home: Home) -> None:
    """Remove what killed processes left half made: containers of programs that ran once, volumes that no line names."""

    def is_swept() -> bool:
        for container, process in engine().runs(home):
            if not _lives(process):
                engine().remove(container)
        left = set(engine().volumes(home)) - set(read_book(home).values())
        gone = [engine().remove_volume(volume) for volume in left]
        return all(gone)

    # What a process asked for just before it was killed, the engine makes after that.
    wait_until("Docker to let go of what a killed command left", is_swept, SWEEP_LIMIT_S, every_s=0.1)


def _lives(process: int) -> bool:
    try:
        return is_alive(psutil.Process(process))
    except psutil.NoSuchProcess:
        return False


def remove_strays() -> None:
    """Remove poolers whose home is gone: those of notebooks' own lie in temporary folders."""
    for container, home in engine().poolers():
        if not Path(home).exists():
            engine().remove(container)
