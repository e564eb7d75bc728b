"""Nested answers compared: equal or not, and what is said of the first difference."""

from __future__ import annotations

from typing import Any

import pytest

from grader.checks.structure import first_difference

WANTED = [{"id": 1, "items": [{"sku": "a", "quantity": 2}]}]


@pytest.mark.parametrize(
    "found",
    [
        [{"id": 1, "items": [{"sku": "a", "quantity": 2}]}],
        [{"items": [{"quantity": 2, "sku": "a"}], "id": 1}],
        [{"id": 1.0, "items": [{"sku": "a", "quantity": 2}]}],
    ],
)
def test_equal_answers_have_no_difference(found: Any) -> None:
    assert first_difference(found, WANTED) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "the answer is None, a list is asked for"),
        ({"id": 1}, "the answer is a dict, a list is asked for"),
        ([], "the answer has 0 entries, and there are 1"),
        ([7], "entry 0 of the answer is a int, a dict is asked for"),
        ([{"id": 1}], "entry 0 of the answer has no 'items'"),
        ([{**WANTED[0], "more": 1}], "entry 0 of the answer has 'more', which is not asked for"),
        ([{"id": "1", "items": WANTED[0]["items"]}], "'id' of entry 0 of the answer is '1', and should be 1"),
        ([{"id": True, "items": WANTED[0]["items"]}], "'id' of entry 0 of the answer is True, and should be 1"),
        (
            [{"id": 1, "items": [{"sku": "a", "quantity": 3}]}],
            "'quantity' of entry 0 of 'items' of entry 0 of the answer is 3, and should be 2",
        ),
    ],
)  # fmt: skip
def test_the_first_difference_is_said_with_its_place(found: Any, said: str) -> None:
    assert first_difference(found, WANTED) == said


def test_a_long_value_is_cut() -> None:
    assert len(first_difference("x" * 500, "y" * 500)) < 120
