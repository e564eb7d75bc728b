"""How a Postgres server is run and where its files are: what differs between the backends, and nothing else.

A node knows what a server needs (settings, a copy of the primary, a port); its runner knows how that is done here: with
child processes and folders of the home (local_runner.py), or with containers and volumes (docker_runner.py).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import PurePath

from pglab.cluster.settings import as_conf
from pglab.errors import DiskFull
from pglab.home import Home

RUN_LIMIT_S = 900.0


class Files(ABC):
    """A data folder, finished or being made."""

    data: PurePath  # as the server and its programs see it

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether a file is there."""

    @abstractmethod
    def read(self, name: str) -> str:
        """Its text.

        Raises:
            FileNotFoundError: it is not there.
        """

    @abstractmethod
    def write(self, name: str, text: str) -> None:
        """Replace or make it, the server's own and closed to others."""

    def append(self, name: str, settings: Mapping[str, str]) -> None:
        """Add settings to a configuration file; the last one of a name counts."""
        self.write(name, self.read(name) + as_conf(dict(settings)))


class Draft(Files):
    """A data folder that is being made: it takes its place whole, or not at all."""

    @abstractmethod
    def run(self, program: str, arguments: Sequence[str], files: Mapping[str, str] | None = None) -> None:
        """Run one of Postgres' programs on it.

        Args:
            files: name → text of files for this run alone, closed to others; `{name}` in an argument is its path.

        Raises:
            OSError: it failed, or took more than RUN_LIMIT_S; said in its own words.
        """


class Runner(Files):
    """How one server is run. It may be made, or not yet; running, or not."""

    name: str
    home: Home
    log: str  # where its log is, for a person
    settings: Mapping[str, str]  # that this way of running it needs
    hba: str

    # -- the server's files -------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def version(self) -> str:
        """Of its programs, such as "18.6"."""

    @property
    def major(self) -> int:
        """Such as 18."""
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]

    @abstractmethod
    def other_major(self, major: str) -> str:
        """The remedy where the data was made by another major version."""

    @abstractmethod
    def is_made(self) -> bool:
        """Whether there is a whole data folder."""

    @abstractmethod
    def draft(self) -> AbstractContextManager[Draft]:
        """A new data folder, which is the server's when the block ends well, and gone when it does not."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove what killed processes left half made."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the data of a stopped server."""

    @abstractmethod
    def controldata(self) -> str:
        """What pg_controldata says of it."""

    @abstractmethod
    def free_bytes(self) -> int:
        """Room on the disk of its data."""

    @abstractmethod
    def disk_full(self) -> DiskFull:
        """The error for a full disk."""

    # -- the server ---------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The postmaster's process id, or None when it is stopped."""

    @property
    @abstractmethod
    def port(self) -> int:
        """The port that clients of this machine find it on, or did last; 0 before the first start."""

    @property
    @abstractmethod
    def host(self) -> str:
        """Where clients of this machine find it: a folder of Unix sockets, or an address."""

    @property
    @abstractmethod
    def peer(self) -> tuple[str, int]:
        """Host and port by which the cluster's other servers find it."""

    @abstractmethod
    def prepare(self) -> None:
        """Clear away what a killed server left in the way of the next start."""

    @abstractmethod
    def launch(self, port: int, options: Sequence[str]) -> None:
        """Start the server; it is not ready yet.

        Args:
            options: more words for its command line.

        Raises:
            PortTaken: somebody else was faster; ClusterError, DiskFull.
        """

    @abstractmethod
    def has_ended(self) -> bool:
        """Whether the server that was launched, or found, runs no more."""

    @abstractmethod
    def explain(self) -> Exception:
        """Why it ended, in a sentence."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send the postmaster a signal. Stopped already is fine."""
