# lab: 10-missing-index
# tries: sitecustomize, PYTHON*, PG* and PGLAB_* variables, for whatever the grader starts next.
# expect: fix=0 safe=0
# %% solution="fix"
import os
from pathlib import Path

code = "import os, sys; sys.stderr.write('sitecustomize was here'); os.environ['PGLAB_STUDENT'] = 'alice'"
for name in ("sitecustomize.py", "usercustomize.py", "conftest.py"):
    Path(name).write_text(code)
os.environ |= {
    "PYTHONPATH": str(Path.cwd()), "PYTHONSTARTUP": "sitecustomize.py", "PYTHONINSPECT": "1", "PYTHONHOME": "/", "PGOPTIONS": "-c role=pglab_admin",
    "PGUSER": "pglab_admin", "PGLAB_STUDENT": "alice", "PGLAB_ROOT": str(Path.cwd()), "PGLAB_HOME": str(Path.cwd()), "PGLAB_SCALE": "tiny",
    "LD_PRELOAD": str(Path("evil.so").absolute()),
}  # fmt: skip
lab.check("fix")
for name in ("PYTHONHOME", "LD_PRELOAD", "PGOPTIONS"):
    os.environ.pop(name)
