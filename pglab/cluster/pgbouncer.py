"""Where the PgBouncer program is, and how to get one without root and without a system service."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pglab.errors import ClusterError
from pglab.home import Home

NEEDED_FOR = "the labs on connections (module 3)"
# Debian's package as it is unpacked, and the libraries that a small system lacks. Newer releases call libevent "…t64".
LIBRARIES = (
    ("libevent-2.1.so.7", ("libevent-2.1-7", "libevent-2.1-7t64")),
    ("libcares.so.2", ("libc-ares2", "libcares2")),
)
FETCH_LIMIT_S = 180.0


def find(home: Home) -> Path | None:
    """PGLAB_PGBOUNCER, else one on PATH or in /usr/sbin, else the fetched one. None when there is none."""
    chosen = os.environ.get("PGLAB_PGBOUNCER")
    if chosen:
        path = Path(chosen).expanduser().absolute()
        return path if path.exists() else None
    # Debian installs it to /usr/sbin, which ordinary users do not have on PATH.
    found = shutil.which("pgbouncer") or shutil.which(
        "pgbouncer", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
    )
    if found:
        return Path(found)
    fetched = _folder(home) / "usr" / "sbin" / "pgbouncer"
    return fetched if fetched.exists() else None


def environment(binary: Path) -> dict[str, str]:
    """Variables that a fetched PgBouncer needs beside its own libraries; none for a system's one."""
    root = binary.parent.parent.parent
    folders = (
        sorted({str(path.parent) for path in root.glob("usr/lib/**/*.so.*")})
        if root.name == "pgbouncer"
        else []
    )
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {}


def version(binary: Path) -> str:
    """Such as "1.18.0".

    Raises:
        ClusterError: it does not run.
    """
    try:
        told = subprocess.run(
            [str(binary), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, **environment(binary)},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"{binary} does not run ({error})", remedy()) from error
    found = re.search(r"PgBouncer (\S+)", told.stdout)
    if not found:
        raise ClusterError(f"{binary} does not run ({(told.stderr or told.stdout).strip()})", remedy())
    return found[1]


def remedy() -> str:
    """How to get PgBouncer on this machine."""
    if platform.system() == "Darwin":
        return "Run `brew install pgbouncer`"
    return "Install your system's pgbouncer package (its service is not needed), or set PGLAB_PGBOUNCER to the program"


def fetch(home: Home, say: Callable[[str], None] = lambda step: None, limit_s: float = FETCH_LIMIT_S) -> Path:
    """Unpack Debian's or Ubuntu's package into the home. No root, no service, and apt's own state is left alone.

    Args:
        limit_s: for all of it; an archive that does not answer is waited for no longer.

    Raises:
        ClusterError: it cannot be had here, with the remedy.
    """
    present = find(home)
    if present is not None:
        return present
    if chosen := os.environ.get("PGLAB_PGBOUNCER"):  # a fetched one would not count
        raise ClusterError(
            f"PGLAB_PGBOUNCER is {chosen}, and no program is there",
            "Set it to PgBouncer's program, or unset it",
        )
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ClusterError("PgBouncer is not installed", remedy())
    home.make()
    with home.lock("pgbouncer"):
        draft = home.root / "pgbouncer.fetching"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            _download(draft, say, time.monotonic() + limit_s)
            version(draft / "pgbouncer" / "usr" / "sbin" / "pgbouncer")  # proof that it runs here
            shutil.rmtree(_folder(home), ignore_errors=True)
            (draft / "pgbouncer").rename(_folder(home))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return _folder(home) / "usr" / "sbin" / "pgbouncer"


def _folder(home: Home) -> Path:
    return home.root / "pgbouncer"


def _download(draft: Path, say: Callable[[str], None], deadline: float) -> None:
    unpacked, cache = draft / "pgbouncer", draft / "cache"
    for folder in (unpacked, draft / "lists" / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True)
    if os.geteuid() == 0:
        draft.chmod(0o755)
        unpacked.chmod(0o755)  # the servers' own user runs it
    private = ["-o", f"Dir::State::lists={draft / 'lists'}", "-o", f"Dir::Cache={cache}"]
    # As root apt would switch to its own user, who may not enter the home.
    common = [
        "apt-get",
        "-qq",
        "-o",
        "APT::Sandbox::User=",
        "-o",
        "Acquire::Retries=1",
        "-o",
        "Acquire::http::Timeout=30",
    ]
    say("fetching PgBouncer from the system's package archive")
    system = [*common, "-o", f"Dir::Cache={cache}"]
    if not _got(system, ["pgbouncer"], draft, deadline):  # no lists on this system, or old ones: get our own
        _run([*common, *private, "update"], draft, deadline)
        system = [*common, *private]
        if not _got(system, ["pgbouncer"], draft, deadline):
            raise ClusterError(
                "PgBouncer is not installed, and the system's package archive did not give it", remedy()
            )
    for library, packages in LIBRARIES:
        if not _has_library(library) and not any(
            _got(system, [package], draft, deadline) for package in packages
        ):
            raise ClusterError(f"PgBouncer needs {library}, and it could not be fetched", remedy())
    for package in draft.glob("*.deb"):
        _run(["dpkg", "-x", str(package), str(unpacked)], draft, deadline)


def _got(apt: Sequence[str], packages: Sequence[str], folder: Path, deadline: float) -> bool:
    try:
        _run([*apt, "download", *packages], folder, deadline)
    except _TooLate:
        raise
    except ClusterError:
        return False
    return True


class _TooLate(ClusterError):
    """The time for it is over."""


def _run(command: Sequence[str], folder: Path, deadline: float) -> None:
    clean: Mapping[str, str] = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        ran = subprocess.run(
            command, cwd=folder, env=clean, capture_output=True, text=True,
            timeout=max(deadline - time.monotonic(), 0.1),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _TooLate(
            "PgBouncer could not be fetched (the package archive is too slow, or does not answer)", remedy()
        ) from error
    except OSError as error:
        raise ClusterError(f"PgBouncer could not be fetched ({command[0]}: {error})", remedy()) from error
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ClusterError(f"PgBouncer could not be fetched ({last})", remedy())


def _has_library(name: str) -> bool:
    return any(
        path.exists()
        for folder in ("/lib", "/usr/lib", "/usr/local/lib")
        for path in Path(folder).glob(f"*/{name}")
    ) or any((Path(folder) / name).exists() for folder in ("/lib", "/usr/lib", "/usr/lib64"))


if __name__ == "__main__":  # pglab.serve runs it beside the seeding: python -m pglab.cluster.pgbouncer HOME
    try:
        print(fetch(Home(Path(sys.argv[1])), print))
    except ClusterError as error:
        sys.exit(str(error))
