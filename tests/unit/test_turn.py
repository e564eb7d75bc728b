"""Timed measurements take turns across processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grader.turn import turn
from pglab.errors import RefereeError

HOLD = "import sys; from grader.turn import turn\nwith turn():\n    print('held', flush=True)\n    sys.stdin.read()"


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def test_one_at_a_time_and_free_again_when_its_holder_is_killed() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        with pytest.raises(RefereeError, match="took the machine"), turn(wait_s=0.1):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with turn(wait_s=10):
        pass


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    import os

    victim = tmp_path / "victim"
    (tmp_path / f"pglab-turn-{os.geteuid()}").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"), turn(wait_s=0.1):
        pass
    assert not victim.exists()
