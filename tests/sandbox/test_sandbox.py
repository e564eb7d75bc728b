"""A submission's sandbox: what it cannot see, what it cannot use up, and that nothing of it stays.

No server is needed here, but bubblewrap is, and Docker for the variants `[docker]`: where one cannot work, its variants are
skipped, and say why.
"""

from __future__ import annotations

import ast
import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from grader import run_folder
from grader.execution import Executed, Job, execute
from grader.sandbox import bubblewrap, docker
from grader.sandbox.limits import Limits
from pglab.cluster.process import wait_until
from pglab.home import Home, course_root

KINDS = ["bubblewrap", pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow])]
SMALL = Limits(memory_mb=600, processes=60, disk_mb=32, cell_s=20, notebook_s=60, output_mb=1)
Run = Callable[..., "Ran"]


class Nobody:
    """A referee that sees nothing, with a socket's folder to show."""

    def __init__(self, *, student: str, lab: str, home: Home | None, key: str) -> None: ...

    def open(self) -> list[Path]:
        return []

    def env(self) -> dict[str, str]:
        return {"PGLAB_REFEREE": "/nowhere", "PGLAB_REFEREE_SECRET": "own"}

    def record(self) -> dict[str, dict[str, Any]]:
        return {}

    def close(self) -> None: ...


class Ran:
    """What cells printed or raised, one text each."""

    def __init__(self, executed: Executed) -> None:
        self.executed = executed
        cells = nbformat.reads(executed.notebook, as_version=4).cells
        self.said = [
            "".join(
                output.get("text") or output.get("evalue") or output.get("data", {}).get("text/plain", "")
                for output in cell.outputs
            )
            for cell in cells
        ]


@pytest.fixture(params=KINDS)
def run(own_home: Home, request: pytest.FixtureRequest) -> Iterator[Run]:
    kind = str(request.param)
    if why := (docker if kind == "docker" else bubblewrap).why_not():
        pytest.skip(why)

    def run(*cells: str, files: dict[str, bytes] | None = None, limits: Limits = SMALL) -> Ran:
        notebook = new_notebook(
            cells=[new_code_cell(source, id=f"c{index}") for index, source in enumerate(cells)]
        )
        job = Job("mallory", "10-missing-index", nbformat.writes(notebook), files or {}, kind, limits)
        return Ran(execute(job, Nobody, own_home))

    own_home.make()
    yield run
    assert list(own_home.run.iterdir()) == []  # no sandbox leaves a folder


def test_a_lab_finds_what_it_needs(run: Run) -> None:
    ran = run(
        "import pandas, pglab, sql, psycopg, os; from helper import answer; answer",
        "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
        "open('notes.txt', 'w').write('mine'); sorted(os.listdir())",
        "import getpass; getpass.getuser(), os.getcwd()",
        "os.environ['PGLAB_REFEREE_SECRET']",
        files={"helper.py": b"answer = 42", "data/a.csv": b"1"},
    )
    assert ran.said[0] == "42"
    assert "Figure" in ran.said[1]
    assert "'data'" in ran.said[2]
    assert "'notes.txt'" in ran.said[2]
    assert ran.said[3] == "('student', '/home/student')"
    assert ran.said[4] == "'own'"


def test_it_sees_nothing_of_the_grader(run: Run, own_home: Home) -> None:
    secret = own_home.root / "secrets.json"
    own_home.secrets()
    root = course_root().resolve()
    hidden = [secret, root / "solutions", root / "grader", root / "gradebook.db", root / "tests", Path("/etc/shadow"), Path("/tmp/pglab")]  # fmt: skip
    ran = run(
        f"import os; [path for path in {[str(path) for path in hidden]} if os.path.exists(path)]",
        "import subprocess; subprocess.run(['ps', 'ax', '-o', 'pid='], capture_output=True, text=True).stdout.split().__len__() < 10",
        "import socket; socket.create_connection(('127.0.0.1', 5432), timeout=2)",
        "socket.create_connection(('1.1.1.1', 53), timeout=2)",
        "import grader",
        "sorted(name for name in os.environ if 'KEY' in name or 'PASS' in name)",
    )
    assert ran.said[:2] == ["[]", "True"]
    assert "refused" in ran.said[2]
    assert "unreachable" in ran.said[3]
    assert "No module named 'grader'" in ran.said[4]
    assert ran.said[5] == "[]"


