"""The way from a bare home to an open JupyterLab, and back to nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pglab import catalogue, doctor, jupyter, notebooks
from pglab.cluster import Cluster, pgbouncer
from pglab.dataset import Dataset, is_seeded, seed
from pglab.errors import PglabError
from pglab.home import Home
from pglab.lease import Say, ignoring_signals, lease

OnProgress = Callable[[float, str], None]
# Opened around the seeding with what is seeded in a few words; gives what to call with (done from 0 to 1, step).
Bar = Callable[[str], AbstractContextManager[OnProgress]]


def seed_with(bar: Bar, cluster: Cluster, scale: str) -> None:
    """Seed the dataset unless it is there.

    Raises:
        DatasetError, DiskFull: it cannot be.
    """
    dataset = Dataset.load()
    if scale in dataset.scales and is_seeded(cluster, dataset, scale):
        return
    known = dataset.scales.get(scale)
    size = f", {sum(known.rows.values()) / 1e6:,.1f} M rows, {known.bytes / 1e9:.1f} GB" if known else ""
    with bar(f"seeding {dataset.name} ({scale}{size})") as on_progress:
        seed(cluster, dataset, scale, on_progress)


def serve(
    home: Home,
    scale: str,
    port: int | None,
    path: Path | None,
    *,
    backend: str | None = None,
    say: Say,
    bar: Bar,
    on_ready: Callable[[str], None],
) -> None:
    """Bring all up, serve until JupyterLab ends or a signal comes, and take all down again.

    Args:
        port: None for the first free one; path: what to open, the index by default; backend: the home's by default;
        on_ready: told the address.

    Raises:
        PglabError: what went wrong, with everything taken down.
    """
    cluster = Cluster(home, backend=backend)
    doctor.require_room(home, scale, cluster.backend.name)
    jupyter.check_port(port)
    first_time = cluster.backend.name == "embedded" and not cluster.primary.is_made()
    with lease(cluster, say), _fetching_pgbouncer(home, first_time) as fetched:
        for name in notebooks.refresh():
            say(f"{notebooks.FOLDER}/{name} is yours and stays; labs/{name} is newer")
        # JupyterLab takes its seconds to start while the dataset is seeded.
        server = jupyter.Server(home, port, {**os.environ, "PGLAB_SCALE": scale})
        try:
            seed_with(bar, cluster, scale)
            jupyter.seed_workspace(home, [lab.notebook for lab in catalogue.listing()])
            server.wait_ready()
            if server.port != (port or jupyter.DEFAULT_PORT):
                say(f"port {jupyter.DEFAULT_PORT} is taken, so JupyterLab has {server.port}")
            on_ready(server.url(path) if path else server.url())
            if not fetched():
                say(f"PgBouncer could not be fetched; {pgbouncer.NEEDED_FOR} need it. {pgbouncer.remedy()}")
            code = server.process.wait()
        finally:
            with ignoring_signals():
                say("stopping JupyterLab")
                server.stop()
    if code:
        raise PglabError(f"JupyterLab ended with exit code {code}", f"Its log is {server.log}")


@contextmanager
def _fetching_pgbouncer(home: Home, wanted: bool) -> Iterator[Callable[[], bool]]:
    """At the first set-up, look for PgBouncer while the rest goes on. Gives what waits for it and says whether it is there."""
    if not wanted or pgbouncer.find(home):
        yield lambda: True
        return
    with (home.logs / "pgbouncer-fetch.log").open("wb") as log:
        # A session of its own, so that it can be ended with its children.
        process = subprocess.Popen(
            [sys.executable, "-m", "pglab.cluster.pgbouncer", str(home.root)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield lambda: process.wait() == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
