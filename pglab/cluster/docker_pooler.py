"""A PgBouncer as a container."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from pglab.cluster import docker_files
from pglab.cluster.docker_engine import POOLER, engine, key
from pglab.cluster.node import Node
from pglab.cluster.pooler_runner import INI, USERS, PoolerRunner
from pglab.cluster.process import wait_until
from pglab.home import Home

PGBOUNCER, PGBOUNCER_VARIABLE = "edoburu/pgbouncer:v1.25.1-p0", "PGLAB_PGBOUNCER_IMAGE"
SETTLE_LIMIT_S = 10.0
# Each client is an open file, and a container may begin with 1,024 of those that it is allowed.
OPEN_FILES = 'ulimit -n "$(ulimit -Hn)"; exec pgbouncer "$0"'


def pgbouncer_image() -> str:
    """PGLAB_PGBOUNCER_IMAGE, else a well kept one."""
    return os.environ.get(PGBOUNCER_VARIABLE) or PGBOUNCER


class DockerPooler(PoolerRunner):
    """A container, found again by its name in every process. Its port is the same inside and on 127.0.0.1."""

    folder = PurePosixPath("/pglab")

    def __init__(self, name: str, home: Home, network: Home | None = None) -> None:
        """network: the home of the cluster whose servers it finds, the same by default."""
        self.name = name
        self.home = home
        self.files = home.run / name
        self.log_file = home.logs / f"{name}.log"
        self.log = str(self.log_file)
        self.container = f"{key(home)}-{name}"
        self._network = network or home

    def require(self) -> None:
        """See PoolerRunner."""
        engine().require(pgbouncer_image(), PGBOUNCER_VARIABLE)

    def fetch(self, say: Callable[[str], None], limit_s: float) -> None:
        """See PoolerRunner."""
        engine().require(pgbouncer_image(), PGBOUNCER_VARIABLE, say, limit_s)

    def settings(self, port: int) -> dict[str, str]:
        """See PoolerRunner. All addresses are the container's."""
        return {"listen_addr": "0.0.0.0", "listen_port": str(port), "unix_socket_dir": "", "pidfile": ""}  # noqa: S104

    def reach(self, node: Node) -> tuple[str, int]:
        """See PoolerRunner."""
        return node.runner.peer

    @property
    def host(self) -> str:
        """See PoolerRunner."""
        return engine().address(self.container)

    @property
    def port(self) -> int:
        """See PoolerRunner."""
        try:
            found = re.findall(r"^listen_port = (\d+)$", (self.files / INI).read_text(), re.MULTILINE)
        except OSError:
            return 0
        return int(found[-1]) if found else 0

    @property
    def pid(self) -> int | None:
        """See PoolerRunner. Where the engine runs in a virtual machine, the number is one of there."""
        if not (self.files / INI).exists():
            return None  # never started, so Docker needs not be asked
        state = engine().state(self.container)
        return int(state["Pid"]) if state.get("Running") else None

    def put(self, name: str, text: str) -> None:
        """See PoolerRunner."""
        self.files.mkdir(mode=0o700, exist_ok=True)
        draft = self.files / f"{name}.draft"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(self.files / name)
        container = engine().find(self.container)
        if container is not None and container.status == "running":
            docker_files.write(container, str(self.folder / name), text)

    def launch(self, port: int) -> None:
        """See PoolerRunner."""
        engine().make_network(key(self._network), self._network)
        engine().start(
            pgbouncer_image(), self.container, self.home, POOLER, self.name, port, [str(self.folder / INI)],
            entrypoint=["sh", "-c", OPEN_FILES], files={str(self.folder / name): (self.files / name).read_text() for name in (INI, USERS)},
            network=key(self._network), init=True,
        )  # fmt: skip

    def has_ended(self) -> bool:
        """See PoolerRunner."""
        return self.pid is None

    def is_listening(self, port: int) -> bool:
        """See PoolerRunner. With the port taken no container starts."""
        return True

    def said(self, since: int = 0) -> str:
        """See PoolerRunner. Of one that is gone, what clear() kept."""
        words = engine().logs(self.container)
        if not words and self.log_file.exists():
            words = self.log_file.read_text(errors="replace")
        return words[since:]

    def settle(self, since: int) -> None:
        """See PoolerRunner. Its words reach Docker's log a moment after it wrote them."""
        seen = [""]

        def is_told() -> bool:
            seen.append(self.said(since))
            return "RELOAD" in seen[-1] and seen[-1] == seen[-2]

        wait_until(f"the {self.name} to say that it reads its files", is_told, SETTLE_LIMIT_S, every_s=0.05)

    def signal(self, number: int) -> None:
        """See PoolerRunner."""
        engine().signal(self.container, number)

    def clear(self) -> None:
        """See PoolerRunner. Its log stays in a file."""
        if not (self.files / INI).exists():
            return
        words = engine().logs(self.container)
        if words:
            self.log_file.write_text(words)
        engine().remove(self.container)
