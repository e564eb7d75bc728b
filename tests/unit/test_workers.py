"""How many notebooks run at a time on this machine, and what an interrupt leaves."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any

import pytest

from grader import workers
from grader.execution import Executed, Job
from grader.workers import AHEAD, Places, here
from pglab.errors import PglabError

JOB = Job("alice", "10-missing-index", "{}", {}, "none")
LIMIT_S = 10


def test_the_next_lab_is_opened_while_a_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, running, go_on = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    most, now, lock = [0], [0], threading.Lock()

    def attempt(job: Job, place: AbstractContextManager[object]) -> Executed:
        opened.release()
        with place:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            running.release()
            assert go_on.wait(LIMIT_S)
            with lock:
                now[0] -= 1
        return Executed("", {})

    monkeypatch.setattr(workers, "attempt", attempt)
    with here(1) as (executor, many, run):
        assert many == 1 + AHEAD
        futures = [executor.submit(run, JOB) for _ in range(3)]
        assert all(opened.acquire(timeout=LIMIT_S) for _ in range(many))
        assert running.acquire(timeout=LIMIT_S)
        go_on.set()
        assert all(future.result(LIMIT_S) for future in futures)
    assert most == [1]


def test_after_an_interrupt_nobody_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    opening, go_on, ran = threading.Event(), threading.Event(), []
    futures: list[Any] = []

    def attempt(job: Job, place: AbstractContextManager[object]) -> Executed:
        opening.set()
        assert go_on.wait(LIMIT_S)
        with place:
            ran.append(job)
        return Executed("", {})

    monkeypatch.setattr(workers, "attempt", attempt)
    monkeypatch.setattr(Places, "close", lambda places, close=Places.close: (close(places), go_on.set()))
    with pytest.raises(KeyboardInterrupt), here(1) as (executor, _, run):  # noqa: PT012
        futures.append(executor.submit(run, JOB))
        assert opening.wait(LIMIT_S)
        raise KeyboardInterrupt
    with pytest.raises(PglabError, match="the grading was interrupted"):
        futures[0].result(LIMIT_S)
    assert not ran
