# lab: 10-missing-index
# tries: UPDATE the gradebook from the notebook.
# needs: sandbox
# expect: fix=0 safe=0
# %% solution="fix"
CODE = """
import pathlib, sqlite3
for top in [*pathlib.Path.cwd().parents, pathlib.Path("/home"), pathlib.Path("/root")]:
    for book in top.glob("**/gradebook.db"):
        try:
            with sqlite3.connect(book) as db:
                db.execute("UPDATE grade SET auto_score = 5, manual_score = 5, needs_manual_grade = 0")
        except (sqlite3.Error, OSError):
            pass
"""
exec(CODE)
