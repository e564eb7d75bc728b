# lab: 10-missing-index
# tries: read the referee's memory, environment and files: its secret key would tell every hidden parameter.
# needs: sandbox
# %% solution="fix"
lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
import glob
import os
from pathlib import Path

for pattern in (
    "/proc/[0-9]*/environ",
    "/proc/[0-9]*/cmdline",
    "/proc/[0-9]*/fd/*",
    "/var/**/secrets.json",
    "/home/**/secrets.json",
    "/roo?/**/secrets.json",
    "/opt/**/secrets.json",
    "/tmp/**/secrets.json",
):
    for path in glob.iglob(pattern, recursive=True):
        try:
            if "/fd/" in path:
                print(path, os.readlink(path))
            else:
                print(path, Path(path).read_bytes()[:3000])
        except OSError:
            continue
home = os.environ.get("PGLAB_HOME")
if home:
    for path in Path(home).rglob("*"):
        try:
            print(path, path.read_bytes()[:200] if path.is_file() else "")
        except OSError:
            continue
