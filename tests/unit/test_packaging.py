"""One list of packages, said in three files; and an environment that is whole or made anew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import pglab

ROOT = Path(pglab.__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, list[str]]:
    """Name → the versions that the lock file has of it (some platforms may have another one)."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", LOCK, re.MULTILINE):
        found.setdefault(plain(name), []).append(version)
    return found


def test_environment_yml_says_what_pyproject_says() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    by_pip = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    assert sorted(by_pip) == sorted([*PROJECT["project"]["dependencies"], "-e ."])
    assert f"python{PROJECT['project']['requires-python']}" in environment["dependencies"]
    assert environment["channels"] == ["conda-forge"]


def test_the_lock_file_holds_every_requirement() -> None:
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    found = locked()
    for requirement in map(Requirement, wanted):
        versions = found.get(plain(requirement.name), [])
        assert versions, f"{requirement.name} is not locked: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), (
            f"{requirement}: {versions}"
        )


def test_the_lock_file_names_no_place_and_hashes_everything() -> None:
    assert not re.findall(
        r"^.*(?:https?://|file:|--index|--find-links|--extra-index| @ ).*$", LOCK, re.MULTILINE
    )
    entries = re.split(r"^(?=[A-Za-z0-9_.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_package_is_light_and_its_names_are_exact() -> None:
    script = "import pglab, sys; print(sorted({'pandas', 'matplotlib', 'IPython', 'pglab.lab'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert told.stdout.strip() == "[]", told.stderr
    assert callable(pglab.start)
    assert pglab.__all__ == ["PglabError", "__version__", "start"]


def test_every_target_has_one_line_and_help() -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "help"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    assert {line.split()[1] for line in told.splitlines()} == {
        "lab",
        "test",
        "test-all",
        "bench",
        "lint",
        "lock",
        "clean",
        "help",
    }
    recipes = re.findall(r"^[a-z-]+:[^\n]*\n((?:\t[^\n]*\n)*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all(recipe.count("\n") == 1 for recipe in recipes)


# -- tools/environment.sh, with programs that only say that they were called ------------------------------------------

TOOLS = "sh chmod cat cksum sed grep awk dirname rm tail touch mkdir env make".split()
UV = """#!/bin/sh
echo "$*" >>calls
case $1 in
  venv) mkdir -p .venv/bin; printf '#!/bin/sh\\n' >.venv/bin/python; chmod +x .venv/bin/python ;;
  pip) if [ -e broken ]; then echo "no network" >&2; exit 1; fi ;;
esac
"""


class Folder:
    """A project's folder with a space in its name, and a PATH with few programs."""

    def __init__(self, root: Path) -> None:
        self.root = root / "a course"
        self.bin = root / "bin"
        self.bin.mkdir()
        (self.root / "tools").mkdir(parents=True)
        for name in ("requirements.lock", "pyproject.toml", "Makefile", "tools/environment.sh"):
            shutil.copy(ROOT / name, self.root / name)
        for name in TOOLS:
            (self.bin / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name}"))

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def make(self) -> subprocess.CompletedProcess[str]:
        (self.root / "calls").unlink(missing_ok=True)
        environment = {"PATH": str(self.bin), "HOME": "/nonexistent"}
        return subprocess.run(
            ["make", "-s", "env"], capture_output=True, text=True, cwd=self.root, env=environment
        )

    def calls(self) -> list[str]:
        """What uv was asked: venv, packages, project."""
        path = self.root / "calls"
        text = path.read_text().splitlines() if path.exists() else []
        return [
            "venv" if call.startswith("venv") else "packages" if "requirements.lock" in call else "project"
            for call in text
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def made(folder: Folder) -> Folder:
    folder.program("uv", UV)
    folder.program("python3", "#!/bin/sh\n")
    told = folder.make()
    assert told.returncode == 0, told.stderr
    assert folder.calls() == ["venv", "packages", "project"]
    return folder


def test_a_second_run_does_nothing(made: Folder) -> None:
    told = made.make()
    assert (told.returncode, told.stderr, made.calls()) == (0, "", [])


def test_other_locked_versions_make_it_anew(made: Folder) -> None:
    (made.root / "requirements.lock").write_text(LOCK + "# changed\n")
    (made.root / ".venv" / "old").touch()
    assert made.make().returncode == 0
    assert made.calls() == ["venv", "packages", "project"]
    assert not (made.root / ".venv" / "old").exists()


def test_another_pyproject_installs_the_project_alone(made: Folder) -> None:
    with (made.root / "pyproject.toml").open("a") as handle:
        handle.write("\n")
    assert made.make().returncode == 0
    assert made.calls() == ["project"]
    assert made.make().returncode == 0
    assert made.calls() == []


def test_a_moved_folder_makes_it_anew(made: Folder) -> None:
    made.root = made.root.rename(made.root.with_name("moved"))
    assert made.make().returncode == 0
    assert made.calls() == ["venv", "packages", "project"]


def test_a_python_that_is_gone_makes_it_anew(made: Folder) -> None:
    (made.root / ".venv" / "bin" / "python").unlink()
    assert made.make().returncode == 0
    assert made.calls() == ["venv", "packages", "project"]


def test_a_failed_installation_does_not_count_as_ready(folder: Folder) -> None:
    folder.program("uv", UV)
    folder.program("python3", "#!/bin/sh\n")
    (folder.root / "broken").touch()
    told = folder.make()
    assert told.returncode != 0
    assert "no network" in told.stderr
    assert "the packages could not be installed" in told.stderr
    (folder.root / "broken").unlink()
    assert folder.make().returncode == 0
    assert folder.calls() == ["venv", "packages", "project"]


def test_an_interrupted_installation_does_not_count_as_ready(made: Folder) -> None:
    (made.root / "requirements.lock").write_text(LOCK + "# changed\n")
    made.program("uv", UV.replace("  pip)", "  pip) kill -KILL $PPID; exit 1 ;;\n  never)"))
    assert made.make().returncode != 0
    made.program("uv", UV)
    assert made.make().returncode == 0
    assert made.calls() == ["venv", "packages", "project"]


def test_no_python_is_said_in_a_sentence(folder: Folder) -> None:
    folder.program("python3", "#!/bin/sh\nexit 1\n")  # what an older Python answers
    told = folder.make()
    assert told.returncode != 0
    assert "Python 3.11 or newer is needed" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_python_without_venv_is_said_in_a_sentence(folder: Folder) -> None:
    folder.program("python3", '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n')
    told = folder.make()
    assert told.returncode != 0
    assert "python3 has no venv module" in told.stderr
    assert "apt-get install python3-venv" in told.stderr


def test_a_later_python_stands_in_for_an_old_one(folder: Folder) -> None:
    folder.program("uv", UV)
    folder.program("python3", "#!/bin/sh\nexit 1\n")
    folder.program("python3.12", "#!/bin/sh\n")
    assert folder.make().returncode == 0
    assert f"--python {os.fspath(folder.bin)}/python3.12" in (folder.root / "calls").read_text()
