"""The learner's own copy of the labs: labs/ is the release and stays as it was made, notebooks/ is theirs.

JupyterLab saves outputs into the notebook that is open. In a copy that neither changes what git knows nor is in the way
of a newer release.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from pglab.home import course_root

FOLDER = "notebooks"
MANIFEST = ".released.json"  # path → checksum of the file that was copied
LEFT_OUT = (".ipynb_checkpoints", "__pycache__")


def refresh(root: Path | None = None) -> list[str]:
    """Copy what is missing in notebooks/, renew what the learner has not touched, and leave the rest alone.

    Returns:
        The files that have a newer release but are the learner's by now, relative to notebooks/.
    """
    root = root or course_root()
    labs, mine = root / "labs", root / FOLDER
    mine.mkdir(exist_ok=True)
    manifest = mine / MANIFEST
    try:
        copied: dict[str, str] = json.loads(manifest.read_text())
    except (OSError, ValueError):
        copied = {}
    kept = []
    for source in sorted(
        path for path in labs.rglob("*") if path.is_file() and not set(path.parts) & set(LEFT_OUT)
    ):
        name = source.relative_to(labs).as_posix()
        target = mine / name
        release = _checksum(source)
        if target.exists() and (found := _checksum(target)) != release and found != copied.get(name):
            if copied.get(name) != release:
                kept.append(name)
            continue
        if not target.exists() or _checksum(target) != release:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        copied[name] = release
    manifest.write_text(json.dumps(copied, indent=1))
    return kept


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
