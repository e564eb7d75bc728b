"""The labs of the course, as labs/*/lab.toml tells them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from pglab import notebooks
from pglab.errors import LabError
from pglab.home import course_root


@dataclass(frozen=True)
class Entry:
    """A lab, as a list of labs shows it. `notebook` is the learner's own, relative to the course's root."""

    id: str
    title: str
    incident: str
    module: int
    order: int
    minutes: int
    notebook: Path

    @property
    def number(self) -> str:
        """The permanent number that the id starts with, such as "10"."""
        return self.id.split("-", 1)[0]

    @property
    def database(self) -> str:
        """The name of the lab's database."""
        return f"lab_{self.number}"


def listing(root: Path | None = None) -> list[Entry]:
    """Every lab in teaching order.

    Raises:
        LabError: a lab.toml cannot be read.
    """
    root = root or course_root()
    return sorted(
        (_read(path, root) for path in root.glob("labs/*/lab.toml")), key=lambda lab: (lab.module, lab.order)
    )


def find(name: str, root: Path | None = None) -> Entry:
    """The lab of an id, or of the beginning of one: "10-missing-index", "10-m", "10".

    Raises:
        LabError: none or several have that name.
    """
    labs = listing(root)
    exact = [lab for lab in labs if name in (lab.id, lab.number)]
    found = exact or [lab for lab in labs if lab.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    wrong = f"Several labs start with {name!r}" if found else f"There is no lab {name!r}"
    raise LabError(wrong, f"The labs are: {', '.join(lab.id for lab in found or labs) or 'none'}")


def _read(path: Path, root: Path) -> Entry:
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
        folder = path.parent
        return Entry(
            id=folder.name,
            title=str(text["title"]),
            incident=str(text.get("incident", "")),
            module=int(text["module"]),
            order=int(text["order"]),
            minutes=int(text.get("minutes", 0)),
            notebook=Path(notebooks.FOLDER, folder.name, f"{folder.name}.ipynb"),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise LabError(
            f"{path} cannot be read ({error!r})", "Restore it with `git checkout -- labs`"
        ) from error
