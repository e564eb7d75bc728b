"""PgBouncer where it cannot be had: said at once, or within the limit, with the remedy."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from pglab.cluster import pgbouncer
from pglab.errors import ClusterError
from pglab.home import Home


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """None on this machine, and nobody chose one."""
    monkeypatch.delenv("PGLAB_PGBOUNCER", raising=False)
    monkeypatch.setattr(pgbouncer, "find", lambda home: None)


def test_a_choice_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGLAB_PGBOUNCER", "/nowhere/pgbouncer")
    monkeypatch.setattr(
        pgbouncer, "_download", lambda *given: pytest.fail("fetched one that would not count")
    )
    with pytest.raises(ClusterError, match=r"PGLAB_PGBOUNCER is /nowhere/pgbouncer, .*or unset it"):
        pgbouncer.fetch(Home(tmp_path))


@pytest.mark.usefixtures("nowhere")
def test_without_a_package_archive_the_remedy_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError) as raised:
        pgbouncer.fetch(Home(tmp_path / "home"))
    assert (raised.value.message, raised.value.remedy) == ("PgBouncer is not installed", pgbouncer.remedy())


@pytest.mark.usefixtures("nowhere")
def test_an_archive_that_does_not_answer_is_not_waited_for(
    own_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = shutil.which("sleep")
    for name in ("apt-get", "dpkg"):
        (tmp_path / name).write_text(f"#!/bin/sh\nexec {sleep} 60\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    steps: list[str] = []
    began = time.monotonic()
    with pytest.raises(ClusterError, match="does not answer") as raised:
        pgbouncer.fetch(own_home, steps.append, limit_s=0.3)
    assert time.monotonic() - began < 10  # and not 0.3 s for each of its commands, nor the archive's 60
    assert raised.value.remedy == pgbouncer.remedy()
    assert steps == ["fetching PgBouncer from the system's package archive"]
    assert not list(own_home.root.glob("pgbouncer*"))
