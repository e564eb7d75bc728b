"""JupyterLab over the course: settings and folders of its own, and an end that leaves no process behind."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil

from pglab import notebooks
from pglab.cluster import ports
from pglab.errors import PglabError
from pglab.home import Home, course_root

DEFAULT_PORT = 8888
START_LIMIT_S = 90.0
STOP_LIMIT_S = 15.0
INDEX = f"{notebooks.FOLDER}/README.md"

# jupytext's extension would take over how every file is read; the course converts with its library alone.
# What an instructor needs is in their own JupyterLab (see README, Grading a class).
EXTENSIONS = {"jupyterlab_jupytext": False, "nbgrader.server_extensions.formgrader": False}
ASSIGNMENTS = "nbgrader.server_extensions.assignment_list"
NBGRADERS = (
    "assignment-list",
    "course-list",
    "create-assignment",
    "formgrader",
    "menu",
)  # parts of JupyterLab
# JupyterLab's settings for the course; what a learner changes in the settings editor goes before them.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}},
    "@jupyterlab/notebook-extension:tracker": {"codeCellConfig": {"lineNumbers": False}},
}


def environment(home: Home) -> dict[str, str]:
    """The variables that keep all that Jupyter and its kernels write inside the home."""
    jupyter = home.root / "jupyter"
    inherited = [part for part in os.environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep) if part]
    return {
        "PGLAB_HOME": str(home.root),
        # Ours first: in a virtual environment its own etc/jupyter goes before JUPYTER_CONFIG_DIR.
        "JUPYTER_CONFIG_PATH": os.pathsep.join(
            [str(jupyter / "config"), str(course_root() / "grader"), *inherited]
        ),
        "JUPYTER_CONFIG_DIR": str(jupyter / "config"),
        "JUPYTER_DATA_DIR": str(jupyter / "data"),
        "JUPYTER_RUNTIME_DIR": str(_runtime(home)),
        "JUPYTERLAB_SETTINGS_DIR": str(jupyter / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(jupyter / "workspaces"),
        "IPYTHONDIR": str(home.root / "ipython"),
        "MPLCONFIGDIR": str(home.root / "matplotlib"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel's debugger warns on stderr
    }


def check_port(asked: int | None) -> None:
    """Before anything is done, look whether the port that was asked for is free.

    Raises:
        PglabError: it is taken.
    """
    if asked is not None and not ports.is_free(asked):
        raise PglabError(f"Port {asked} is taken", "Choose another one with --port, or leave --port out")


def lab_url(base: str, token: str, path: str | Path | None) -> str:
    """The address that opens a file of the course."""
    tree = f"/tree/{quote(str(path))}" if path else ""
    return f"{base}lab{tree}?{urlencode({'token': token})}"


class Server:
    """A JupyterLab that this process started."""

    def __init__(
        self, home: Home, port: int | None, more_environment: Mapping[str, str] = os.environ
    ) -> None:
        """Start it; `wait_ready` says when it can be used.

        Args:
            home: takes its files and its log; port: None for 8888 or the next free one, which JupyterLab finds.
        """
        self.home = home
        self.port = port or DEFAULT_PORT  # wait_ready says which one it is
        self.token = secrets.token_hex(24)
        self.log = home.logs / "jupyterlab.log"
        write_settings(home)
        # In the environment, not among the arguments, which every user of the machine can read.
        variables = {**more_environment, **environment(home), "JUPYTER_TOKEN": self.token}
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *_arguments(port)], cwd=course_root(), env=variables,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us: we stop it in order
            )  # fmt: skip

    def url(self, path: str | Path | None = INDEX) -> str:
        """The address, token and all, that opens a file of the course."""
        return lab_url(f"http://127.0.0.1:{self.port}/", self.token, path)

    def wait_ready(self) -> None:
        """Return when it answers.

        Raises:
            PglabError: it ended, or did not answer in time; with its own last words.
        """
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise PglabError(f"JupyterLab did not start: {self._last_words()}", f"Its log is {self.log}")
            if self._found_port():
                return
            time.sleep(0.05)
        raise PglabError(f"JupyterLab did not answer within {START_LIMIT_S:.0f} s", f"Its log is {self.log}")

    def _found_port(self) -> bool:
        """Whether it answers, on the port that it wrote down."""
        try:
            told = json.loads((_runtime(self.home) / f"jpserver-{self.process.pid}.json").read_text())
            self.port = int(told["port"])
        except (OSError, ValueError, KeyError):
            return False
        return answers(self.port, self.token)

    def stop(self) -> None:
        """End it, its kernels and all that they started."""
        family = _family(self.process.pid)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # A kernel notices within a second or two that its server is gone; a referee that its kernel is.
        _, alive = psutil.wait_procs(family, timeout=5)
        for process in alive:
            try:
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(alive, timeout=5)

    def _last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = [
                line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()
            ]
        return lines[-1] if lines else "it said nothing"


def running(home: Home) -> list[tuple[str, str]]:
    """(base address, token) of every JupyterLab of this home that answers."""
    found = []
    for path in sorted(_runtime(home).glob("jpserver-*.json")):
        try:
            told = json.loads(path.read_text())
            if answers(int(told["port"]), str(told["token"])):
                found.append((str(told["url"]), str(told["token"])))
        except (OSError, ValueError, KeyError):
            continue
    return found


def answers(port: int, token: str) -> bool:
    """Whether a Jupyter server with this token listens on the port. Asked directly: a proxy has no part in it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/status", headers={"Authorization": f"token {token}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _runtime(home: Home) -> Path:
    return home.root / "jupyter" / "runtime"


