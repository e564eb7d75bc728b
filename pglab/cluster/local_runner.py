"""A server as a process of this machine, its data in a folder of the home."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pglab.cluster import account, process
from pglab.cluster.binaries import Binaries
from pglab.cluster.runner import RUN_LIMIT_S, Draft, Files, Runner
from pglab.cluster.settings import HBA
from pglab.errors import DiskFull
from pglab.home import Home


class LocalFiles(Files):
    """A data folder of this machine."""

    def __init__(self, data: Path) -> None:
        self.data: Path = data

    def exists(self, name: str) -> bool:
        """See Files."""
        return (self.data / name).exists()

    def read(self, name: str) -> str:
        """See Files."""
        return (self.data / name).read_text()

    def write(self, name: str, text: str) -> None:
        """See Files. The file is the data folder's owner's."""
        draft = self.data / f"{name}.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(text)
        owner = self.data.stat()
        os.chown(draft, owner.st_uid, owner.st_gid)
        draft.replace(self.data / name)


class LocalDraft(LocalFiles, Draft):
    """A data folder beside its place."""

    def __init__(self, folder: Path, binaries: Binaries) -> None:
        super().__init__(folder / "data")
        self.folder = folder
        self._binaries = binaries

    def run(self, program: str, arguments: Sequence[str], files: Mapping[str, str] | None = None) -> None:
        """See Draft. initdb alone insists on a user with a name."""
        user, ids = (
            account.as_named_user() if program == "initdb" else (account.as_server(), account.server_ids())
        )
        account.hand_over(self.folder, ids)
        paths = {}
        try:
            for name, text in (files or {}).items():
                path = paths[name] = self.folder / name
                path.touch(mode=0o600)
                path.write_text(text)
                account.hand_over(path, ids)
            words = [filled(word, paths) for word in arguments]
            ran = subprocess.run(
                [self._binaries[program], *words], capture_output=True, text=True, cwd="/", timeout=RUN_LIMIT_S,
                env=clean_environment() | {"LC_ALL": "C"}, **user,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise OSError(f"{program} took more than {RUN_LIMIT_S:.0f} s") from None
        finally:
            for path in paths.values():
                path.unlink(missing_ok=True)
        if ran.returncode:
            raise OSError(last_words(program, ran.stderr))
        account.hand_over(self.folder, account.server_ids())


class LocalRunner(LocalFiles, Runner):
    """A child process, found again by its data folder in every process."""

    hba = HBA

    def __init__(self, name: str, home: Home, binaries: Binaries) -> None:
        super().__init__(home.root / name)
        self.name = name
        self.home = home
        self.binaries = binaries
        self.sockets = home.run / "pg"
        self.log_file = home.logs / f"{name}.log"
        self.log = str(self.log_file)
        self.settings = {"listen_addresses": "localhost", "unix_socket_directories": str(self.sockets)}
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0  # byte of the log where the launched server's words begin

    # -- the server's files -------------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """See Runner."""
        return self.binaries.version

    def other_major(self, major: str) -> str:
        """See Runner."""
        return f"Set PGLAB_PG_BIN to the bin folder of a Postgres {major}, or PGLAB_HOME to another folder to start afresh"

    def is_made(self) -> bool:
        """See Runner."""
        return self.exists("PG_VERSION")

    @contextmanager
    def draft(self) -> Iterator[LocalDraft]:
        """See Runner."""
        self.sweep()
        # By process: a killed one's programs may still write to its own.
        folder = self.data.with_name(f"{self.name}.building-{os.getpid()}")
        try:
            folder.mkdir(mode=0o700)
            draft = LocalDraft(folder, self.binaries)
            yield draft
            draft.data.rename(self.data)
        finally:
            self.sweep()

    def sweep(self) -> None:
        """See Runner."""
        for draft in self.home.root.glob(f"{self.name}.building-*"):
            process.end_programs(draft)
            shutil.rmtree(draft, ignore_errors=True)

    def remove(self) -> None:
        """See Runner. Renamed first: it is gone whole, or not at all."""
        if self.is_made():
            self.data.rename(self.data.with_name(f"{self.name}.building-gone-{os.getpid()}"))
        self.sweep()

    def controldata(self) -> str:
        """See Runner."""
        return subprocess.run(
            [self.binaries["pg_controldata"], "-D", str(self.data)],
            capture_output=True, text=True, timeout=30, env=clean_environment() | {"LC_ALL": "C"},
        ).stdout  # fmt: skip

    def free_bytes(self) -> int:
        """See Runner."""
        return shutil.disk_usage(self.data if self.data.exists() else self.home.root).free

    def disk_full(self) -> DiskFull:
        """See Runner."""
        return process.disk_full(self.home.root)

    # -- the server ---------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """See Runner."""
        if self._process is not None:
            self._process.poll()  # else our own child stays a zombie
        found = process.postmaster(self.data)
        return found.pid if found else None

    @property
    def port(self) -> int:
        """See Runner."""
        return process.listening_port(self.data) or self.home.read_state().get(self.name, 0)

    @property
    def host(self) -> str:
        """See Runner."""
        return str(self.sockets)

    @property
    def peer(self) -> tuple[str, int]:
        """See Runner."""
        return str(self.sockets), self.port

    def prepare(self) -> None:
        """See Runner."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        ids = account.server_ids()
        if ids:  # open to pass through: a graded kernel has none of root's rights
            self.sockets.chmod(0o711)
            os.chown(self.sockets, *ids)
        process.drop_stale_locks(self.data, self.sockets)
        process.wait_until(
            f"the processes of the killed {self.name} to end", lambda: not process.orphans(self.data), 30,
            last=lambda: ", ".join(str(orphan.pid) for orphan in process.orphans(self.data)),
        )  # fmt: skip

    def launch(self, port: int, options: Sequence[str]) -> None:
        """See Runner. A port that is taken is seen when it has ended."""
        self.log_file.touch(exist_ok=True)
        self._since = self.log_file.stat().st_size
        command = [self.binaries["postgres"], "-D", str(self.data), "-p", str(port), "-k", str(self.sockets)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env=clean_environment(), start_new_session=True,  # Ctrl-C in the terminal is not the server's
                **account.as_server(),
            )  # fmt: skip

    def has_ended(self) -> bool:
        """See Runner."""
        if self._process is not None:
            return self._process.poll() is not None
        return self.pid is None

    def explain(self) -> Exception:
        """See Runner."""
        return process.explain_exit(self.name, self.data, self.log_file, self._since)

    def signal(self, number: int) -> None:
        """See Runner."""
        server = process.postmaster(self.data)
        if server is not None:
            with suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
                server.send_signal(number)


def clean_environment() -> dict[str, str]:
    """The environment without what would lead Postgres' programs elsewhere."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LD_"))}


def filled(word: str, paths: Mapping[str, object]) -> str:
    """A word of a command with each `{name}` replaced by that file's path."""
    for name, path in paths.items():
        word = word.replace(f"{{{name}}}", str(path))
    return word


def last_words(program: str, errors: str) -> str:
    """The line of a failed program that says why."""
    said = [*errors.strip().splitlines(), f"{program} said nothing"]
    return next(
        (line for line in said if "error:" in line or "FATAL" in line), said[-2] if len(said) > 1 else said[0]
    )
