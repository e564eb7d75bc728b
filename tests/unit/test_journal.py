"""The journal: what was run and entered outlives the grader, and belongs to one version of a submission."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from grader.execution import Executed
from grader.journal import Journal
from grader.submission import Submission

DONE = Executed(
    "{}", {"fix": {"points": 5.0}}, ended="why", ended_in=3, in_flight="fix", seconds=1.5, peak_mb=80.0
)


def test_what_was_noted_is_found_for_the_same_submission_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "10-missing-index")
    journal.keep("alice", Submission({"10-missing-index.ipynb": b"{}", "data/a.csv": b"1"}))
    journal.note_executed("alice", "one", DONE)
    journal.note_entered("alice", "one", {"fix": 5.0, "safe": None})
    again = Journal(tmp_path, "10-missing-index")
    assert again.executed("alice", "one") == DONE
    assert again.entered("alice", "one") == {"fix": 5.0, "safe": None}
    assert again.executed("alice", "two") is None
    assert again.entered("alice", "two") is None
    assert again.executed("bob", "one") is None
    assert (again.handed_in("alice") / "data" / "a.csv").read_bytes() == b"1"
    again.forget("alice")
    assert again.executed("alice", "one") is None


def test_a_file_that_was_cut_off_counts_as_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "10-missing-index")
    journal.keep("alice", Submission({"a": b""}))
    journal.note_executed("alice", "one", DONE)
    path = next(tmp_path.rglob("executed.json"))
    path.write_text(path.read_text()[:-20])
    assert journal.executed("alice", "one") is None


def test_a_failed_write_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "10-missing-index")
    journal.keep("alice", Submission({"a": b""}))
    journal.note_executed("alice", "one", DONE)

    def full(handle: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("grader.journal.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        journal.note_executed("alice", "two", DONE)
    assert journal.executed("alice", "one") == DONE
    assert not list(tmp_path.rglob("*.draft"))


def test_a_second_submission_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "10-missing-index")
    journal.keep("alice", Submission({"a": b"", "b": b""}))
    folder = journal.keep("alice", Submission({"a": b"2"}))
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_other_users_cannot_read_it(tmp_path: Path) -> None:
    Journal(tmp_path, "10-missing-index")
    assert stat.S_IMODE((tmp_path / ".grading").stat().st_mode) == 0o700
