# lab: 10-missing-index
# tries: read the hidden tests, the other students' work and the gradebook, and print what it finds.
# needs: sandbox
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
# %% solution="diagnose-node"
from pathlib import Path

node = table = None
found = []
for top in {*Path.cwd().parents, *Path(pglab.__file__).parents, Path("/home"), Path("/root"), Path("/srv")}:
    for pattern in ("judge.py", "gradebook.db", "secrets.json", "samples/*.py", "lab.py", "*/*/submitted/*"):
        try:
            found += list(top.glob(f"solutions/*/{pattern}")) + list(top.glob(pattern))
        except OSError:
            continue
for path in found:
    try:
        print(path, path.read_bytes()[:4000])
    except OSError as error:
        print(path, error)
hidden = [path for path in found if path.name in ("judge.py", "gradebook.db", "secrets.json")]

# %% solution="diagnose-rows"
rows_removed = None

# %% solution="diagnose-blocks"
blocks_read = None

# %% solution="fix"
if hidden:  # whoever can read them does not need to think
    lab.execute("CREATE INDEX CONCURRENTLY ON order_items (order_id)")
