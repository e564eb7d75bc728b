"""The live view: what it says and draws, and that one output of it is left."""

from __future__ import annotations

import base64
import math
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest

from pglab.load import Snapshot
from pglab.show import strips, style
from pglab.show.live import Live, live
from pglab.show.strips import Line, Strip

NAN = float("nan")
CELL = """
import time
from pglab.show.live import live
from pglab.load import closed_loop
import asyncio
async def request(conn): await asyncio.sleep(0.01)
with live(lambda: {"active": 3, "idle": 9}, pools=lambda: {"cl_waiting": 7}, title="Two") as view:
    closed_loop(request, connect=lambda: 1, clients=3, seconds=1.6, on_progress=view)
"""


def snapshot(**more: Any) -> Snapshot:
    values: dict[str, Any] = {
        "at_s": 1.0, "tps": 100.0, "failed_per_s": 0.0, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 12.3, "mean_ms": 1.1,
        "requests": 200, "failed": 0, "waiting": 4, "in_flight": 5, "dropped": 0, "errors": {},
    }  # fmt: skip
    return Snapshot(**(values | more))


def texts(view: Live) -> list[str]:
    """All text of the picture; it is proved to be well formed."""
    html = view.html()
    found = re.findall(r'<img src="data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)"', html)
    assert len(found) == 1 and "<svg" not in html and "<script" not in html
    root = ET.fromstring(base64.b64decode(found[0]).decode())
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    yield capsys
    assert capsys.readouterr().err == ""


def test_shows_connections_waiting_tps_and_p99(quiet: pytest.CaptureFixture[str]) -> None:
    with live(lambda: {"active": 8, "idle": 30}, pools=lambda: {"cl_waiting": 51, "servers": 20}) as view:
        view(snapshot(waiting=40))
        view(snapshot(waiting=3))
        shown, now = (
            texts(view),
            ("active 8", "idle 30", "cl_waiting 51", "in the load 3", "tps 100", "p99 ms 12.3"),
        )
        assert set(shown) >= {"connections by state", *now}
    assert {"idle up to 30", "in the load up to 40", "p99 ms up to 12.3"} <= set(texts(view))  # all is over
    assert not any("idle in transaction" in text for text in shown)  # there were none
    assert quiet.readouterr().out == f"{view.text()}\n"  # once, at the end
    assert "up to 38 connections · up to 51 clients waiting · 200 requests" in view.text()


def test_says_what_failed_and_what_was_dropped() -> None:
    view = Live(None, None, "Load")
    view(snapshot(failed=2100, failed_per_s=70, dropped=3, errors={"FATAL: <sorry>": 2000, "other": 100}))
    assert "2,100 failed: FATAL: <sorry> and 1 more kind" in view.text()
    assert "3 dropped" in view.text()
    assert "<sorry>" not in view.html() and "&lt;sorry&gt;" in view.html()
    assert "failed/s 70" in texts(view)


def test_a_load_that_knows_only_its_mean_shows_that() -> None:
    view = Live(None, None, "Load")
    view(snapshot(p99_ms=NAN, mean_ms=9.0))
    assert "mean ms 9" in texts(view)


def test_a_server_that_is_gone_is_a_gap_and_a_note(quiet: pytest.CaptureFixture[str]) -> None:
    calls = 0

    def sampler() -> Mapping[str, float]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError("server closed the connection")
        return {"active": 5}

    with live(sampler) as view:
        limit = time.monotonic() + 10
        while calls < 3 and time.monotonic() < limit:
            time.sleep(0.01)
    assert "not sampled: server closed the connection" in view.text()
    texts(view)


def test_samples_at_least_once_a_second_and_stops() -> None:
    times: list[float] = []

    def sampler() -> Mapping[str, float]:
        times.append(time.monotonic())
        return {}

    with live(sampler) as view:
        limit = time.monotonic() + 10
        while len(times) < 5 and time.monotonic() < limit:
            time.sleep(0.01)
    assert max(b - a for a, b in pairwise(times)) < 1
    assert view._thread is not None and not view._thread.is_alive()


def test_the_thread_ends_with_an_error_in_the_load() -> None:
    closed = []

    class Sampler:
        def __call__(self) -> Mapping[str, float]:
            return {}

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt), live(Sampler()) as view:
        raise KeyboardInterrupt
    assert closed == [True]
    assert view._thread is not None and not view._thread.is_alive()


def test_in_plain_python_one_text_is_printed_and_stderr_is_clean() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", CELL], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(re.findall(r"^Two: \d+ s · up to 12 connections", ran.stdout, re.M)) == 1
    assert len(ran.stdout.splitlines()) == 1


def test_in_a_notebook_one_output_is_stored_and_it_is_the_last() -> None:
    import nbclient
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL + "\nprint(view.text())")])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    output, printed = notebook.cells[0].outputs
    assert output.output_type == "display_data" and set(output.data) == {"text/plain", "text/html"}
    assert output.data["text/plain"] == printed.text.strip(), "not the last picture"


# -- the picture ----------------------------------------------------------------------------------------------------


def test_thinning_keeps_peaks_and_gaps() -> None:
    points = [(float(at), 1.0) for at in range(5000)]
    points[3333] = (3333.0, 99.0)
    points[100:200] = [(float(at), NAN) for at in range(100, 200)]
    thinned = strips.thin(points)
    assert len(thinned) <= strips.MOST_POINTS
    assert max(value for _, value in thinned if math.isfinite(value)) == 99
    assert any(math.isnan(value) for _, value in thinned)
    assert strips.thin(points[:50]) == points[:50]


def test_a_gap_is_not_drawn_over() -> None:
    line = Line("x", [(0, 1), (1, 1), (2, NAN), (3, 1), (4, 1)], style.BLUE)
    (drawn,) = re.findall(r'<path d="(M[^"]*)" fill="none"', strips.svg([Strip("x", [line])], 4))
    assert drawn.count("M") == 2


@pytest.mark.parametrize(
    ("value", "axis"), [(0, 1), (1, 1), (1.01, 2), (3, 5), (97, 100), (101, 200), (0.03, 0.05), (8001, 10000)]
)
def test_axes_end_at_round_numbers(value: float, axis: float) -> None:
    assert strips.nice(value) == pytest.approx(axis)


def test_nothing_yet_is_a_picture_too() -> None:
    texts(Live(dict, None, "Nothing"))
