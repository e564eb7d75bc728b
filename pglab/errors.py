"""What can go wrong, said in one sentence and a remedy.

PglabError
├── ClusterError      a node could not be made, started or stopped
│   └── NotRunning    the cluster is stopped
├── DiskFull          no room, before or while writing
├── DatasetError      the dataset is missing, half made or not as stated
├── LabError          a notebook asked for something that cannot be done
└── RefereeError      the referee could not be reached, or could not measure
"""


class PglabError(Exception):
    """An error for a person: what happened, and what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = message.rstrip(".")
        self.remedy = remedy.rstrip(".")
        super().__init__(message, remedy)

    def __str__(self) -> str:
        return ". ".join(part for part in (self.message, self.remedy) if part) + "."


class ClusterError(PglabError):
    """A node could not be made, started or stopped."""


class NotRunning(ClusterError):
    """The cluster is stopped."""


class DiskFull(PglabError):
    """There is no room left, or there would not be."""


class DatasetError(PglabError):
    """The dataset is missing, half made or not as stated."""


class LabError(PglabError):
    """A notebook asked for something that cannot be done."""


class RefereeError(PglabError):
    """The referee could not be reached, or could not measure."""
