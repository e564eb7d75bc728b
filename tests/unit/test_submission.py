"""Reading what was handed in: plain files only, bounded, and a reason for all that is left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from grader import submission
from grader.submission import read_files, read_submission

NAME = "10-missing-index.ipynb"


def notebook(*sources: str, output: str = "") -> str:
    cells = [
        {
            "cell_type": "code",
            "id": f"c{index}",
            "source": source,
            "metadata": {},
            "execution_count": 7,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": output}] if output else [],
        }
        for index, source in enumerate(sources)
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"widgets": {"x": 1}}, "cells": cells})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "alice" / "10-missing-index"
    path.mkdir(parents=True)
    (path / NAME).write_text(notebook("a = 1"))
    return path


def test_outputs_are_no_part_of_it(folder: Path) -> None:
    (folder / NAME).write_text(notebook("a = 1", output="x" * 10_000_000))
    found = read_submission(folder, NAME)
    assert not found.problem
    assert len(found.files[NAME]) < 1000
    before = found.digest()
    (folder / NAME).write_text(notebook("a = 1", output="y"))
    assert read_submission(folder, NAME).digest() == before
    (folder / NAME).write_text(notebook("a = 2"))
    assert read_submission(folder, NAME).digest() != before


def test_links_and_pipes_stay_out(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "gradebook.db"
    secret.write_text("secret")
    (folder / "data.txt").symlink_to(secret)
    (folder / "more").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "honest.csv").write_text("1,2")
    found = read_submission(folder, NAME)
    assert set(found.files) == {NAME, "honest.csv"}
    assert sorted(found.left_out) == [
        "data.txt (no plain file)",
        "more (no plain file)",
        "pipe (no plain file)",
    ]


def test_what_nbgrader_copied_through_a_link_stays_out(folder: Path, tmp_path: Path) -> None:
    autograded = tmp_path / "autograded"
    (autograded / "deep").mkdir(parents=True)
    for name in ("data.txt", "deep/data.txt", "workload.py", NAME):
        (autograded / name).write_text("secret")
    (folder / "data.txt").symlink_to(tmp_path / "x")
    (folder / "deep").symlink_to(tmp_path)
    assert set(read_files(autograded, folder)) == {"workload.py"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no notebook (JSONDecodeError)"),
        ('{"cells": [', "is no notebook (JSONDecodeError)"),
        ("[]", "is no notebook (TypeError)"),
        ('{"cells": 5}', "is no notebook (TypeError)"),
        ('{"nbformat": 3, "worksheets": []}', "is no notebook (KeyError)"),
        ("[" * 100_000, "is no notebook (RecursionError)"),
    ],
)
def test_a_broken_notebook_is_said(folder: Path, text: str, why: str) -> None:
    (folder / NAME).write_text(text)
    assert read_submission(folder, NAME).problem == f"{NAME} {why}"


def test_a_missing_notebook_is_said(folder: Path) -> None:
    (folder / NAME).rename(folder / "Untitled.ipynb")
    assert read_submission(folder, NAME).problem == f"{NAME} is missing"


def test_too_much_is_left_out_and_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "LARGEST_MB", 1)
    (folder / "big.bin").write_bytes(b"x" * 1_200_000)
    (folder / "small.txt").write_text("x")
    found = read_submission(folder, NAME)
    assert set(found.files) == {NAME, "small.txt"}
    assert found.left_out == ["big.bin (too large or too many: 1 MB, 500 files)"]


def test_odd_names_are_files_like_others(folder: Path) -> None:
    names = ["-rf", "a\nb", "ünï", ".hidden", "a'b\"c"]
    for name in names:
        (folder / name).write_text("x")
    assert set(read_submission(folder, NAME).files) == {NAME, *names}
