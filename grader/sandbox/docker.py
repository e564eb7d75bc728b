"""The sandbox in a Docker container, for a Linux where bubblewrap may not work. The engine has to be this machine's own.

The image is empty: programs and Python are this machine's, as in the other sandbox, so both run the same versions, and
nothing is fetched.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from grader.run_folder import CONTAINER
from grader.sandbox.forge import WARM
from grader.sandbox.limits import MB, Limits
from grader.sandbox.surroundings import (
    ETC,
    FOLDER,
    READY,
    SLACK_MB,
    SYSTEM,
    Surroundings,
    bounds,
    free_user,
    python,
)
from pglab.home import course_root

IMAGE = "pglab-sandbox:empty"
TRY_LIMIT_S = 60
OVERHEAD = 4  # processes of a container beside the kernel's: sh, timeout
# Its first process takes leave of what the kernel left, and cannot be killed from inside. Its time is bounded from
# inside too: a grader that was killed ends nothing.
SCRIPT = f"""
cp -R /submission/. {FOLDER}/ && echo {READY}
exec </dev/null >/dev/null 2>&1
timeout --signal=KILL "$0" "$@"
exit
"""
CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def user() -> int:
    """The kernel's number, inside and outside: as root one that nothing else has, else the grader's."""
    return free_user() or os.getuid()


def command(around: Surroundings, kernel: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Docker's command line: the kernel in a container that goes when it ends. It loads what the other sandbox's kernels
    have loaded, so that no file of a submission stands in for a package in the one and not in the other.

    Args:
        kernel: jupyter_client's command line; variables: for the kernel's environment, by name alone, as the command
        line can be read by everybody: they are to be in the environment of this command.
    """
    name = f"pglab-{around.folder.name}-{os.urandom(4).hex()}"
    (around.folder / CONTAINER).write_text(name)
    uid, gid = around.user, _group(around.user)
    disk = around.limits.disk_mb * MB
    # what lies in memory as files counts too
    memory = str((around.limits.memory_mb + SLACK_MB) * MB + 3 * disk)
    return [
        *("docker", "run", "--rm", "--name", name, "--hostname", "sandbox", "--log-driver", "none"),
        *("--network", "none", "--read-only", "--cap-drop", "ALL", "--user", f"{uid}:{gid}"),
        *("--security-opt", "no-new-privileges", "--security-opt", "label=disable"),
        *("--memory", memory, "--memory-swap", memory, "--pids-limit", str(around.limits.processes + OVERHEAD)),
        *_ulimits(around.limits),
        *("--shm-size", str(disk), "--tmpfs", f"/tmp:rw,exec,mode=1777,size={disk}"),  # noqa: S108
        *("--tmpfs", f"{FOLDER}:rw,exec,mode=0700,uid={uid},gid={gid},size={disk}"),
        *_read_only([*SYSTEM, *ETC, *python(), *around.programs, *around.sockets]),
        *(word for mask in around.masks for word in _mount(type="tmpfs", target=mask, **{"tmpfs-size": "4096", "tmpfs-mode": "0555"})),
        *_bind(around.folder / "etc" / "passwd", "/etc/passwd"),
        *_bind(around.folder / "etc" / "group", "/etc/group"),
        *_bind(around.folder / "submission", "/submission"),
        *_bind(WARM, "/warm.py"),
        *_mount(type="bind", source=around.messages, target=around.messages),
        *(word for name, value in around.environment().items() for word in ("--env", f"{name}={value}")),
        *(word for name in variables for word in ("--env", name)),
        *("--workdir", FOLDER, IMAGE, "/bin/sh", "-c", SCRIPT, str(around.limits.notebook_s)),
        *(sys.executable, "-I", "/warm.py", str(course_root()), *kernel[kernel.index("ipykernel_launcher") + 1 :]),
    ]  # fmt: skip


def hand_over(around: Surroundings) -> None:
    """As root: the folder that both share becomes the kernel's user's."""
    _give((around.messages, *around.messages.iterdir()), around.user)


def process(around: Surroundings) -> int:
    """The number, on this machine, of the container's first process; 0 while there is none."""
    name = (around.folder / CONTAINER).read_text()
    said = _docker("inspect", "--format", "{{.State.Pid}}", name).stdout.strip()
    return int(said) if said.isdigit() else 0


@cache
def why_not() -> str:
    """Empty where a container on this machine can do it, else why not. Makes the image."""
    if sys.platform != "linux":
        return "a container can use this machine's Python and sockets on Linux only"
    if shutil.which("docker") is None:
        return "the command docker is not installed"
    try:
        return _try()
    except subprocess.TimeoutExpired:
        return f"Docker gave no answer within {TRY_LIMIT_S} s"


def _try() -> str:
    """Make the image, and reach a socket of this machine's from a container."""
    if _docker("image", "inspect", IMAGE).returncode:
        empty = io.BytesIO()
        tarfile.open(fileobj=empty, mode="w").close()
        made = _docker("import", "-", IMAGE, given=empty.getvalue())
        if made.returncode:
            return f"no Docker engine answers: {_last(made.stderr)}"
    with tempfile.TemporaryDirectory(prefix="pglab-") as folder, socket.socket(socket.AF_UNIX) as server:
        path, number = Path(folder) / "socket", user()
        server.bind(str(path))
        server.listen()
        _give((Path(folder), path), number)
        tried = _docker(
            *("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--user", f"{number}:{_group(number)}"),
            *("--security-opt", "label=disable", *_read_only([*SYSTEM, *ETC, *python(), Path(folder)]), IMAGE),
            *(sys.executable, "-c", CONNECT, str(path)),
        )  # fmt: skip
    return f"a container does not reach this machine's sockets: {_last(tried.stderr)}" if tried.returncode else ""  # fmt: skip


def _group(uid: int) -> int:
    """As root the group of the same number, which nothing else has either."""
    return os.getgid() or uid


def _give(paths: Iterable[Path], uid: int) -> None:
    if os.getuid() == 0:
        for path in paths:
            os.chown(path, uid, _group(uid))


def _docker(*words: str, given: bytes | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *words], input=given, capture_output=True, timeout=TRY_LIMIT_S)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _last(words: str) -> str:
    lines = words.strip().splitlines()
    return lines[-1].rstrip(".?") if lines else "no reason given"


def _read_only(paths: Iterable[str | Path]) -> list[str]:
    """Each under its own path, what is not there left out."""
    return [word for path in map(Path, paths) if path.exists() for word in _bind(path, path)]


def _bind(source: Path, target: Path | str) -> list[str]:
    return _mount("readonly", type="bind", source=source, target=target)


def _mount(*flags: str, **fields: object) -> list[str]:
    """--mount takes a line of CSV, so that a path may have a comma in it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*(f"{key}={value}" for key, value in fields.items()), *flags])  # fmt: skip
    return ["--mount", line.getvalue()]


def _ulimits(limits: Limits) -> list[str]:
    named = {name.removeprefix("RLIMIT_").lower(): value for name, value in bounds(limits).items()}
    return [word for name, value in named.items() for word in ("--ulimit", f"{name}={value}:{value}")]
