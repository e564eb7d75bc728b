# lab: 10-missing-index
# tries: packages in the submission with the names of those that grade.
# expect: diagnose-node=0 diagnose-rows=0 diagnose-blocks=0 fix=0 safe=0
# %% before
import sys
from pathlib import Path

FAKE = """
class Lab:
    def __getattr__(self, name):
        return Lab()
    def __call__(self, *given, **more):
        return Lab()
    def check(self, *given, **more):
        return 5.0
    def __getitem__(self, key):
        return 1
start = Lab()
ORDER = ITEMS = SHIPMENTS = order_page = None
"""
for name in ("grader", "pglab", "psycopg", "nbgrader", "workload"):
    Path(name).mkdir(exist_ok=True)
    Path(name, "__init__.py").write_text(FAKE)
    Path(f"{name}.py").write_text(FAKE)
    sys.modules.pop(name, None)
sys.path.insert(0, str(Path.cwd()))