def _arguments(port: int | None) -> list[str]:
    root = os.environ.get("PGLAB_COURSE") or str(course_root())
    arguments = [
        "--no-browser",
        f"--port={port or DEFAULT_PORT}",
        f"--ServerApp.port_retries={0 if port else 200}",
        f"--ServerApp.ip={os.environ.get('PGLAB_LISTEN') or '127.0.0.1'}",  # a container's own is nobody's
        f"--ServerApp.root_dir={root}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    if (Path(root) / notebooks.FOLDER).is_dir():
        # The solutions are a folder further away than the learner's notebooks.
        arguments.append(f"--FileContentsManager.preferred_dir={notebooks.FOLDER}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")
    return arguments


def write_settings(home: Home, hidden: Sequence[str] = NBGRADERS) -> None:
    """Write the course's settings of JupyterLab into the home; environment() names them.

    Args:
        hidden: nbgrader's parts that a learner does not see. In a class, its menu leads to the list of assignments.
    """
    jupyter = home.root / "jupyter"
    for name in ("config/labconfig", "data", "runtime", "settings", "workspaces"):
        (jupyter / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (jupyter, home.root / "ipython", home.root / "matplotlib"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    config = jupyter / "config"
    extensions = {**EXTENSIONS, ASSIGNMENTS: "assignment-list" not in hidden}
    server = {"ServerApp": {"jpserver_extensions": extensions}}
    (config / "jupyter_server_config.json").write_text(json.dumps(server, indent=2))
    (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS, indent=2))
    disabled = {f"@jupyter/nbgrader:{name}": name in hidden for name in NBGRADERS}
    (config / "labconfig" / "page_config.json").write_text(
        json.dumps({"disabledExtensions": disabled}, indent=2)
    )


def seed_workspace(home: Home, paths: Sequence[Path]) -> None:
    """Have the first visit show the index, and the first notebook in a tab beside it. A learner's own layout stays."""
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    folder = home.root / "jupyter" / "workspaces"
    root = course_root()
    if any(folder.glob("*.jupyterlab-workspace")):
        return
    kinds = [("markdownviewer-widget", INDEX, "Markdown Preview")] if (root / INDEX).exists() else []
    kinds += [("notebook", path.as_posix(), "Notebook") for path in paths[:1] if (root / path).exists()]
    if not kinds:
        return
    names = [f"{kind}:{path}" for kind, path, _ in kinds]
    data: dict[str, object] = {
        f"{kind}:{path}": {"data": {"path": path, "factory": factory}} for kind, path, factory in kinds
    }
    dock = {"type": "tab-area", "currentIndex": 0, "widgets": names}
    files = {
        "collapsed": False,
        "visible": True,
        "current": "filebrowser",
        "widgets": ["filebrowser", "running-sessions"],
    }
    data["layout-restorer:data"] = {
        "main": {"dock": dock, "current": names[0]},
        "left": files,
        "right": {"collapsed": True, "visible": True, "widgets": []},
        "relativeSizes": [0.2, 0.8, 0],
    }
    WorkspacesManager(str(folder)).save("default", json.dumps({"data": data, "metadata": {"id": "default"}}))


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
