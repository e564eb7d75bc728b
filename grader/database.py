"""A lab's database: a clone that the student owns, with a log of DDL that they cannot touch."""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from grader import roles
from grader.checks.safety import take_snapshot
from grader.kept import Kept
from grader.spec import Spec
from grader.topology import cluster_for, has_own
from pglab import clones
from pglab.cluster import Cluster
from pglab.cluster.node import ADMIN, Node
from pglab.cluster.scram import ITERATIONS, scram_secret
from pglab.dataset import Dataset, is_seeded, template_name
from pglab.errors import DatasetError
from pglab.launch import COURSE_KEY

# Recorded in the lab's database by the server itself: which DDL ran, and which locks it held that stop writers. The
# locks are the evidence, not the text: at ddl_command_end the backend still holds what the statement took.
DDL_LOG = """
CREATE SCHEMA pglab;
REVOKE ALL ON SCHEMA pglab FROM PUBLIC;
CREATE TABLE pglab.facts (name text PRIMARY KEY, value jsonb NOT NULL);
CREATE TABLE pglab.ddl_log (
    id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tag text NOT NULL, statement text NOT NULL, blocked jsonb NOT NULL
);
CREATE FUNCTION pglab.log_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO pglab.ddl_log (tag, statement, blocked)
    SELECT tg_tag, left(current_query(), 2000), coalesce(jsonb_object_agg(relation::oid::text, mode), '{}')
    FROM pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock');
END $$;
CREATE EVENT TRIGGER pglab_log_ddl ON ddl_command_end EXECUTE FUNCTION pglab.log_ddl();
"""


def student_id() -> str:
    """Who is at work: PGLAB_STUDENT, else JupyterHub's user, else the login name."""
    return os.environ.get("PGLAB_STUDENT") or os.environ.get("JUPYTERHUB_USER") or getpass.getuser()


