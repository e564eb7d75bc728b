"""lab.py and lab.toml → notebooks: the same bytes each time, nothing secret in them, a clear refusal of what does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from grader.build import build, drift, main, private_names
from pglab.errors import LabError
from pglab.home import course_root

LAB = "99-some-lab"
TOML = """
title = "Some lab"
module = 2
order = 99
minutes = 5
dataset = "shop"
topology = ["primary"]
source = "none"
incident = "it is slow"
public = ["notes.txt"]
"""
CHECKS = {
    "fix": '[[check]]\nname = "fix"\npart = "fix"\ntitle = "fix"\npoints = 2.5\n',
    "explain": '[[check]]\nname = "explain"\npart = "explain"\ntitle = "why"\npoints = 2\nmanual = true\n',
}
TEXT = '''# %% [markdown]
# # Some lab

# %%
import pglab

# %%
import pglab

# %% language="sql"
# SELECT 1

# %% solution="fix"
def orders():
    """Slow."""
    rows = 1
    ### BEGIN SOLUTION
    rows = "SECRET"
    ### END SOLUTION
    return rows

# %% check="fix"
lab.check("fix", orders)

# %% [markdown] manual="explain"
# SECRET model answer
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "solutions" / LAB
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "pass_all.py").write_text("SECRET")
    for name in ("judge.py", "break.sql", "draft.md"):
        (folder / name).write_text("SECRET")
    for name in ("workload.py", "notes.txt"):
        (folder / name).write_text("public")
    write(tmp_path, TEXT)
    return tmp_path


def write(root: Path, text: str, toml: str = TOML + CHECKS["fix"] + CHECKS["explain"]) -> None:
    (root / "solutions" / LAB / "lab.py").write_text(text)
    (root / "solutions" / LAB / "lab.toml").write_text(toml)


def cells(root: Path, kind: str) -> dict[str, Any]:
    path = root / kind / LAB / f"{LAB}.ipynb"
    return {cell["id"]: cell for cell in json.loads(path.read_text())["cells"]}


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_the_same_bytes_each_time(root: Path) -> None:
    assert build(root, [LAB])
    first = files(root)
    assert build(root, [LAB]) == []
    shutil.rmtree(root / "labs")
    (root / "solutions" / LAB / f"{LAB}.ipynb").unlink()
    build(root, [LAB])
    assert files(root) == first


def test_a_release_holds_public_files_and_no_secret(root: Path) -> None:
    build(root, [LAB])
    released = {name: content for name, content in files(root).items() if name.startswith("labs/")}
    names = {Path(name).name for name in released}
    assert names == {"README.md", f"{LAB}.ipynb", "lab.toml", "workload.py", "notes.txt"}
    assert not [name for name, content in released.items() if b"SECRET" in content]
    assert b"SECRET" in (root / "solutions" / LAB / f"{LAB}.ipynb").read_bytes()


def test_nbgrader_metadata(root: Path) -> None:
    build(root, [LAB])
    release = cells(root, "labs")
    fix, answer, explain = (
        release[name]["metadata"]["nbgrader"] for name in ("fix", "fix-answer", "explain")
    )
    assert (fix["grade"], fix["solution"], fix["locked"], fix["points"]) == (True, False, True, 2.5)
    assert (answer["grade"], answer["solution"], answer["locked"]) == (False, True, False)
    assert "points" not in answer
    assert (explain["grade"], explain["solution"], explain["points"]) == (True, True, 2)
    assert {fix["schema_version"], answer["schema_version"], explain["schema_version"]} == {3}
    assert "".join(release["fix-answer"]["source"]).endswith("    # your code here\n    return rows")
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in release.values())


def test_a_cell_keeps_its_id_when_others_come_and_go(root: Path) -> None:
    build(root, [LAB])
    before = cells(root, "solutions")
    write(root, TEXT.replace("# %%\nimport pglab\n", "# %% [markdown]\n# new\n\n# %%\nimport pglab\n", 1))
    build(root, [LAB])
    after = cells(root, "solutions")
    assert set(before) < set(after)
    assert len(after) == len(before) + 1


def test_check_names_the_file_that_drifted(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGLAB_ROOT", str(root))
    assert main([]) == 0
    assert main(["--check"]) == 0
    capsys.readouterr()
    changes = {
        f"labs/{LAB}/{LAB}.ipynb": "{}",
        f"solutions/{LAB}/{LAB}.ipynb": "{}",
        f"labs/{LAB}/judge.py": "SECRET",
        f"labs/{LAB}/workload.py": "changed",
        "labs/README.md": "old",
    }
    for name, text in changes.items():
        (root / name).write_text(text)
        assert main(["--check"]) == 1
        said = capsys.readouterr().err
        assert [line.split()[0] for line in said.splitlines()] == [name]
        assert (root / name).read_text() == text  # --check writes nothing
        main([])
        capsys.readouterr()
        assert main(["--check"]) == 0


def test_work_in_a_folder_is_no_drift(root: Path) -> None:
    build(root, [LAB])
    (root / "labs" / LAB / ".ipynb_checkpoints").mkdir()
    (root / "labs" / LAB / ".ipynb_checkpoints" / "x.ipynb").write_text("{}")
    assert drift(root, [LAB]) == []


def test_the_readme_gets_its_table(root: Path) -> None:
    (root / "README.md").write_text("# One\n\n<!-- labs -->\nold\n<!-- /labs -->\n\nend\n")
    build(root, [LAB])
    text = (root / "README.md").read_text()
    assert f"| [Some lab](labs/{LAB}/{LAB}.ipynb) | 2 | 5 | it is slow |" in text
    assert "old" not in text
    assert text.startswith("# One\n\n<!-- labs -->\n| Lab |")
    assert text.endswith("|\n<!-- /labs -->\n\nend\n")
    assert f"]({LAB}/{LAB}.ipynb)" in (root / "labs" / "README.md").read_text()


EXTRA = '[[check]]\nname = "{}"\npart = "safe"\ntitle = "safe"\npoints = {}\n'
BOTH = TOML + CHECKS["fix"] + CHECKS["explain"]


@pytest.mark.parametrize(
    ("text", "toml", "said"),
    [
        (TEXT, BOTH + EXTRA.format("safe", 1), "lab.toml has the check safe, but lab.py has no cell for it"),
        (TEXT, BOTH + EXTRA.format("fix", 1), "check twice"),
        (TEXT, BOTH + EXTRA.format("safe", 0), "needs points above 0"),
        (TEXT, BOTH + EXTRA.format("safe", "nan"), "is worth nan"),
        (TEXT, BOTH + EXTRA.format("no name", 1), "has no proper name"),
        (TEXT, TOML + CHECKS["explain"], "lab.toml has no such check"),
        (TEXT, BOTH.replace("manual = true", ""), "lab.toml says manual = false"),
        (TEXT, BOTH.replace('"notes.txt"', '"judge.py"'), "judge.py cannot be public"),
        (TEXT, BOTH.replace('"notes.txt"', '"lost.txt"'), "lost.txt is public in lab.toml, but not there"),
        (TEXT + '\n# %% check="fix"\nlab.check("fix")\n', BOTH, "check='fix' twice"),
        (TEXT + '\n# %% chek="fix"\nlab.check("fix")\n', BOTH, "is marked chek"),
        (TEXT.replace('lab.check("fix", orders)', 'lab.check("other")'), BOTH, 'does not end in lab.check("fix")'),
        (TEXT.replace('lab.check("fix", orders)', 'x = lab.check("fix")'), BOTH, 'does not end in lab.check("fix")'),
        (TEXT.replace("    ### END SOLUTION\n", ""), BOTH, "do not pair"),
        (TEXT.replace('# %% solution="fix"', "# %%"), BOTH, "not solution= or manual="),
        (TEXT.replace("### BEGIN SOLUTION", "").replace("### END SOLUTION", ""), BOTH, "has no ### BEGIN SOLUTION"),
        (TEXT.replace("    rows = 1\n", "    for row in orders:\n    "), BOTH, "the cell fix-answer does not parse"),
        (TEXT.replace("import pglab", "### BEGIN HIDDEN TESTS", 1), BOTH, "hidden tests"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(root: Path, text: str, toml: str, said: str) -> None:
    write(root, text, toml)
    with pytest.raises(LabError) as error:
        build(root, [LAB])
    assert said in str(error.value)
    assert not (root / "labs").exists()


def test_an_unknown_lab_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGLAB_ROOT", str(root))
    assert main(["98-none"]) == 1
    assert LAB in capsys.readouterr().err


def test_what_nbgrader_must_not_copy(root: Path) -> None:
    assert set(private_names(root)) == {"lab.py", "judge.py", "break.sql", "samples", "draft.md"}
    other = root / "solutions" / "98-other"
    shutil.copytree(root / "solutions" / LAB, other)
    (other / "lab.toml").write_text(BOTH.replace('"notes.txt"', '"draft.md"'))
    with pytest.raises(LabError, match="public in one lab and private in another"):
        private_names(root)


def test_the_committed_notebooks_are_up_to_date() -> None:
    root = course_root().resolve()
    assert drift(root, sorted(path.parent.name for path in root.glob("solutions/*/lab.py"))) == []
