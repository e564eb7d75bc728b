"""A server as a container of the official Postgres image, its data in a volume."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from docker.models.containers import Container

from pglab.cluster import docker_files, docker_programs, process
from pglab.cluster.docker_engine import SERVER, engine, key
from pglab.cluster.docker_errors import disk_full
from pglab.cluster.docker_volumes import DataFolder, read_book, sweep, write_book
from pglab.cluster.local_runner import filled, last_words
from pglab.cluster.runner import RUN_LIMIT_S, Draft, Runner
from pglab.errors import ClusterError, DiskFull
from pglab.home import Home

POSTGRES, POSTGRES_VARIABLE = "postgres:18", "PGLAB_POSTGRES_IMAGE"
UNKNOWN = 1 << 60
# Containers come and go with addresses of their own, and the port is published on 127.0.0.1 alone.
HBA_CONTAINER = """\
# Made by pglab. A password for everybody.
local  all          all       scram-sha-256
host   all          all  all  scram-sha-256
local  replication  all       scram-sha-256
host   replication  all  all  scram-sha-256
"""


def postgres_image() -> str:
    """PGLAB_POSTGRES_IMAGE, else the official one."""
    return os.environ.get(POSTGRES_VARIABLE) or POSTGRES


class DockerDraft(Draft):
    """A new volume, with a container that is never started to reach its files."""

    def __init__(self, runner: DockerRunner, volume: str, holder: Container) -> None:
        self.data = runner.data
        self._runner = runner
        self._volume = volume
        self._holder = holder

    def exists(self, name: str) -> bool:
        """See Files."""
        return docker_files.exists(self._holder, str(self.data / name))

    def read(self, name: str) -> str:
        """See Files."""
        return docker_files.read(self._holder, str(self.data / name))

    def write(self, name: str, text: str) -> None:
        """See Files."""
        docker_files.write(self._holder, str(self.data / name), text)

    def run(self, program: str, arguments: Sequence[str], files: Mapping[str, str] | None = None) -> None:
        """See Draft."""
        paths = {name: f"/tmp/{name}" for name in files or {}}  # noqa: S108 (the container's own)
        code, _, errors = docker_programs.run(
            self._runner.image, self._runner.home, self._runner.name,
            [program, *(filled(word, paths) for word in arguments)],
            volumes={self._volume: self._runner.place.mount}, network=self._runner.network,
            files={paths[name]: text for name, text in (files or {}).items()}, limit_s=RUN_LIMIT_S,
        )  # fmt: skip
        if code:
            raise OSError(last_words(program, errors))


class DockerRunner(Runner):
    """A container, found again by its name in every process. It is there, stopped, until the cluster goes down."""

    settings = {"listen_addresses": "*", "unix_socket_directories": "/var/run/postgresql"}  # noqa: RUF012
    hba = HBA_CONTAINER

    def __init__(self, name: str, home: Home) -> None:
        self.name = name
        self.home = home
        self.image = postgres_image()
        self.container = f"{key(home)}-{name}"
        self.network = key(home)
        self.log = f"`docker logs {self.container}`"

    @property
    def place(self) -> DataFolder:
        """Where its data lies."""
        return DataFolder(self.image)

    @property
    def data(self) -> PurePosixPath:  # type: ignore[override]
        """See Files."""
        return self.place.data

    @property
    def volume(self) -> str:
        """Its volume.

        Raises:
            FileNotFoundError: it is not made.
        """
        volume = read_book(self.home).get(self.name)
        if volume is None:
            raise FileNotFoundError(f"The {self.name} has no volume")
        return volume

    # -- the server's files -------------------------------------------------------------------------------------------

    def exists(self, name: str) -> bool:
        """See Files."""
        if not self.is_made():
            return False
        with self._reach() as container:
            return docker_files.exists(container, str(self.data / name))

    def read(self, name: str) -> str:
        """See Files."""
        with self._reach() as container:
            return docker_files.read(container, str(self.data / name))

    def write(self, name: str, text: str) -> None:
        """See Files."""
        with self._reach() as container:
            docker_files.write(container, str(self.data / name), text)

    @contextmanager
    def _reach(self) -> Iterator[Container]:
        """Its container, or one that is made to reach the volume's files."""
        found = engine().find(self.container)
        if found is not None:
            yield found
            return
        if not engine().has_volume(self.volume):  # Docker would make an empty one
            raise ClusterError(
                f"The volume {self.volume} of the {self.name} is gone",
                "Run `make clean` and `pglab up` to start afresh",
            )
        with docker_programs.holder(
            self.image, self.home, self.name, {self.volume: self.place.mount}
        ) as holder:
            yield holder

    @property
    def version(self) -> str:
        """See Runner: the image's PG_VERSION or PG_MAJOR."""
        environment, _ = engine().config(self.image)
        found = environment.get("PG_VERSION") or environment.get("PG_MAJOR", "")
        matched = re.match(r"\d+(?:\.\d+)?", found)
        if not matched:
            raise ClusterError(f"{self.image} is no Postgres image", f"Name another in {POSTGRES_VARIABLE}")
        return matched[0]

    def other_major(self, major: str) -> str:
        """See Runner."""
        return f"Set {POSTGRES_VARIABLE}=postgres:{major}, or PGLAB_HOME to another folder to start afresh"

    def is_made(self) -> bool:
        """See Runner."""
        return self.name in read_book(self.home)

    @contextmanager
    def draft(self) -> Iterator[DockerDraft]:
        """See Runner."""
        self.sweep()
        volume = f"{self.container}-{secrets.token_hex(4)}"
        try:
            engine().make_network(self.network, self.home)
            engine().make_volume(volume, self.home, self.name)
            with docker_programs.holder(
                self.image, self.home, self.name, {volume: self.place.mount}
            ) as holder:
                yield DockerDraft(self, volume, holder)
            write_book(self.home, self.name, volume)
        finally:
            self.sweep()

    def sweep(self) -> None:
        """See Runner."""
        sweep(self.home)

    def remove(self) -> None:
        """See Runner. Forgotten first: it is gone whole, or not at all."""
        write_book(self.home, self.name, None)
        engine().remove(self.container)
        self.sweep()

    def controldata(self) -> str:
        """See Runner."""
        command = ["pg_controldata", "-D", str(self.data)]
        if self.pid is not None:
            return docker_programs.execute(self.container, command)[1]
        return docker_programs.run(
            self.image, self.home, self.name, command, volumes={self.volume: self.place.mount}
        )[1]

    def free_bytes(self) -> int:
        """See Runner. Where the engine runs in a virtual machine, a stopped server's disk cannot be asked."""
        if self.pid is not None:
            _, said = docker_programs.execute(self.container, ["df", "-Pk", str(self.data)])
            return int(said.splitlines()[-1].split()[3]) * 1024
        root = Path(engine().docker.info()["DockerRootDir"])
        return shutil.disk_usage(root).free if root.exists() else UNKNOWN

    def disk_full(self) -> DiskFull:
        """See Runner."""
        return disk_full()

    # -- the server ---------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """See Runner. Where the engine runs in a virtual machine, the number is one of there."""
        state = engine().state(self.container)
        return int(state["Pid"]) if state.get("Running") else None

    @property
    def port(self) -> int:
        """See Runner."""
        return self.home.read_state().get(self.name, 0)

    @property
    def host(self) -> str:
        """See Runner. No Unix socket: they do not leave a virtual machine."""
        return engine().address(self.container)

    @property
    def peer(self) -> tuple[str, int]:
        """See Runner."""
        return self.name, self.port

    def prepare(self) -> None:
        """See Runner."""
        engine().make_network(self.network, self.home)

    def launch(self, port: int, options: Sequence[str]) -> None:
        """See Runner."""
        engine().start(
            self.image, self.container, self.home, SERVER, self.name, port, ["postgres", "-p", str(port), *options],
            volumes={self.volume: self.place.mount}, network=self.network,
        )  # fmt: skip

    def has_ended(self) -> bool:
        """See Runner."""
        return self.pid is None

    def explain(self) -> Exception:
        """See Runner."""
        words = engine().logs(self.container)
        return (
            disk_full()
            if "No space left on device" in words
            else process.last_words(self.name, words, self.log)
        )

    def signal(self, number: int) -> None:
        """See Runner."""
        engine().signal(self.container, number)