def test_it_has_no_rights(run: Run) -> None:
    ran = run(
        "[line.split()[1] for line in open('/proc/self/status') if line.startswith(('Cap', 'NoNew'))]",
        "import subprocess; [subprocess.run(c, capture_output=True).returncode != 0 for c in (['unshare', '-U', 'true'], ['unshare', '-m', 'true'])]",
        """
refused = []
for path in ("/x", "/usr/x", "/dev/x", "/submission/x", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory"):
    try:
        open(path, "a").close()
    except OSError:
        refused.append(path)
len(refused)""",
        "import os; os.setuid(0)",
        # its namespace's first process cannot be killed from inside; to whom it belongs differs
        "subprocess.run(['kill', '-9', '1'], capture_output=True) and 'goes on'",
    )
    assert ran.said[4] == "'goes on'"
    assert ast.literal_eval(ran.said[0]) == ["0" * 16] * 5 + ["1"]
    assert ran.said[1] == "[True, True]"
    assert ran.said[2] == "6"
    assert "Errno" in ran.said[3]


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("hog = [bytearray(10_000_000) for _ in range(1_000)]", "MB of memory"),
        ("import socket, time\nheld = [socket.socket() for _ in range(190)]\ntime.sleep(60)", "held more than 180 connections"),
        ("import os; os._exit(1)", "DeadKernelError"),
        ("import time\nfor n in range(300): print('x' * 10_000, flush=True)\ntime.sleep(60)", "printed more than 1 MB"),
        ("import ipykernel, os, time\nshared = os.path.dirname(ipykernel.get_connection_file())\nfor n in range(4): open(f'{shared}/{n}', 'wb').write(b'x' * 30_000_000)\ntime.sleep(60)", "only its messages belong"),
    ],
)  # fmt: skip
def test_what_is_too_much_ends_it_with_the_reason(run: Run, cell: str, why: str) -> None:
    ran = run("1 + 1", cell, "2 + 2")
    assert ran.said[0] == "2"
    assert why in ran.executed.ended
    assert ran.executed.ended_in == 1
    assert ran.said[2] == ""


def test_a_connection_that_a_child_inherits_counts_once(run: Run) -> None:
    """As with a pool of processes: all hold what their parent had open."""
    pool = """
import os, socket, time
held = [socket.socket() for _ in range(60)]
children = []
while len(children) < 4 and 0 not in children:
    children.append(os.fork())
if 0 in children:
    time.sleep(2)
    os._exit(0)
len([os.waitpid(child, 0) for child in children])"""
    ran = run(pool, limits=replace(SMALL, memory_mb=2048))
    assert ran.said == ["4"], ran.executed.ended


def test_one_that_never_ends_is_ended(run: Run) -> None:
    swallow = (
        "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass"
    )
    began = time.monotonic()
    ran = run(swallow, "1", limits=replace(SMALL, cell_s=2, notebook_s=6))
    assert "the notebook ran for more than 6 s" in ran.executed.ended
    assert time.monotonic() - began < 40


def test_a_fork_bomb_is_over_when_its_sandbox_is(run: Run, own_home: Home) -> None:
    bomb = "import os, time\nwhile True:\n    try:\n        if not os.fork(): os.setsid()\n    except OSError: time.sleep(0.01)"
    run(bomb, limits=replace(SMALL, cell_s=3, notebook_s=6))
    wait_until("the sandbox's processes to end", lambda: not _strays(own_home), 10)  # the system is at it


def test_a_daemon_does_not_stay(run: Run, own_home: Home) -> None:
    ran = run(
        "import subprocess; subprocess.Popen(['setsid', '-f', 'sleep', '7654'], start_new_session=True).wait()"
    )
    assert ran.said == ["0"]
    assert [p.pid for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "7654"]] == []
    wait_until("the sandbox's processes to end", lambda: not _strays(own_home), 10)  # the system is at it


