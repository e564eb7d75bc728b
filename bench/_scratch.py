"""A cluster that a benchmark has for itself, and that leaves nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pglab.cluster import Cluster
from pglab.home import Home


@contextmanager
def scratch_cluster() -> Iterator[Cluster]:
    """A running cluster in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="pglab-bench-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # as root the server runs as another user
        cluster = Cluster(Home(Path(folder)))
        cluster.up()
        try:
            yield cluster
        finally:
            cluster.down()
