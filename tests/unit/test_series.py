"""Charts of what happened when."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET

from pglab import show


def picture(shown: show.Shown) -> str:
    found = re.search(r"base64,([^\"]+)", shown.html())
    assert found
    svg = base64.b64decode(found[1]).decode()
    ET.fromstring(svg)
    return svg


def test_lanes_say_how_many_dots_each_holds() -> None:
    shown = show.lanes(
        {"before": {"right": [1, 2], "old": [3.0]}, "after": {"right": [1, 2, 4], "old": []}}, "ms", "Reads", (2.5, "lag <1>")
    )  # fmt: skip
    assert shown.text() == "Reads – before: 2 right, 1 old; after: 3 right, 0 old"
    svg = picture(shown)
    for said in ("before: right", "after: old", "lag &lt;1&gt;"):
        assert said in svg
    assert svg == picture(shown)


def test_lanes_without_a_dot() -> None:
    picture(show.lanes({"before": {"right": []}}, "ms", "Reads"))


def test_a_timeline_has_a_strip_for_each_chart() -> None:
    shown = show.timeline(
        {"bytes": {"bytes": [(0, 10), (1, 4000)]}, "lag": {"ms": [(0, 400), (1, 410)]}}, "A & B"
    )
    assert shown.text() == "A & B: bytes: bytes 10 to 4,000; lag: ms 400 to 410"
    svg = picture(shown)
    assert svg.count("<path") > 2
    assert "A &amp; B" in shown.html()


def test_a_timeline_of_nothing() -> None:
    picture(show.timeline({"lag": {"ms": []}}, "Nothing"))
