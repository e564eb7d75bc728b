# lab: 10-missing-index
# tries: find the lab's solution on the machine and run it.
# needs: sandbox
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
# %% solution="diagnose-node"
import re
from pathlib import Path

import grader

node = table = rows_removed = blocks_read = None
texts = [p.read_text() for p in Path(grader.__file__).parents[1].glob("solutions/10-*/lab.py")]
for text in texts:
    for part in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", text, re.DOTALL)[:4]:
        exec(part)

# %% solution="diagnose-rows"
pass

# %% solution="diagnose-blocks"
pass

# %% solution="fix"
pass
