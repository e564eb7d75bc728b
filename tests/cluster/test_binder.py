"""Binder's start: the cluster is up, with data, when JupyterLab's command comes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pglab.cluster import Cluster
from pglab.home import Home, course_root


@pytest.mark.embedded
def test_the_cluster_is_up_when_the_command_comes(own_home: Home) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PGLAB_HOME": str(own_home.root), "PATH": path}
    try:
        told = subprocess.run(
            [course_root() / "binder" / "start", "pglab", "status"],
            env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        assert "running" in told.stdout
        assert "scales: tiny" in told.stdout
    finally:
        Cluster(own_home).down()
