"""A verdict with its evidence. Status is a sign and a word, never colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from pglab.show import style
from pglab.show.style import Shown, div, span

_SIGN = {"pass": "✓", "fail": "✗", "error": "!"}
_COLOUR = {
    "pass": "var(--jp-info-color0, #397dbf)",
    "fail": "var(--jp-warn-color0, #bd6019)",
    "error": "var(--jp-content-font-color2, #7a7a7a)",
}
NOT_MEASURED = "could not measure: nobody's failure, not counted"


class VerdictView(Shown):
    """A headline and a line for each target."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result = dict(result)

    def text(self) -> str:
        return _text(self.result)

    def html(self) -> str:
        return _html(self.result)


def verdict(result: Mapping[str, Any]) -> VerdictView:
    """result: a verdict as data, as grader/verdict.py writes it. Missing fields are left out."""
    return VerdictView(result)


def _status(part: Mapping[str, Any]) -> str:
    status = str(part.get("status", "error"))
    return status if status in _SIGN else "error"


def _title(result: Mapping[str, Any]) -> str:
    check, title = str(result.get("check") or ""), str(result.get("title") or "")
    return ": ".join(part for part in (check, title) if part)


def _message(result: Mapping[str, Any]) -> str:
    # The headline of an error says this already.
    return str(result.get("message") or "").removeprefix("could not measure: ")


def _points(part: Mapping[str, Any]) -> str:
    most = float(part.get("max_points") or 0)
    if not most:
        return ""
    if _status(part) == "error":
        return f"{style.plural(most, 'point')} not decided"
    earned = float(part.get("points") or 0)
    if _status(part) == "pass" and not earned:  # what another one lost
        return f"{most:g} {'point' if most == 1 else 'points'} when all that is required passes"
    return f"{earned:g} of {most:g} {'point' if most == 1 else 'points'}"


def _evidence(target: Mapping[str, Any]) -> tuple[str, str, str]:
    """(what was measured against what, where the number comes from, hint), each may be empty."""
    said = str(target.get("name") or "")
    if target.get("measured") not in (None, ""):
        said += f" = {target['measured']}"
    if target.get("target") not in (None, ""):
        said += f", target {target['target']}"
    hint = "" if _status(target) == "pass" else str(target.get("hint") or "")
    return said, str(target.get("source") or ""), hint


def _text(result: Mapping[str, Any]) -> str:
    status = _status(result)
    head = [f"{_SIGN[status]} {status.upper()}", _title(result), _points(result)]
    if status == "error":
        head.insert(1, NOT_MEASURED)
    lines = ["  ".join(part for part in head if part)]
    if message := _message(result):
        lines.append(f"  {message}")
    for target in result.get("targets") or []:
        said, source, hint = _evidence(target)
        line = f"  {_SIGN[_status(target)]} {_status(target):<5} {said}"
        line += f"   ({source})" if source else ""
        line += f"   hint: {hint}" if hint else ""
        lines.append(line)
    return "\n".join(lines)


def _html(result: Mapping[str, Any]) -> str:
    status = _status(result)
    colour = _COLOUR[status]
    word = span(f"{_SIGN[status]} {status.upper()}", f"color:{colour};font-weight:700;font-size:1.15em;")
    head = [word, span(escape(_title(result)), "font-weight:600;")]
    if points := _points(result):
        head.append(span(points, f"margin-left:auto;white-space:nowrap;color:{style.FAINT};"))
    body = div("".join(head), "display:flex;flex-wrap:wrap;gap:.2em 1em;align-items:baseline;")
    if status == "error":
        body += div(escape(NOT_MEASURED[0].upper() + NOT_MEASURED[1:] + "."), "margin-top:.3em;")
    if message := _message(result):
        body += div(escape(message), "margin-top:.3em;")
    body += "".join(_line(target) for target in result.get("targets") or [])
    frame = f"border-left:4px solid {colour};padding:.4em 0 .4em 1em;margin:.5em 0;"
    return div(body, style.BASE + frame, role="group", aria_label=f"verdict: {status}")


def _line(target: Mapping[str, Any]) -> str:
    status = _status(target)
    said, source, hint = _evidence(target)
    name, equals, rest = said.partition(" = ")
    measured, comma, aim = rest.rpartition(", target ") if ", target " in rest else (rest, "", "")
    sign = span(
        f"{_SIGN[status]} {status}", f"color:{_COLOUR[status]};font-weight:700;flex:none;width:4.2em;"
    )
    what = escape(name + equals) + (span(escape(measured), "font-weight:600;") if rest else "")
    what += escape(comma + aim)
    points = f" · {_points(target)}" if target.get("max_points") else ""
    points += " · required" if status == "fail" and target.get("required") else ""
    below = div(
        escape(source + points if source else points.removeprefix(" · ")),
        f"color:{style.FAINT};font-size:.9em;",
    )
    below += div(span("hint: ", "font-weight:600;") + escape(hint), "font-size:.95em;") if hint else ""
    return div(sign + div(what + below), "display:flex;gap:.6em;margin-top:.5em;align-items:baseline;")