def test_a_full_disk_is_its_own(run: Run) -> None:
    fill = "for place in ('/tmp/x', '/dev/shm/x', 'x'):\n    try:\n        open(place, 'wb').write(b'x' * 50_000_000)\n    except OSError as error:\n        print(error.strerror)"
    ran = run(fill, "'goes on'")
    assert ran.said[0].count("\n") == 3
    assert ran.said[1] == "'goes on'"


def test_it_works_where_a_loop_runs_already(run: Run) -> None:
    """As the formgrader calls it."""

    async def server() -> Ran:
        return run("1 + 1")

    assert asyncio.run(server()).said == ["2"]


def test_two_at_once_do_not_see_each_other(run: Run) -> None:
    cells = (
        "open('/tmp/mine', 'x').close(); open('/dev/shm/mine', 'x').close()",
        "import os; os.listdir('/tmp'), os.listdir('.')",
        "import random, numpy, os; random.random(), numpy.random.random()",
    )
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: run(*cells), range(2))
    assert first.said[0] == second.said[0] == ""
    assert first.said[1] == second.said[1]
    assert first.said[2] != second.said[2]


def _strays(home: Home) -> list[str]:
    """Processes that see a folder of this home's sandboxes as theirs do: by a mount of its own."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(OSError):
            if f" {home.run}/b" in Path("/proc", str(process.pid), "mountinfo").read_text():
                found.append(" ".join(process.info["cmdline"] or []))
    return found


# -- what a killed grader leaves ---------------------------------------------------------------------------------------


def test_what_a_killed_grader_left_goes_with_the_next_one(own_home: Home) -> None:
    own_home.make()
    gone = psutil.Popen(["true"])
    gone.wait()
    for kind in (run_folder.SESSION, run_folder.SANDBOX):
        (own_home.run / f"{kind}{gone.pid:x}g" / "submission").mkdir(parents=True)
    (own_home.run / "pg").mkdir()
    mine = run_folder.make(own_home, run_folder.SANDBOX)
    another = run_folder.make(own_home, run_folder.SANDBOX)
    assert sorted(path.name for path in own_home.run.iterdir()) == sorted([mine.name, another.name, "pg"])
    for path in (mine, another, own_home.run / "pg"):
        run_folder.remove(path)


@pytest.mark.docker
@pytest.mark.slow
def test_a_killed_graders_container_goes_with_the_next_one(own_home: Home) -> None:
    """And no other one."""
    if why := docker.why_not():
        pytest.skip(why)
    own_home.make()
    names = {"gone": "pglab-test-gone", "here": "pglab-test-here"}
    for name in names.values():
        words = ["docker", "run", "--detach", "--name", name, "--mount", "type=bind,source=/usr,target=/usr,readonly", "--mount", "type=bind,source=/lib,target=/lib", "--mount", "type=bind,source=/lib64,target=/lib64"]  # fmt: skip
        subprocess.run([*words, docker.IMAGE, "/usr/bin/sleep", "600"], check=True, capture_output=True)
    try:
        gone = psutil.Popen(["true"])
        gone.wait()
        left = own_home.run / f"{run_folder.SANDBOX}{gone.pid:x}g"
        left.mkdir()
        (left / run_folder.CONTAINER).write_text(names["gone"])
        mine = run_folder.make(own_home, run_folder.SANDBOX)
        assert not left.exists()
        assert _containers() & set(names.values()) == {names["here"]}
        (mine / run_folder.CONTAINER).write_text(names["here"])
        run_folder.remove(mine)
        assert not _containers() & set(names.values())
    finally:
        subprocess.run(["docker", "rm", "--force", *names.values()], capture_output=True)


def _containers() -> set[str]:
    listed = subprocess.run(["docker", "ps", "--all", "--format", "{{.Names}}"], check=True, capture_output=True, text=True)  # fmt: skip
    return set(listed.stdout.split())