class LabDatabase:
    """The database of one student for one lab.

    Two roles: the student's, which owns all that is in the database, and the judge's, which inherits the student's rights and no
    more. What the student made can therefore do nothing in the judge's session that the student could not do, and the
    server counts the judge's statements apart from the student's. The database itself is the admin's: its owner could set
    what every session in it starts with, shut everybody out, and make it a template that nobody can drop.
    """

    def __init__(self, shared: Cluster, spec: Spec, student: str, *, graded: bool) -> None:
        suffix = "_" + hashlib.sha256(student.encode()).hexdigest()[:12] if graded else ""
        self.shared = shared
        self.cluster = shared  # until open() knows better
        self.spec = spec
        self.student = student
        self.name = f"lab_{spec.number}{suffix}"
        self.judge_role = f"{self.name}_judge"
        self.app_role = f"{self.name}_app"  # see grader.application; there only while a check runs
        self.dataset = Dataset.load(spec.dataset)
        # Drawn from the course's key, so that a second kernel at the same lab does not shut the first one out.
        self.key = (os.environ.get(COURSE_KEY) or shared.home.secrets()["course"]).encode()
        self._passwords = {
            role: hmac.new(self.key, role.encode(), hashlib.sha256).hexdigest()[:32]
            for role in (self.name, self.judge_role)
        }
        self.scale = ""
        self.template = ""
        self.kept = Kept()  # the superuser's connections, while a verb of the session runs

    # -- making -------------------------------------------------------------------------------------------------------

    def open(self, prepare: Callable[[LabDatabase], dict[str, Any]], on_step: Callable[[str], None]) -> None:
        """Make the database unless it is there, and set passwords of this session.

        Args:
            prepare: puts the failure in, returns the facts that the judge needs later; on_step: told what is done.

        Raises:
            DatasetError: the dataset is not seeded; NotRunning: the cluster is stopped.
        """
        self.cluster = cluster_for(self.shared, self.spec, self.name, on_step)
        self.scale = self._scale()
        self.template = template_name(self.dataset, self.scale)
        with self.cluster.home.lock(f"clone-{self.name}"):
            with self.server() as admin:
                self._make_roles(admin)
            if self._is_whole():
                clones.touch(self.cluster, self.name)
            else:
                on_step(f"cloning {self.template}")
                self._make(prepare, on_step)

    def _make(self, prepare: Callable[[LabDatabase], dict[str, Any]], on_step: Callable[[str], None]) -> None:
        self.kept.close()  # the drop would end their sessions
        clones.drop(self.cluster, self.name)
        clones.clone(self.cluster, self.template, self.name, ADMIN, lab=self.spec.id)
        with self.admin() as admin:
            mine = sql.Identifier(self.name)
            admin.execute(sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(mine, mine))
            _give_tables(admin, self.name)
            roles.deny_advisory_locks(admin)
            with admin.transaction():
                admin.execute(DDL_LOG)
            admin.execute("ALTER EVENT TRIGGER pglab_log_ddl DISABLE")
            on_step("breaking it")
            facts = prepare(self)
            facts["snapshot"] = take_snapshot(admin)
            facts["template"] = self.template
            facts["student"] = self.student
            with admin.transaction():
                for name, value in facts.items():
                    admin.execute("INSERT INTO pglab.facts VALUES (%s, %s)", [name, json.dumps(value)])
                admin.execute("ALTER EVENT TRIGGER pglab_log_ddl ENABLE ALWAYS")

    def _make_roles(self, admin: psycopg.Connection[Any]) -> None:
        roles.make(
            admin, self.name, self._secret(self.name), -1 if has_own(self.spec) else roles.MOST_SESSIONS
        )
        roles.make(admin, self.judge_role, self._secret(self.judge_role))
        admin.execute(
            sql.SQL("GRANT {} TO {}").format(sql.Identifier(self.name), sql.Identifier(self.judge_role))
        )

    def restore_judge(self, *, alone: bool) -> None:
        """Before a check: the judge's role has its password and settings.

        Args:
            alone: no other session of that role may be; those that are were opened with a password of the student's.
        """
        with self.server() as admin:
            roles.restore(admin, self.judge_role, self._secret(self.judge_role), self.name)
            if alone:
                roles.end_sessions(admin, self.name, [self.judge_role])

    def end_sessions(self) -> None:
        """End the student's sessions in this database: the locks, the memory and the places that they hold are free."""
        with self.server() as admin:
            roles.end_sessions(admin, self.name, [self.name, self.app_role, self.judge_role])

    def _secret(self, role: str) -> str:
        """What the server keeps of a role's password.

        Where thousands log in, one iteration: more slow down whoever guesses, and nobody guesses 128 random bits, but
        each login by 2 ms of the client's work. Elsewhere the usual number: some drivers refuse fewer.
        """
        iterations = 1 if "pooler" in self.spec.topology else ITERATIONS
        return scram_secret(self._passwords[role], iterations)

    def _is_whole(self) -> bool:
        """There, made to the end, from the template of today, for this student."""
        try:
            facts = self.facts()
        except psycopg.Error:
            return False
        return facts.get("template") == self.template and facts.get("student") == self.student

    def drop(self, *, keep_sockets: bool = False) -> None:
        """Remove the database and the roles with it, or the cluster that the lab has for itself.

        Args:
            keep_sockets: leave that cluster's folder of sockets, which a sandbox may look into.
        """
        self.kept.close()
        if has_own(self.spec):
            self.shared.own(self.name).remove(keep_sockets=keep_sockets)
            return
        with self.server() as admin:
            roles.forget_counters(admin, self.name)
            clones.drop(self.cluster, self.name)
            roles.drop(admin, [self.app_role, self.judge_role, self.name])

    def _scale(self) -> str:
        wanted = self.spec.scale or os.environ.get("PGLAB_SCALE")
        scales = [wanted] if wanted else ["full", "large", "small", "tiny"]
        for scale in scales:
            if is_seeded(self.cluster, self.dataset, scale):
                return scale
        raise DatasetError(
            f"The dataset {self.dataset.name} is not seeded" + (f" at scale {wanted}" if wanted else ""),
            "Run `make lab`",
        )

    # -- connections --------------------------------------------------------------------------------------------------

    def conninfo(self) -> dict[str, Any]:
        """What the student connects with."""
        return self.nodes()["primary"]

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Node → what the student connects to it with: the primary, and the replicas of the lab's topology."""
        replicas = [self.cluster.replica(name) for name in self.spec.topology if name.startswith("replica")]
        return {
            node.name: node.conninfo(self.name, self.name, self._passwords[self.name])
            for node in (self.cluster.primary, *replicas)
        }

    @contextmanager
    def server(self) -> Iterator[psycopg.Connection[Any]]:
        """The superuser's connection to a database that no student can enter, for roles and what the server counts."""
        primary = self.cluster.primary
        with self.kept.lend("server", lambda: primary.connect(options=roles.UNCOUNTED)) as admin:
            yield admin

    @contextmanager
    def admin(self) -> Iterator[psycopg.Connection[Any]]:
        """The superuser's connection, for catalogs and pglab's own schema. It never runs what a student can define:
        a function, view or operator of theirs would run as superuser."""
        options, primary = "-c search_path=pg_catalog -c lock_timeout=10s", self.cluster.primary
        with self.kept.lend("admin", lambda: primary.connect(self.name, options=options)) as admin:
            yield admin

    def judge(self, node: Node | None = None, **settings: str) -> psycopg.Connection[Any]:
        """The judge's connection, to the primary by default: the student's rights, the cluster's planner settings
        whatever the student set for the database, and time limits."""
        chosen = {
            **self._planner_settings(),
            "search_path": "public",
            "lock_timeout": "5s",
            "statement_timeout": "60s",
            "client_connection_check_interval": "1s",  # a referee that died leaves no query running
            **settings,
        }
        options = " ".join(f"-c {name}={value}" for name, value in chosen.items())
        try:
            return (node or self.cluster.primary).connect(
                self.name,
                self.judge_role,
                self._passwords[self.judge_role],
                options=options,
                application_name="pglab referee",
            )
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):  # it has its own at the start of each check
                raise roles.Tampered("the judge's role has another password") from error
            raise

    def oracle(self) -> psycopg.Connection[Any]:
        """A short read-only look into the untouched template."""
        return self.cluster.primary.connect(
            self.template, options="-c default_transaction_read_only=on -c statement_timeout=60s"
        )

    def _planner_settings(self) -> dict[str, str]:
        with self.server() as admin:
            rows = admin.execute(
                "SELECT name, setting FROM pg_settings WHERE category LIKE 'Query Tuning%' AND vartype <> 'string' AND context = 'user'"
            )
            return {str(name): str(value) for name, value in rows}

    # -- facts --------------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What was noted when the database was made."""
        with self.admin() as admin:
            return dict(admin.execute("SELECT name, value FROM pglab.facts").fetchall())

    def note(self, name: str, value: Any) -> None:
        """Note one more fact, or another value of it."""
        with self.admin() as admin:
            admin.execute(
                "INSERT INTO pglab.facts VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [name, json.dumps(value)],
            )

    def ddl_log(self) -> list[dict[str, Any]]:
        """The DDL that ran since, oldest first: tag, statement, blocked (table oid as text → lock mode)."""
        with self.admin() as admin:
            rows = admin.execute("SELECT tag, statement, blocked FROM pglab.ddl_log ORDER BY id").fetchall()
        return [{"tag": tag, "statement": statement, "blocked": blocked} for tag, statement, blocked in rows]

    def run_break(self) -> None:
        """Run the lab's break.sql as the student's role, on the fresh clone."""
        script = (self.spec.folder / "break.sql").read_text()
        with self.admin() as admin, admin.transaction():
            admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self.name)))
            admin.execute("SET LOCAL search_path = public")
            admin.execute(script.encode())


def _give_tables(admin: psycopg.Connection[Any], owner: str) -> None:
    """Make the student's role own all that is in public, as an application's role does in production."""
    rows = admin.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') "
        "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
    ).fetchall()
    for (table,) in rows:
        admin.execute(
            sql.SQL("ALTER TABLE public.{} OWNER TO {}").format(sql.Identifier(table), sql.Identifier(owner))
        )
    admin.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(owner)))
