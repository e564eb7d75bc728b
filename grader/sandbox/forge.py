"""The grader's side of warm.py: one such process, started when the first kernel is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pglab.errors import PglabError
from pglab.home import Home, course_root

WARM = Path(__file__).with_name("warm.py")
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "HOME": "/",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as a kernel sets it, before matplotlib is loaded
    "OPENBLAS_NUM_THREADS": "1",  # threads would not come along to a fork
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
_lock = threading.Lock()
_warm: subprocess.Popen[str] | None = None


def fork_kernel(home: Home, request: Mapping[str, Any]) -> int:
    """Fork a kernel into a sandbox; see warm.py for the request. Returns the number of the process that guards it.

    Raises:
        PglabError: it could not be done.
    """
    with _lock:
        process = _running(home)
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:
            process.kill()
            raise PglabError("The process that forks kernels ended", f"Its log is {_log(home)}") from error
    if "pid" not in told:
        raise PglabError(f"The sandbox could not be entered: {told['error']}", f"The log is {_log(home)}")
    return int(told["pid"])


def _running(home: Home) -> subprocess.Popen[str]:
    global _warm
    if _warm is None or _warm.poll() is not None:
        home.make()
        fonts = home.root / "matplotlib"
        with _log(home).open("a") as log:
            _warm = subprocess.Popen(
                _command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd="/",
                env={**ENVIRONMENT, "MPLCONFIGDIR": str(fonts)}, start_new_session=True,
            )  # fmt: skip
    return _warm


def _command() -> Sequence[str]:
    return [sys.executable, "-I", str(WARM), str(course_root())]


def _log(home: Home) -> Path:
    return home.logs / "kernels.log"


def _forget() -> None:
    """In a child of ours the process is its parent's."""
    global _warm
    _warm = None


os.register_at_fork(after_in_child=_forget)
