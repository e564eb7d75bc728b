"""The learner's copy of the labs: never overwritten, renewed where it is untouched."""

from __future__ import annotations

from pathlib import Path

import pytest

from pglab import notebooks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "labs" / "10-missing-index"
    folder.mkdir(parents=True)
    (folder / "lab.ipynb").write_text("first")
    (folder / "workload.py").write_text("first")
    return tmp_path


def test_labs_are_copied_once(root: Path) -> None:
    assert notebooks.refresh(root) == []
    assert (root / "notebooks/10-missing-index/lab.ipynb").read_text() == "first"


def test_what_the_learner_wrote_stays_and_a_newer_release_is_told(root: Path) -> None:
    notebooks.refresh(root)
    mine = root / "notebooks/10-missing-index/lab.ipynb"
    mine.write_text("my answer")
    assert notebooks.refresh(root) == []
    (root / "labs/10-missing-index/lab.ipynb").write_text("second")
    assert notebooks.refresh(root) == ["10-missing-index/lab.ipynb"]
    assert mine.read_text() == "my answer"


def test_what_is_untouched_follows_the_release(root: Path) -> None:
    notebooks.refresh(root)
    (root / "labs/10-missing-index/workload.py").write_text("second")
    assert notebooks.refresh(root) == []
    assert (root / "notebooks/10-missing-index/workload.py").read_text() == "second"


def test_a_deleted_file_comes_back_and_a_lost_manifest_loses_nothing(root: Path) -> None:
    notebooks.refresh(root)
    (root / "notebooks/10-missing-index/workload.py").unlink()
    (root / "notebooks/10-missing-index/lab.ipynb").write_text("my answer")
    (root / "notebooks" / notebooks.MANIFEST).unlink()
    notebooks.refresh(root)
    assert (root / "notebooks/10-missing-index/workload.py").read_text() == "first"
    assert (root / "notebooks/10-missing-index/lab.ipynb").read_text() == "my answer"
