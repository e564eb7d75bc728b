"""The one folder that pglab writes to outside the project: PGLAB_HOME."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import PlatformDirs

from pglab.errors import ClusterError

# sun_path holds 108 bytes on Linux and 104 on macOS, the last one a NUL; the longest name below run/ takes 30 of them.
LONGEST_HOME = 103 - 30


def course_root() -> Path:
    """The checkout: the folder that holds datasets/, labs/ and solutions/."""
    return Path(os.environ.get("PGLAB_ROOT") or Path(__file__).resolve().parent.parent)


class Home:
    """Where the cluster's data, sockets, logs and secrets live."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / "run"
        self.logs = root / "logs"

    @classmethod
    def default(cls) -> Home:
        """PGLAB_HOME, else the user's data folder.

        As root the site's folder: Postgres runs as another user there, and /root is closed to it.
        """
        chosen = os.environ.get("PGLAB_HOME")
        if chosen:
            return cls(Path(chosen).expanduser().absolute())
        return cls(PlatformDirs("pglab", appauthor=False, use_site_for_root=True).user_data_path)

    def make(self) -> None:
        """Create the folder, closed to other users (as root: open only to pass through).

        Raises:
            ClusterError: the path is too long for a Unix socket, or cannot be written.
        """
        if len(os.fsencode(self.root)) > LONGEST_HOME:
            raise ClusterError(
                f"{self.root} is too long for a Unix socket ({LONGEST_HOME} bytes at most)",
                "Set PGLAB_HOME to a shorter folder",
            )
        mode = 0o711 if os.geteuid() == 0 else 0o700
        self._refuse_closed_parent()
        try:
            for folder in (self.root, self.run, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(mode)
            (self.root / "locks").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ClusterError(
                f"{self.root} cannot be written ({error.strerror})", "Set PGLAB_HOME to a folder of your own"
            ) from error

    def _refuse_closed_parent(self) -> None:
        """As root the servers run as another user, who must be able to pass through every folder above."""
        if os.geteuid() != 0:
            return
        for parent in self.root.parents:
            if parent.exists() and not parent.stat().st_mode & 0o001:
                raise ClusterError(
                    f"{parent} is closed to other users, and as root Postgres runs as another user",
                    "Set PGLAB_HOME to a folder below an open one, such as /var/lib/pglab",
                )

    @contextmanager
    def lock(
        self, name: str, wait_s: float = 600, on_wait: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Hold a lock that ends with this process, however it ends.

        Args:
            name: what is locked; wait_s: seconds to wait for another holder; on_wait: called once when waiting begins.

        Raises:
            ClusterError: another process held it for wait_s seconds.
        """
        self.make()
        with (self.root / "locks" / name).open("a") as handle:
            deadline = time.monotonic() + wait_s
            told = False
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told and on_wait:
                        on_wait()
                    told = True
                    if time.monotonic() > deadline:
                        raise ClusterError(
                            f"Another pglab command has been at work on {self.root} for {wait_s:.0f} s",
                            "Wait for it to end, or end it, and try again",
                        ) from None
                    time.sleep(0.1)
            yield

    def secrets(self) -> dict[str, str]:
        """Generated passwords and keys: admin, replication, course. Made once, readable by the owner alone."""
        path = self.root / "secrets.json"
        try:
            return dict(json.loads(path.read_text()))
        except FileNotFoundError:
            self.make()
        made = {name: secrets.token_hex(16) for name in ("admin", "replication", "course")}
        draft = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            json.dump(made, handle)
        try:
            os.link(draft, path)  # fails when another process was first: then its secrets count
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return dict(json.loads(path.read_text()))

    def read_state(self) -> dict[str, int]:
        """What must outlive a stop: the ports in use."""
        try:
            return dict(json.loads((self.root / "state.json").read_text()))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def write_state(self, **values: int) -> None:
        """Change some values of the state; the others stay."""
        state = self.read_state() | values
        draft = self.root / f"state.{os.getpid()}"
        draft.write_text(json.dumps(state))
        draft.replace(self.root / "state.json")
