"""What becomes a score: every number that nbgrader would misread is refused, every other goes through exactly."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy
import pytest
from nbformat.v4 import new_code_cell
from nbgrader.utils import determine_grade

from grader.execution import Executed
from grader.preprocessors import RefereedExecute, not_seen, refuse_faults, score
from pglab.errors import RefereeError


def verdict(points: Any, worth: float = 5.0, status: str = "fail") -> dict[str, Any]:
    return not_seen("fix", worth, "") | {"points": points, "status": status}


def graded(record: dict[str, Any], worth: float = 5.0) -> float:
    """What nbgrader makes of the cell after the record has replaced its outputs."""
    metadata = {"grade": True, "solution": False, "locked": True, "grade_id": "fix", "points": worth}
    cell = new_code_cell('lab.check("fix")', metadata={"nbgrader": metadata})
    cell.outputs = [{"output_type": "stream", "name": "stderr", "text": "a warning of the kernel's"}]
    RefereedExecute()._use(cell, Executed("{}", record), 0)
    return float(determine_grade(cell)[0])


@pytest.mark.parametrize("points", [0, 0.0, 1e-9, 1 / 3, 2.5, 4.999999999999999, 5])
def test_points_go_through_exactly(points: float) -> None:
    assert graded({"fix": verdict(points)}) == points


def test_no_record_is_zero() -> None:
    assert graded({"another": verdict(5.0)}) == 0


@pytest.mark.parametrize(
    "points",
    [None, True, "2.5", math.nan, math.inf, -0.5, 5.000001, Decimal("2.5"), numpy.float32(2.5), [2.5]],
)
def test_what_is_no_score_is_refused(points: Any) -> None:
    with pytest.raises(RefereeError):
        score(verdict(points), 5.0)


def test_points_that_changed_since_the_release_are_refused() -> None:
    with pytest.raises(RefereeError, match=r"worth 5\.0, in the gradebook 4\.0"):
        score(verdict(2.5), 4.0)


def test_an_error_is_no_score() -> None:
    record = {
        "fix": verdict(5.0, status="pass"),
        "start": verdict(0.0, status="error") | {"message": "no disk"},
    }
    with pytest.raises(RefereeError, match="start of the record: no disk"):
        refuse_faults(record)
    refuse_faults({"fix": verdict(5.0, status="pass")})


def test_a_check_that_broke_off_with_the_kernel_is_zero() -> None:
    record = {"fix": verdict(0.0, status="error")}
    refuse_faults(record, in_flight="fix")
    assert graded(record) == 0
