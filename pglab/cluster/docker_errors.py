"""Docker's errors as sentences, each with a remedy that names the backend which needs no Docker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests.exceptions

from pglab.cluster.process import PortTaken
from pglab.errors import ClusterError, DiskFull

LIMIT_S = 120  # for one answer of the engine
STANDS_IN = "take the embedded backend, which needs no Docker: `pglab up --backend embedded`"
FULL = "no space left on device"
_TAKEN = (
    "port is already allocated",
    "address already in use",
    "ports are not available",
    "Only one usage of each",
)


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Docker's errors as ours, in a sentence with a remedy.

    Raises:
        PortTaken, DiskFull, ClusterError.
    """
    try:
        yield
    except docker.errors.APIError as error:
        said = str(error)
        if any(words in said for words in _TAKEN):
            raise PortTaken("The port was taken while the container started", "Try again") from error
        if FULL in said:
            raise disk_full() from error
        raise ClusterError(
            f"Docker could not {doing}: {reason(error)}", "`docker info` shows how it is"
        ) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise _unreachable(doing, error) from error


def disk_full() -> DiskFull:
    """The error for a full disk of Docker's."""
    return DiskFull(
        "The disk that Docker keeps its data on is full",
        f"Free some space (`docker system df` shows what it takes) and run `pglab up` again, nothing of yours is lost; or {STANDS_IN}",
    )


def _unreachable(doing: str, error: Exception) -> ClusterError:
    chain: BaseException | None = error
    said = ""
    while chain is not None:
        said += f" {type(chain).__name__} {chain}"
        chain = chain.__cause__ or chain.__context__
    if "PermissionError" in said or "Permission denied" in said:
        return ClusterError(
            "You have no rights on Docker's socket",
            f"Join its group (`sudo usermod -aG docker $USER`, then log in again), or {STANDS_IN}",
        )
    if "Timeout" in said or "timed out" in said:
        return ClusterError(
            f"Docker did not answer within {LIMIT_S} s when asked to {doing}",
            f"Restart Docker, or {STANDS_IN}",
        )
    return ClusterError(
        "No Docker engine answers here",
        f"Install or start Docker (`docker info` shows how it is), or {STANDS_IN}",
    )


def reason(error: Exception) -> str:
    """The first line of what it says."""
    said = str(getattr(error, "explanation", "") or error)
    return said.strip().splitlines()[0].rstrip(".") if said.strip() else type(error).__name__
