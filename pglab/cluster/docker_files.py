"""Files in containers and their volumes, running or not: they go in and out as archives, so nothing has to run there."""

from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath

import docker.errors
from docker.models.containers import Container

from pglab.cluster.docker_errors import told

POSTGRES = "postgres"

_ids: dict[tuple[str, str], tuple[int, int]] = {}  # image, user → the user's numbers, which differ


def read(container: Container, path: str) -> str:
    """Text of a file.

    Raises:
        FileNotFoundError: it is not there.
    """
    with told(f"read {path}"):
        try:
            chunks, _ = container.get_archive(path)
        except docker.errors.NotFound:
            raise FileNotFoundError(path) from None
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            found = archive.extractfile(archive.getmembers()[0])
            return found.read().decode() if found else ""


def exists(container: Container, path: str) -> bool:
    """Whether a file is there."""
    try:
        read(container, path)
    except FileNotFoundError:
        return False
    return True


def write(container: Container, path: str, text: str) -> None:
    """Replace or make a file: the servers' user's own, closed to others."""
    target, buffer, data = PurePosixPath(path), io.BytesIO(), text.encode()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(target.name)
        entry.size, entry.mode = len(data), 0o600
        entry.uid, entry.gid = _numbers(container)
        archive.addfile(entry, io.BytesIO(data))
    with told(f"write {path}"):
        container.put_archive(str(target.parent), buffer.getvalue())


def _numbers(container: Container) -> tuple[int, int]:
    """Of the user that the container runs as; the Postgres image begins as root and drops to its own."""
    image, user = str(container.attrs["Image"]), str(container.attrs["Config"].get("User") or POSTGRES)
    if (image, user) not in _ids:
        for line in read(container, "/etc/passwd").splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if user.split(":")[0] in (name, uid):
                _ids[image, user] = int(uid), int(gid)
    return _ids[image, user]
