"""What all shown things share: numbers as text, colours that hold on white and on black, HTML pieces.

Colours come from JupyterLab's theme where it sets them. The fallbacks (feedback pages, other front ends) have
the same contrast, about 4.3:1, on white and on #111. Style is inline: no page has a style sheet of ours.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from html import escape
from typing import Any

BLOCK_BYTES = 8192
_UNITS = ("kB", "MB", "GB")
TIMES = "\u00d7"
DASH = "\u2013"  # stands for a number that there is none of

# Blue against orange is told apart with every common kind of colour blindness.
BLUE = "#397dbf"
ORANGE = "#bd6019"
GREY = "#7a7a7a"

TEXT = "var(--jp-content-font-color1, inherit)"
FAINT = "var(--jp-content-font-color2, #7a7a7a)"
LINE = "var(--jp-border-color1, #9a9a9a)"
HAIR = "var(--jp-border-color2, rgba(128,128,128,.35))"
MONO = "var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace)"
SANS = "var(--jp-content-font-family, system-ui, sans-serif)"
BASE = f"color:{TEXT};font-family:{SANS};font-size:var(--jp-content-font-size1, 14px);line-height:1.45;"


class Shown(ABC):
    """A thing to look at: HTML in a notebook, text in a terminal and wherever HTML can't go."""

    @abstractmethod
    def text(self) -> str: ...

    @abstractmethod
    def html(self) -> str: ...

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}


def number(value: float) -> str:
    """31204 is 31,204; below 100 three figures (0.062, 5.23, 52.3), from 100 on none behind the point."""
    if not math.isfinite(value):
        return DASH
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    places = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{places}f}"


def plural(count: float, word: str) -> str:
    return f"{number(count)} {word}" if count == 1 else f"{number(count)} {word}s"


def ms(value: float) -> str:
    """A time in ms without its unit: always with a point below 100, so that columns read as measured."""
    if not math.isfinite(value):
        return DASH
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if value >= 10 else 2 if value >= 1 else 3}f}"


def times(factor: float) -> str:
    """A ratio with its sign: 2,493, 12, 1.4."""
    return f"{factor:,.0f}{TIMES}" if factor >= 10 else f"{factor:.1f}{TIMES}"


def size(blocks: int) -> str:
    """Blocks of 8 kB as kB, MB or GB, in powers of 1,024 as Postgres has them."""
    kilobytes = blocks * BLOCK_BYTES / 1024
    power = 0 if kilobytes < 1000 else 1 if kilobytes < 1000 * 1024 else 2
    left = kilobytes / 1024**power
    return f"{left:.1f} {_UNITS[power]}" if power and left < 10 else f"{left:,.0f} {_UNITS[power]}"


def tag(name: str, content: str, style: str = "", **attributes: str) -> str:
    """An element around content that is HTML already."""
    more = "".join(f' {key.replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    css = f' style="{escape(style)}"' if style else ""
    return f"<{name}{css}{more}>{content}</{name}>"


def div(content: str, style: str = "", **attributes: str) -> str:
    return tag("div", content, style, **attributes)


def span(content: str, style: str = "", **attributes: str) -> str:
    return tag("span", content, style, **attributes)


def badge(text: str, colour: str) -> str:
    """A word in a coloured frame."""
    return span(
        escape(text),
        f"display:inline-block;border:1px solid {colour};color:{colour};border-radius:3px;padding:0 .45em;"
        "font-size:.85em;font-weight:600;line-height:1.5;white-space:nowrap;text-indent:0;",
    )
