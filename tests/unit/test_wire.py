"""The protocol between kernel and referee: order, and garbage."""

from __future__ import annotations

import datetime
import decimal
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.context import StudentError
from grader.referee import Referee
from pglab.errors import LabError, RefereeError
from pglab.wire import LONGEST_LINE, Channel, ask, dial, plain


class Echo:
    """Stands in for a session: remembers, answers, refuses."""

    graded = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.busy = threading.Lock()
        self.asked: list[Any] = []

    def start(self, lab: str, step: Any) -> dict[str, str]:
        step("working")
        return {"id": lab}

    def check(self, check: str, answer: Any, step: Any, call: Any) -> Any:
        if check == "none":
            raise LabError("There is no check 'none'", "Its checks are: fix")
        with self.busy:
            self.asked.append(answer)
        return {"check": check, "answer": answer}

    def close(self) -> None:
        pass


@pytest.fixture
def referee(tmp_path: Path) -> Iterator[Referee]:
    served = Referee(Echo(tmp_path))  # type: ignore[arg-type]
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    yield served
    served.close()
    assert not served.path.exists()


def test_a_request_is_answered_with_its_steps_before(referee: Referee) -> None:
    channel = dial(referee.path, referee.secret)
    steps: list[str] = []
    assert ask(channel, {"do": "start", "lab": "10"}, steps.append) == {"id": "10"}
    assert steps == ["working"]
    assert ask(channel, {"do": "check", "check": "fix", "answer": {"a": [1, None]}}) == {
        "check": "fix",
        "answer": {"a": [1, None]},
    }
    channel.close()


def test_a_refusal_keeps_the_connection(referee: Referee) -> None:
    channel = dial(referee.path, referee.secret)
    with pytest.raises(RefereeError, match=r"no check 'none'. Its checks are: fix"):
        ask(channel, {"do": "check", "check": "none"})
    assert ask(channel, {"do": "check", "check": "fix", "answer": 1})["answer"] == 1
    channel.close()


@pytest.mark.parametrize("secret", ["", "0" * 32, "ä"])
def test_a_wrong_secret_gets_nowhere(referee: Referee, secret: str) -> None:
    with pytest.raises(RefereeError, match=r"does not know this session"):
        dial(referee.path, secret)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"hello": 7}\n',
        b'{"hello": null}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b"x" * (LONGEST_LINE + 10) + b"\n",
        b"",
    ],
)
def test_garbage_ends_its_own_connection_and_nothing_else(referee: Referee, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as rough:
        rough.connect(str(referee.path))
        rough.settimeout(10)
        try:
            rough.sendall(garbage)
            rough.shutdown(socket.SHUT_WR)
            answer = rough.makefile("rb").read()
            assert b'"ok"' not in answer
        except (BrokenPipeError, ConnectionResetError):
            pass
    channel = dial(referee.path, referee.secret)
    assert ask(channel, {"do": "start", "lab": "10"}) == {"id": "10"}
    channel.close()


@pytest.mark.parametrize(
    "request_",
    [{"do": "record"}, {"do": "start"}, {"do": "start", "lab": 5}, {"do": ["check"]}, {"lab": "10"}],
)
def test_an_unknown_request_is_refused(referee: Referee, request_: dict[str, Any]) -> None:
    channel = dial(referee.path, referee.secret)
    with pytest.raises(RefereeError, match=r"does not know this request"):
        ask(channel, request_)
    channel.close()


def test_ten_checks_at_once_are_all_answered(referee: Referee) -> None:
    def one(number: int) -> None:
        channel = dial(referee.path, referee.secret)
        answers[number] = ask(channel, {"do": "check", "check": "fix", "answer": number})["answer"]
        channel.close()

    answers: dict[int, int] = {}
    threads = [threading.Thread(target=one, args=[number]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == {number: number for number in range(10)}


def test_a_kernel_that_dies_in_the_middle_does_no_harm(referee: Referee) -> None:
    with socket.socket(socket.AF_UNIX) as dying:
        dying.connect(str(referee.path))
        dying.sendall(json.dumps({"hello": referee.secret}).encode() + b'\n{"do": "che')
    channel = dial(referee.path, referee.secret)
    assert ask(channel, {"do": "check", "check": "fix", "answer": 1})["answer"] == 1
    channel.close()


def test_what_is_no_json_is_refused_before_it_is_sent(referee: Referee) -> None:
    channel = dial(referee.path, referee.secret)
    for answer in (object(), {1, 2}, float("nan")):
        with pytest.raises(RefereeError, match=r"cannot be sent"):
            ask(channel, {"do": "check", "check": "fix", "answer": answer})
    with pytest.raises(RefereeError, match=r"bytes long"):
        ask(channel, {"do": "check", "check": "fix", "answer": "x" * (LONGEST_LINE + 1)})
    assert ask(channel, {"do": "check", "check": "fix", "answer": 2})["answer"] == 2
    channel.close()


class Calling(Echo):
    """A session that runs a function of the student's."""

    def check(self, check: str, answer: Any, step: Any, call: Any) -> Any:
        try:
            return call("double", [answer], 0.3)
        except StudentError as error:
            return {"failed": str(error)}


@pytest.fixture
def calling(tmp_path: Path) -> Iterator[Channel]:
    served = Referee(Calling(tmp_path))  # type: ignore[arg-type]
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    channel = dial(served.path, served.secret)
    yield channel
    channel.close()
    served.close()


def run_check(channel: Channel, function: Any, answer: Any = 21) -> Any:
    return ask(channel, {"do": "check", "check": "fix", "answer": answer}, functions={"double": function})


def test_the_referee_runs_a_function_in_the_kernel(calling: Channel) -> None:
    assert run_check(calling, lambda number: number * 2) == 42


def test_what_a_function_raises_is_told_and_does_no_harm(calling: Channel) -> None:
    def broken(number: int) -> int:
        raise ValueError("no such order")

    assert run_check(calling, broken) == {"failed": "double raised ValueError: no such order"}
    assert "A object cannot be sent" in run_check(calling, lambda number: object())["failed"]
    assert run_check(calling, lambda number: number * 2) == 42


def test_a_late_answer_is_not_taken_for_the_next_one(calling: Channel) -> None:
    over = threading.Event()

    def slow(number: int) -> str:
        over.wait(1)  # longer than the limit
        return "late"

    assert run_check(calling, slow) == {"failed": "double did not return within 0.3 s"}
    assert run_check(calling, lambda number: number * 2) == 42


def test_values_travel_in_one_form() -> None:
    when = datetime.datetime(2024, 1, 2, 3, 4, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    assert plain({1: (when, decimal.Decimal("1.50"))}) == {"1": ["2024-01-02T01:04:00+00:00", "1.50"]}
