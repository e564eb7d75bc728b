"""Remove what pglab made in its home: `make clean` runs `python -m pglab.clean`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from pglab import lease
from pglab.cluster import Cluster, backend
from pglab.errors import PglabError
from pglab.home import Home

# By name, so that a PGLAB_HOME which somebody shares with other things loses nothing of theirs.
OURS = (
    "backend",
    "ipython",
    "jupyter",
    "locks",
    "logs",
    "matplotlib",
    "pgbouncer",
    "pgbouncer.fetching",
    "postgres",
    "run",
    "secrets.json",
    "state.json",
    "volumes.json",
)


def remove(home: Home) -> list[tuple[Path, int]]:
    """Stop the cluster and remove its data.

    Returns:
        Each path that was removed, with its bytes.

    Raises:
        PglabError: a `pglab lab` is using it.
    """
    if lease.is_in_use(home):
        raise PglabError("A `pglab lab` is running", "Stop it with Ctrl-C, then run `make clean` again")
    if not home.root.exists():
        return []
    nodes = [
        path
        for path in home.root.iterdir()
        if (path / "PG_VERSION").exists() or ".building-" in path.name or path.name.startswith("own_")
    ]
    if nodes or backend.read_note(home):
        lease.release(home)
        cluster = Cluster(home, backend=backend.read_note(home))
        cluster.down()
        cluster.discard()
    removed = []
    for path in [*nodes, *(home.root / name for name in OURS)]:
        if path.is_dir() and not path.is_symlink():
            removed.append((path, sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())))
            shutil.rmtree(path)
        elif path.exists():
            removed.append((path, path.stat().st_size))
            path.unlink()
    if not any(home.root.iterdir()):
        home.root.rmdir()
    return removed


if __name__ == "__main__":
    try:
        for gone, size in remove(Home.default()):
            print(f"removed {gone} ({size / 1e6:,.0f} MB)")
    except PglabError as failure:
        sys.exit(f"pglab: {failure}")
