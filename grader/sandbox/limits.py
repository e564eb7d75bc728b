"""What a submission may use. A lab that needs more says so in lab.toml, under [limits]."""

from __future__ import annotations

from dataclasses import dataclass, fields

from grader.spec import Spec
from pglab.errors import LabError

MB = 2**20  # bytes


@dataclass(frozen=True)
class Limits:
    """Bounds of one submission's kernel and of all that it starts.

    Attributes:
        memory_mb: resident memory of all its processes together, in MB of 2^20 bytes; processes: how many, threads
        counted too where the system counts them; open_files: of one process; sockets: of all together, since a server
        has 200 places for clients that have not said yet who they are; disk_mb: its folder and /tmp each, in memory; cell_s, notebook_s: seconds for one cell and for the whole notebook; output_mb: all that it prints;
        database_mb: how far its database may grow.
    """

    memory_mb: int = 2048
    processes: int = 200
    open_files: int = 256
    sockets: int = 180
    disk_mb: int = 256
    cell_s: int = 300
    notebook_s: int = 900
    output_mb: int = 20
    database_mb: int = 4096

    @classmethod
    def of(cls, spec: Spec) -> Limits:
        """The defaults with what lab.toml has under [limits].

        Raises:
            LabError: it names a bound that does not exist.
        """
        stated = spec.raw.get("limits", {})
        if unknown := sorted(set(stated) - {field.name for field in fields(cls)}):
            raise LabError(f"solutions/{spec.id}/lab.toml: there is no limit {unknown[0]!r}")
        return cls(**stated)
