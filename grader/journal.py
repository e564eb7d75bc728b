"""What became of each submission, on disk, so that a grader that was killed carries on where it was.

<course>/.grading/<lab>/<student>/
    handed-in/<student>/<lab>/   the files as they were when they were read
    executed.json                what came of them, written whole or not at all
    entered.json                 the scores that the gradebook took over
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from grader.execution import Executed
from grader.submission import Submission

FOLDER = ".grading"


class Journal:
    """Of one lab in one course."""

    def __init__(self, root: Path, lab: str) -> None:
        self.lab = lab
        self._folder = root / FOLDER / lab
        self._folder.mkdir(parents=True, exist_ok=True)
        (root / FOLDER).chmod(0o700)  # what the referee saw is not for other users

    def keep(self, student: str, submission: Submission) -> Path:
        """Write a submission's files. Returns their folder, <student>/<lab>."""
        folder = self.handed_in(student)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        submission.write(folder)
        return folder

    def handed_in(self, student: str) -> Path:
        """Where keep() writes."""
        return self._of(student) / "handed-in" / student / self.lab

    def executed(self, student: str, digest: str) -> Executed | None:
        """What came of the submission with this digest, or None when it was not run to its end."""
        told = _read(self._of(student) / "executed.json")
        if told.get("digest") != digest:
            return None
        with suppress(TypeError):
            return Executed(**told["executed"])
        return None

    def note_executed(self, student: str, digest: str, executed: Executed) -> None:
        """Raises OSError when the disk is full; then nothing is changed."""
        _write(self._of(student) / "executed.json", {"digest": digest, "executed": asdict(executed)})

    def entered(self, student: str, digest: str) -> dict[str, Any] | None:
        """The scores that were entered for this digest, or None."""
        told = _read(self._of(student) / "entered.json")
        return told["scores"] if told.get("digest") == digest else None

    def note_entered(self, student: str, digest: str, scores: Mapping[str, Any]) -> None:
        """Raises OSError when the disk is full; then it will be entered again."""
        _write(self._of(student) / "entered.json", {"digest": digest, "scores": dict(scores)})

    def forget(self, student: str) -> None:
        """As if it had never been run; --force does that."""
        for name in ("executed.json", "entered.json"):
            (self._of(student) / name).unlink(missing_ok=True)

    def _of(self, student: str) -> Path:
        return self._folder / student


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    draft = path.with_suffix(".draft")
    try:
        with draft.open("w") as handle:
            json.dump(content, handle)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
