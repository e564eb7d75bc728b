"""A replica: a node that follows the primary by streaming replication.

    replica = cluster.add_replica("replica")
    replica.set_apply_delay(400)                       # ms
    replica.wait_for_catchup(cluster.primary.lsn())    # until it shows what the primary had

All that is known of it lies in files and in the primary, so every process finds it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from pglab.cluster import process, standby
from pglab.cluster.node import Node
from pglab.cluster.runner import Runner
from pglab.errors import ClusterError, NotRunning
from pglab.home import Home

NAME = re.compile("[a-z][a-z0-9_]{0,29}")  # it becomes a slot's
Say = Callable[[str], None]


class Replica(Node):
    """A hot standby of the primary, by a physical slot of its own."""

    def __init__(self, name: str, home: Home, runner: Runner, primary: Node) -> None:
        if not NAME.fullmatch(name) or name == primary.name:
            raise ClusterError(f"A replica cannot be called {name!r}", "Use lower case letters, digits and _")
        super().__init__(name, home, runner)
        self.primary = primary
        self.slot = standby.SLOT + name

    def is_standby(self) -> bool:
        """Whether it follows the primary: false before it is made and after promote()."""
        return self.runner.exists("standby.signal")

    def is_lost(self) -> bool:
        """Whether it fell too far behind to catch up ever again. False while the primary is stopped: nobody knows."""
        if not (self.is_standby() and self.primary.is_running()):
            return False
        with self.primary.connect() as admin:
            return standby.is_slot_lost(admin, self.slot)

    # -- making and removing ------------------------------------------------------------------------------------------

    def up(self, progress: Say = lambda step: None) -> None:
        """Make it when it is missing, and start it.

        Raises:
            ClusterError: NotRunning without a primary, or it fell too far behind; DiskFull: no room for a second copy.
        """
        with self._alone(progress):
            self._up(progress)

    def remake(self, progress: Say = lambda step: None) -> None:
        """Throw its data away and copy the primary's anew: after promote(), or when it fell too far behind."""
        with self._alone(progress):
            self._require_primary()
            self._remove()
            self._up(progress)

    def remove(self, progress: Say = lambda step: None) -> None:
        """Stop it, remove its data and drop its slot. A stopped primary drops the slot at the next Cluster.up."""
        with self._alone(progress):
            self._remove()

    def _alone(self, progress: Say) -> AbstractContextManager[None]:
        return self.home.lock("cluster", on_wait=lambda: progress("waiting for another pglab command to end"))

    def _up(self, progress: Say) -> None:
        process.raise_open_files()
        if not self.is_made():
            self._require_primary()
            if (self.home.root / self.name).exists():
                raise ClusterError(
                    f"{self.home.root / self.name} is there and is no replica", "Choose another name"
                )
            progress(f"copying the primary's data for the {self.name}")
            standby.copy(self.primary, self)
        self.start()

    def _remove(self) -> None:
        self.stop("immediate")
        self.runner.remove()
        if self.primary.is_running():
            with self.primary.connect() as admin:
                standby.drop_slot(admin, self.slot)

    def _require_primary(self) -> None:
        if not self.primary.is_running():
            raise NotRunning("The primary is stopped, and a replica is a copy of it", "Run `pglab up`")

    # -- starting -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until it takes reads; without a primary it shows what it had. Running already is fine.

        One that runs is told where the primary is now, and is restarted when the primary allows more connections than it.

        Raises:
            ClusterError: it did not start, or it fell too far behind (then it runs, and shows old data).
        """
        if self.is_made() and self.is_standby():
            where = standby.conninfo(self.primary, self)
            if standby.configure(self.runner, {"primary_conninfo": where}) and self.is_running():
                self.reload()
            if self.is_running() and self._allows_too_little():
                self.stop()
        super().start()
        if self.is_lost():
            raise ClusterError(
                f"The {self.name} fell too far behind: the primary has removed the WAL that it needs",
                f'Make it anew: cluster.replica("{self.name}").remake()',
            )

    def restart(self) -> None:
        """Stop it and start it. Its apply delay stays, a pause ends."""
        self.stop()
        self.start()

    def _options(self) -> list[str]:
        """On the command line, because there they win over every file: with less, a standby refuses to start."""
        if not self.is_standby():
            return []
        least = standby.least(self.primary, self)
        return [word for name, value in least.items() for word in ("-c", f"{name}={value}")]

    def _allows_too_little(self) -> bool:
        least = standby.least(self.primary)
        try:
            with self.connect(connect_timeout=5) as admin:
                rows = admin.execute(
                    "SELECT name, setting::int FROM pg_settings WHERE name = ANY(%s)", [[*least]]
                ).fetchall()
        except psycopg.OperationalError:
            return False
        return any(value < least[name] for name, value in rows)

    # -- how far it is ------------------------------------------------------------------------------------------------

    def replay_lsn(self) -> str:
        """The position up to which it shows the primary's data, such as "0/3000148"."""
        return str(self._ask("SELECT pg_last_wal_replay_lsn()::text"))

    def lag_bytes(self) -> int:
        """Bytes of WAL that the primary has written and the replica does not show yet.

        With the primary stopped: that were received and are not shown yet.
        """
        return int(
            self._ask(
                "SELECT greatest(pg_wal_lsn_diff(%s::pg_lsn, pg_last_wal_replay_lsn()), 0)", self._written()
            )
        )

    def lag_ms(self) -> float:
        """Milliseconds by which its data is older than the primary's; 0 when it shows all that the primary had written.

        Else the age of the newest commit (just started: of the newest checkpoint) that it shows. That is the most it can
        be: under steady writes it is the lag, and after an idle hour the first commit that is held back reads as an hour.
        """
        return float(
            self._ask(
                """SELECT CASE WHEN pg_last_wal_replay_lsn() >= %s::pg_lsn THEN 0 ELSE 1000 * extract(epoch FROM
                   clock_timestamp() - coalesce(pg_last_xact_replay_timestamp(),
                                                (SELECT checkpoint_time FROM pg_control_checkpoint()))) END""",
                self._written(),
            )
        )

    def wait_for_catchup(self, lsn: str | None = None, limit_s: float = 30.0) -> None:
        """Wait until it shows the primary's data up to a position.

        Args:
            lsn: such as "0/3000148"; the primary's newest by default. limit_s: seconds to wait.

        Raises:
            ClusterError: it was not there within limit_s, with what holds it back.
        """
        wanted = lsn or self.primary.lsn()
        with self._connected() as admin:

            def reached() -> bool:
                row = admin.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [wanted]).fetchone()
                return row is not None and bool(row[0])

            try:
                process.wait_until(f"the {self.name} to show {wanted}", reached, limit_s)
            except psycopg.OperationalError as error:
                raise NotRunning(
                    f"The {self.name} stopped while it caught up", f"Its log is {self.log}"
                ) from error
            except ClusterError as error:
                raise ClusterError(
                    f"{error.message}; {self._obstacle(admin)}", f"Its log is {self.log}"
                ) from None

    def _obstacle(self, admin: psycopg.Connection[Any]) -> str:
        """What is known of why it is behind."""
        row = admin.execute(
            "SELECT pg_last_wal_replay_lsn()::text, pg_get_wal_replay_pause_state() <> 'not paused',"
            " (SELECT setting::int FROM pg_settings WHERE name = 'recovery_min_apply_delay'),"
            " (SELECT status FROM pg_stat_wal_receiver)"
        ).fetchone()
        assert row is not None
        shown, paused, delay_ms, receiving = row
        if paused:
            return f"it is at {shown}, and its replay is paused: resume() or restart() it"
        if self.is_lost():
            return "the primary has removed the WAL that it needs: remake() it"
        if not self.primary.is_running():
            return f"it is at {shown}, and the primary is stopped"
        held = f" with an apply delay of {delay_ms} ms" if delay_ms else ""
        cut = "" if receiving == "streaming" else ", and receives nothing from the primary"
        return f"it is at {shown}{held}{cut}"

    # -- holding it back ----------------------------------------------------------------------------------------------

    def set_apply_delay(self, ms: int) -> None:
        """Show each commit that many milliseconds after the primary made it; 0 is at once. A restart keeps it."""
        standby.configure(self.runner, {"recovery_min_apply_delay": f"{int(ms)}ms"})
        if self.is_running():
            self.reload()
            asked = "SELECT setting::int FROM pg_settings WHERE name = 'recovery_min_apply_delay'"
            process.wait_until(
                f"the {self.name} to read its settings", lambda: self._ask(asked) == int(ms), 30
            )

    def pause(self) -> None:
        """Show nothing newer than now, until resume() or a restart. It goes on receiving."""
        self._ask("SELECT pg_wal_replay_pause()")
        # A commit that the apply delay holds back right now is held back by the pause after that.
        asked = """SELECT pg_get_wal_replay_pause_state() = 'paused' OR EXISTS (SELECT FROM pg_stat_activity
                   WHERE backend_type = 'startup' AND wait_event = 'RecoveryApplyDelay')"""
        process.wait_until(f"the {self.name} to pause", lambda: bool(self._ask(asked)), 30)

    def resume(self) -> None:
        """End a pause."""
        self._ask("SELECT pg_wal_replay_resume()")

    def promote(self, limit_s: float = 60.0) -> None:
        """Make it take writes. The old primary goes on, and knows nothing of it; remake() is the way back.

        Raises:
            ClusterError: it had not happened within limit_s seconds.
        """
        if not self._ask("SELECT pg_promote(true, %s)", int(limit_s)):
            raise ClusterError(
                f"The {self.name} was not promoted within {limit_s:.0f} s", f"Its log is {self.log}"
            )
        if self.primary.is_running():
            with self.primary.connect() as admin:
                standby.drop_slot(admin, self.slot)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _written(self) -> str:
        """The primary's newest position, or without a primary the newest one received."""
        if self.primary.is_running():
            return self.primary.lsn()
        return str(self._ask("SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text"))

    def _connected(self) -> psycopg.Connection[Any]:
        try:
            return self.connect(connect_timeout=10)
        except psycopg.OperationalError as error:
            if self.is_running():
                raise ClusterError(
                    f"The {self.name} takes no connection ({error})", f"Its log is {self.log}"
                ) from error
            raise NotRunning(
                f"The {self.name} is stopped", f'Start it: cluster.add_replica("{self.name}")'
            ) from error

    def _ask(self, query: str, *parameters: Any) -> Any:
        with self._connected() as admin:
            try:
                row = admin.execute(query, parameters).fetchone()
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                raise ClusterError(
                    f"The {self.name} follows nobody since it was promoted",
                    f'Make it anew: cluster.replica("{self.name}").remake()',
                ) from error
            except psycopg.OperationalError as error:
                raise NotRunning(f"The {self.name} stopped ({error})", f"Its log is {self.log}") from error
        assert row is not None
        return row[0]
