"""What the compose file's services need to know of each other and nobody else may: made at the first start, never shown.

The laboratory's own secrets.json, and its passwords as the files that the images take, in the volume `secrets`.
"""

from __future__ import annotations

import os
from pathlib import Path

from pglab.cluster import ADMIN
from pglab.home import Home


def main() -> None:
    """Write the files, all of them anew from the one secrets.json."""
    home = Home.default()
    secrets = home.secrets()
    folder = Path(os.environ.get("PGLAB_SECRETS", "/run/pglab"))
    files = {
        "admin": secrets["admin"],
        "replication": secrets["replication"],
        "userlist.txt": f'"{ADMIN}" "{secrets["admin"]}"\n',
    }
    for name, text in files.items():
        path = folder / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(
            0o444
        )  # each service reads it as another user; the volume is mounted in these services alone


if __name__ == "__main__":
    main()
