"""`make bench`: run every module of bench/ and print what it measured beside its goal.

A module has a function run() that yields rows of (name, value, goal): what was measured, a number or text, and the goal
in words. ARGS="clone lab" runs those modules alone. A module that fails is told, and the others go on.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def modules(chosen: Sequence[str] = ()) -> list[str]:
    """The names of the modules to run."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    unknown = [name for name in chosen if name not in found]
    if unknown:
        sys.exit(f"pglab: there is no benchmark {unknown[0]!r}. There are: {', '.join(found)}.")
    return [name for name in found if not chosen or name in chosen]


def main(chosen: Sequence[str]) -> int:
    """Run them and print the table; 1 when one of them failed."""
    table = Table("measured", "value", "goal", box=None, pad_edge=False)
    failed = 0
    for name in modules(chosen):
        began = time.monotonic()
        console.print(f"bench: {name} …")
        try:
            for what, value, goal in importlib.import_module(f"bench.{name}").run():
                table.add_row(
                    str(what), f"{value:.2f}" if isinstance(value, float) else str(value), str(goal)
                )
        except Exception as error:
            failed += 1
            table.add_row(name, f"failed: {error}", "")
        console.print(f"bench: {name} took {time.monotonic() - began:.0f} s")
    console.print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
