"""Every attack earns no more than its honest part, and leaves everything as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from grader.session import Session
from grader.spec import Spec
from pglab.cluster import Cluster
from pglab.cluster.process import wait_until
from pglab.dataset import Dataset, checksum, template_name
from pglab.home import Home
from tests.attacks.attack import (
    PROVIDES,
    Attack,
    Graded,
    all_attacks,
    all_submissions,
    grade,
    solution,
    write,
)
from tests.course import GradedCourse

STUDENT = "mallory"
SCALE = "small"
QUICK = ("patches_the_grader", "equality_overrides", "garbage_to_the_referee", "restricts_its_database")


def marked(found: list[Attack]) -> Iterator[Any]:
    """Every attack; slow but for a handful."""
    for attack in found:
        marks = [] if attack.name in QUICK else [pytest.mark.slow]
        if missing := attack.needs - PROVIDES:
            marks.append(pytest.mark.skip(reason=f"needs: {', '.join(sorted(missing))}"))
        yield pytest.param(attack, id=attack.name, marks=marks)


# -- what must stay as it was -------------------------------------------------------------------------------------------

SHARED = {
    "roles": "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname !~ '^pg_'",
    "memberships": "SELECT roleid::regrole::text, member::regrole::text, admin_option FROM pg_auth_members",
    "databases": "SELECT datname, datdba::regrole::text, datacl::text, datconnlimit, datistemplate FROM pg_database",
    "settings": "SELECT setdatabase, setrole, setconfig::text FROM pg_db_role_setting",
    "tablespaces": "SELECT spcname FROM pg_tablespace",
    "clones": "SELECT name FROM pglab.clones",
}  # fmt: skip
SESSIONS = "SELECT usename, datname, pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename ~ '^lab_' "


@dataclass
class Machine:
    """The server with a template and another student at work, and this machine's processes."""

    cluster: Cluster
    neighbour: psycopg.Connection[Any]

    def shared(self) -> dict[str, list[Any]]:
        """What all databases of the server have in common."""
        with self.cluster.primary.connect() as admin:
            found = {
                name: sorted(map(repr, admin.execute(query.encode()).fetchall()))
                for name, query in SHARED.items()
            }
            found["sessions"] = sorted(map(repr, admin.execute(SESSIONS).fetchall()))
        found["sockets"] = sorted(
            path.name for path in self.cluster.home.run.iterdir() if "referee" not in path.name
        )
        return found

    def template(self) -> dict[str, str]:
        """Checksum of every table that labs are copied from."""
        with self.cluster.primary.connect(template_name(Dataset.load("shop"), SCALE)) as conn:
            return checksums(conn)


def checksums(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """Table → its checksum."""
    return {table: checksum(conn, table) for table in Dataset.load("shop").scales[SCALE].rows}


@pytest.fixture(scope="module")
def machine(seeded: Cluster) -> Iterator[Machine]:
    """A neighbour has the same lab open all the while; at the end their database and the template are as they were."""
    session = Session(seeded, "neighbour", graded=True)
    session.start("10-missing-index")
    assert session.db
    with psycopg.connect(**session.db.conninfo(), autocommit=True) as neighbour:
        machine = Machine(seeded, neighbour)
        before = checksums(neighbour)
        yield machine
        assert checksums(neighbour) == before
    session.close()


# -- the attacks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", list(marked(all_attacks())))
def test_it_earns_its_honest_part_and_leaves_nothing(machine: Machine, attack: Attack) -> None:
    home = machine.cluster.home
    shared, template = machine.shared(), machine.template()
    running = {process.pid for process in psutil.process_iter()}

    graded = grade(attack.notebook(), attack.spec, home, STUDENT)

    faults = {
        name: verdict["message"] for name, verdict in graded.record.items() if verdict["status"] == "error"
    }
    assert faults == {}, "nobody can grade this"
    earned = {name: float(graded.record.get(name, {}).get("points", 0.0)) for name in attack.points()}
    assert earned == attack.points(), why(graded, attack)
    assert all(set(verdict) <= KEYS for verdict in graded.record.values())

    for secret in home.secrets().values():
        assert secret not in graded.said
    assert machine.neighbour.execute("SELECT count(*) FROM users").fetchone() is not None
    wait_until(
        "the submission's sessions to end", lambda: machine.shared()["sessions"] == shared["sessions"], 10
    )
    assert machine.shared() == shared
    assert machine.template() == template
    left = [
        process
        for process in psutil.process_iter()
        if process.pid not in running and is_students(process, home)
    ]
    assert left == []


@pytest.fixture(scope="module")
def graded_class(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> tuple[GradedCourse, str]:
    """All submissions of files and an honest one, graded with one command."""
    course = GradedCourse(tmp_path_factory.mktemp("attacked"))
    (course.folder / "gradebook.db").chmod(0o600)
    for attack in all_submissions():
        course.hand_in(attack.name, attack.build)
    course.hand_in("honest", lambda folder: write(folder, solution(Spec.load(course.lab))))
    return course, course.grade("--jobs", "2")[1]


@pytest.mark.slow
@pytest.mark.skipif("engine" not in PROVIDES, reason="needs: engine")
@pytest.mark.parametrize("attack", [pytest.param(a, id=a.name) for a in all_submissions()])
def test_a_submission_costs_only_itself(graded_class: tuple[GradedCourse, str], attack: Attack) -> None:
    course, said = graded_class
    assert course.scores("honest") == [1.0, 1.0, 1.0, 5.0, 4.0], said
    found = course.scores(attack.name)
    wanted = list(attack.points().values())
    # what cannot be read at all has no score, and the table says so
    assert found == wanted or (found is None and not any(wanted) and f"{attack.name}: " in said), said
    assert not Path("/tmp/pglab-attack").exists()


@pytest.mark.parametrize("attack", all_submissions(), ids=lambda attack: attack.name)
def test_a_submission_can_be_built(tmp_path: Path, attack: Attack) -> None:
    folder = tmp_path / "submitted" / STUDENT / attack.lab
    folder.mkdir(parents=True)
    attack.build(folder)
    assert attack.name == "nothing_at_all" or any(folder.iterdir())


KEYS = {"check", "part", "title", "status", "points", "max_points", "message", "targets"}


def is_students(process: psutil.Process, home: Home) -> bool:
    """Whether a graded kernel of this home started it."""
    with suppress(psutil.Error):
        environment = process.environ()
        return "PGLAB_REFEREE_SECRET" in environment and environment.get("PGLAB_HOME") == str(home.root)
    return False


def why(graded: Graded, attack: Attack) -> str:
    """The evidence of every check that did not earn what it should, and what the cells raised."""
    lines = []
    for name, points in attack.points().items():
        verdict = graded.record.get(name)
        if verdict is None:
            lines.append(f"{name}: the referee did not see it, {points:g} expected")
        elif verdict["points"] != points:
            said = "; ".join(f"{t['status']} {t['name']} = {t['measured']}" for t in verdict["targets"])
            lines.append(f"{name}: {verdict['points']:g}, {points:g} expected ({said})")
    return "\n".join([*lines, *graded.raised])
