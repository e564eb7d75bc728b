"""One student's server: their own Postgres with the dataset, then JupyterLab; both end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pglab import jupyter
from pglab.cluster import Cluster
from pglab.errors import PglabError
from pglab.home import Home, course_root
from pglab.lease import lease
from pglab.serve import OnProgress, seed_with


def main() -> int:
    """Serve until the hub says that it is enough."""
    home = Home.default()
    is_instructor = os.environ["JUPYTERHUB_USER"] == "instructor"
    folder = Path(os.environ["PGLAB_COURSE"])
    folder.mkdir(exist_ok=True)
    with lease(Cluster(home), say):
        seed_with(bar, Cluster(home), os.environ.get("PGLAB_SCALE", "small"))
        environment = {**os.environ, **surroundings(home, is_instructor)}
        command = [
            sys.executable,
            "-m",
            "jupyterhub.singleuser",
            *sys.argv[1:],
            f"--ServerApp.root_dir={folder}",
        ]
        server = subprocess.Popen(command, env=environment, cwd=folder)

        def stop(number: int, frame: FrameType | None) -> None:
            server.terminate()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        return server.wait()


def surroundings(home: Home, is_instructor: bool) -> dict[str, str]:
    """The variables of a learner's JupyterLab; the instructor's keeps nbgrader's own tools."""
    if is_instructor:
        return {"JUPYTER_CONFIG_PATH": str(course_root() / "grader")}
    jupyter.write_settings(home, hidden=("course-list", "create-assignment", "formgrader"))
    return jupyter.environment(home)


def say(step: str) -> None:
    """A line in the hub's log."""
    print(f"{os.environ['JUPYTERHUB_USER']}: {step}", flush=True)


@contextmanager
def bar(title: str) -> Iterator[OnProgress]:
    """No bar: nobody watches a log."""
    say(title)
    yield lambda done, step: None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PglabError as error:
        sys.exit(f"pglab: {error}")
