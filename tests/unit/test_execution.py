"""What is refused before a kernel is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grader.execution import Job, execute
from grader.sandbox import bubblewrap
from grader.sandbox.kernel import choose
from grader.sandbox.limits import Limits
from grader.spec import Spec
from pglab.errors import LabError, PglabError

closed: list[str] = []


class Far:
    """A referee whose servers are reached over the network alone."""

    def __init__(self, *, student: str, lab: str, home: Any, key: str) -> None:
        self.student = student

    def open(self) -> list[Path]:
        return [Path("172.17.0.2")]

    def env(self) -> dict[str, str]:
        return {}

    def record(self) -> dict[str, dict[str, Any]]:
        return {}

    def close(self) -> None:
        closed.append(self.student)


def test_servers_without_a_socket_are_out_of_a_sandboxs_reach() -> None:
    with pytest.raises(PglabError, match=r"no Unix sockets.*embedded backend"):
        execute(Job("far", "10-missing-index", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', {}, "bubblewrap"), Far)  # fmt: skip
    assert closed == ["far"]


def test_without_bubblewrap_nothing_is_run_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "why_not", lambda: "bubblewrap is not installed")
    with pytest.raises(PglabError, match=r"not run without a sandbox.*--no-sandbox"):
        choose()
    assert choose("none") == "none"
    with pytest.raises(PglabError, match="no sandbox 'firejail'"):
        choose("firejail")


def test_a_lab_may_ask_for_more_and_no_unknown_bound() -> None:
    spec = Spec.load("23-pool-exhaustion")
    assert Limits.of(spec).open_files > Limits().open_files
    spec.raw["limits"] = {"memmory_mb": 1}
    with pytest.raises(LabError, match="no limit 'memmory_mb'"):
        Limits.of(spec)
