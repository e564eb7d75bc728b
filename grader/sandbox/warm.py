"""A process that has loaded what every lab imports, and forks kernels into sandboxes that bubblewrap has made.

`python -I warm.py PATH_OF_PGLAB`: a JSON line for each kernel comes in,
    {"holder": pid, "user": …, "own": […], "environment": {…}, "limits": {…}, "folder": …, "arguments": [… of ipykernel]}
and {"pid": …} or {"error": …} goes out. It ends with its standard input.

`python -I warm.py PATH_OF_PGLAB ARGUMENTS…` loads the same and becomes a kernel itself, for a container.

It starts with nothing of the grader's: no secret is in its memory, its environment or its open files. A kernel joins the
namespaces of the sandbox's holder, as nsenter(1) does, gives up every right there, and is then the student's. Started by
root it becomes `user` first, a number that owns nothing else: root's own, rights or not, could write to /proc/sys.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
NS_GET_USERNS = 0xB701  # ioctl_ns(2): the user namespace that owns a namespace
PRELOADED = (
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger", "IPython.core.completer"),
    *("pglab", "pglab.lab", "pandas", "psycopg", "sql.magic", "sqlalchemy.dialects.postgresql.psycopg"),
    *(
        "matplotlib.pyplot",
        "matplotlib_inline.backend_inline",
        "matplotlib.backends.backend_agg",
        "ipywidgets",
    ),
)
INSIDE = 1000  # the student's number in the sandbox
CLONE_NEWUSER = 0x10000000
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def preload(path: str) -> None:
    """Import what the labs import."""
    sys.path.insert(0, path)  # this pglab, whichever else is installed: it is the one that the sandbox shows
    for name in PRELOADED:
        with suppress(ImportError):  # of a package that moved: then each kernel imports it itself
            __import__(name)


def serve() -> None:
    """Fork a kernel for each line."""
    for line in sys.stdin:
        told = json.loads(line)
        _reap()
        try:
            spaces = _open_namespaces(int(told["holder"]))
        except OSError as error:
            answer: dict[str, Any] = {"error": f"the sandbox ended at once ({error.strerror})"}
        else:
            pid = os.fork()
            if not pid:
                _guard(told, spaces)
            for _, handle in spaces:
                os.close(handle)
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)


def _reap() -> None:
    """Take leave of guards that ended; a class would leave hundreds of zombies."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _open_namespaces(holder: int) -> list[tuple[str, int]]:
    """In the order in which they are joined.

    First the user namespace that owns the others: it gives the right to them. The holder's own comes last; it may lie
    one further in, and no more can be made there.
    """
    spaces = {}
    for name in (*NAMESPACES, "user"):
        path = Path("/proc", str(holder), "ns", name)
        # one that it shares with us cannot be joined, and need not be
        if path.exists() and path.readlink() != Path("/proc/self/ns", name).readlink():
            spaces[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if "user" not in spaces:
        return list(spaces.items())
    owner = fcntl.ioctl(spaces["mnt"], NS_GET_USERNS)
    if os.fstat(owner).st_ino == os.fstat(spaces["user"]).st_ino:
        os.close(spaces.pop("user"))
    return [("owner", owner), *spaces.items()]


def _guard(told: dict[str, Any], spaces: list[tuple[str, int]]) -> None:
    """Between the host and the kernel: joins the sandbox, forks the kernel, and ends the sandbox with it."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(PermissionError):
            os.setgroups([])
        for name, handle in spaces:
            if libc.setns(handle, 0):
                raise OSError(ctypes.get_errno(), f"setns {name}")
        kernel = os.fork()  # a process id in the sandbox is for children only
        if not kernel:
            _kernel(told)
        _close_all()
        os.waitpid(kernel, 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            os.kill(int(told["holder"]), signal.SIGKILL)
        os._exit(0)


def _kernel(told: dict[str, Any]) -> None:
    """Become the student's kernel."""
    status = 1
    try:
        os.setsid()
        _close_all()
        if told["user"]:
            _become(int(told["user"]), told["own"])
        _drop_rights()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(told["environment"])
        tempfile.tempdir = None
        os.chdir(told["folder"])
        shutil.copytree("/submission", told["folder"], dirs_exist_ok=True)
        for name, value in told["limits"].items():
            number = getattr(resource, name)
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (value, value))
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()  # else all students' draws were the same
        os.dup2(0, 2)  # the log is for what went wrong until here
        launch(told["arguments"])
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def launch(arguments: list[str]) -> None:
    """Be a kernel. What is loaded by now is what it imports, whatever files the submission has."""
    from ipykernel import kernelapp

    sys.path.insert(0, "")  # the kernel's folder, as in any notebook
    sys.argv = ["ipykernel_launcher", *arguments]
    kernelapp.launch_new_instance()


def _close_all() -> None:
    """Nothing that is open comes along but the log."""
    silence = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(silence, number)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _become(user: int, own: list[str]) -> None:
    """Be an ordinary user with these folders, in a user namespace in which no more can be made."""
    for folder in own:
        for path in (Path(folder), *Path(folder).rglob("*")):
            os.chown(path, user, user, follow_symlinks=False)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self is root's
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INSIDE} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{INSIDE} {user} 1")
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def _drop_rights() -> None:
    """Joining a user namespace gives every capability in it: give them all up, for programs started later too."""
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the sandbox's rights could not be given up")


if __name__ == "__main__":
    preload(sys.argv[1])
    if sys.argv[2:]:
        launch(sys.argv[2:])
    else:
        serve()
