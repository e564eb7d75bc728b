"""Start a referee as a process of its own. It lives as long as the pipe to its standard input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pglab.errors import RefereeError
from pglab.home import Home, course_root

SOCKET, SECRET = "PGLAB_REFEREE", "PGLAB_REFEREE_SECRET"
COURSE_KEY = "PGLAB_COURSE_KEY"  # of the referee's environment alone


class RefereeHandle:
    """A running referee: where it listens, and the pipe that keeps it alive."""

    def __init__(
        self, arguments: Sequence[str] = (), home: Home | None = None, variables: Mapping[str, str] | None = None
    ) -> None:  # fmt: skip
        """Start it. variables: more for its environment.

        Raises:
            RefereeError: it did not start, with its own last words.
        """
        self.home = home or Home.default()
        self.home.make()
        environment = {
            **os.environ,
            "PGLAB_HOME": str(self.home.root),
            "PYTHONPATH": _import_path(),
            **(variables or {}),
        }
        log = self.home.logs / "referee.log"
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "grader.referee", *arguments], cwd=course_root(), env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        try:
            told = json.loads(self._process.stdout.readline())
        except ValueError:
            self.close()
            raise RefereeError("The referee did not start", f"Its log is {log}") from None
        self.socket = Path(told["socket"])
        self.secret = str(told["secret"])

    def env(self) -> dict[str, str]:
        """What a kernel needs to find it."""
        return {SOCKET: str(self.socket), SECRET: self.secret}

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ask(self, command: str) -> object:
        """Send a command over the pipe that only this process has; see grader.referee."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise RefereeError(
                "The referee is gone", f"Its log is {self.home.logs / 'referee.log'}"
            ) from error

    def close(self) -> None:
        """End it and wait until it has cleaned up."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _import_path() -> str:
    """The checkout first: a `grader` folder beside a student's notebook is not ours."""
    return os.pathsep.join([str(course_root()), *filter(None, [os.environ.get("PYTHONPATH")])])
