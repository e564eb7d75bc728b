"""pgbench as a load: plain SQL from thousands of clients, which Python alone could not keep busy."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pglab.cluster import binaries, process
from pglab.errors import ClusterError, LabError
from pglab.home import Home
from pglab.load.loops import LONGEST_S, OnProgress
from pglab.load.result import NAN, Errors, LoadResult, Snapshot, series
from pglab.load.run import Interrupted

CONNECT_LIMIT_S = 120.0
STOP_LIMIT_S = 30.0
LATE_S = 1.1  # its first line is due after 1 s
# "progress: 1.0 s, 2310.0 tps, lat 0.430 ms stddev 0.1, 3 failed" (failed since 15)
_PROGRESS = re.compile(
    r"progress: ([\d.]+) s, ([\d.]+) tps, lat ([\d.]+|NaN) ms stddev (?:[\d.]+|NaN)(?:, (\d+) failed)?"
)
# Threads write the pieces of their lines between each other's: neither has to stand at the beginning.
_PROBLEM = re.compile(r"((?:FATAL|ERROR|PANIC): .*)|pgbench: (?:error|fatal): (.*)")
# What comes after the reason, and says less.
_FOLLOWS = re.compile(
    "could not create connection for client|aborted while establishing connection|Run was aborted"
)
_SUMMARY = {
    "tps": re.compile(r"tps = ([\d.]+)"),
    "requests": re.compile(r"number of transactions actually processed: (\d+)"),
    "failed": re.compile(r"number of failed transactions: (\d+)"),
    "dropped": re.compile(r"number of transactions skipped: (\d+)"),
}
_NAMES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}


def pgbench(
    conninfo: Mapping[str, Any], script: str, *, clients: int, seconds: int = 10, jobs: int | None = None,
    rate: float | None = None, connect_each: bool = False, protocol: Literal["simple", "extended", "prepared"] = "simple",
    variables: Mapping[str, int | float | str] | None = None, seed: int = 1, sampling: float = 1.0,
    on_progress: OnProgress | None = None, program: str | None = None,
) -> LoadResult:  # fmt: skip
    """Run pgbench and say what it saw. Errors are in the result, in pgbench's and the server's own words.

    Latencies of some 0.05 ms may read 0: pgbench does not ask the clock again where the answer is there at once.

    Args:
        conninfo: where to; script: SQL and pgbench's own commands, one transaction each time.
        clients: closed loop, or with a rate (transactions a second) open loop; jobs: threads, as many as processors.
        seconds: counted from when all clients are connected.
        connect_each: a new connection for each transaction.
        variables: `:name` in the script; seed: of its random numbers.
        sampling: the share of transactions whose latency is kept; below 1 where 30 bytes on disk each are too much.
        on_progress: called in this thread with a Snapshot every second; it knows the mean latency, not percentiles.
        program: pgbench's path, the cluster's by default.

    Raises:
        ClusterError: there is no pgbench; Interrupted (a KeyboardInterrupt): with the result until then.
    """
    if clients < 1 or not 1 <= seconds <= LONGEST_S:
        raise LabError(
            f"{clients} clients for {seconds} s cannot be had", f"Give 1 or more, for 1 to {LONGEST_S:,.0f} s"
        )
    process.raise_open_files()
    with tempfile.TemporaryDirectory(prefix="pglab-pgbench-") as folder:
        (Path(folder) / "script.sql").write_text(script)
        # It counts connecting as load, and that takes thousands of clients many seconds: _Run ends it in its stead.
        command = [
            program or binaries.find(Home.default())["pgbench"],
            "-n",
            "-P",
            "1",
            "-T",
            f"{2 * LONGEST_S:.0f}",
        ]
        command += ["-f", f"{folder}/script.sql", "-c", str(clients)]
        command += ["-j", str(min(clients, jobs or os.cpu_count() or 1))]
        command += ["-M", protocol, "--random-seed", str(seed), "-l", "--log-prefix", f"{folder}/log"]
        command += [f"--sampling-rate={sampling}"] if sampling < 1 else []
        command += ["-C"] if connect_each else []
        command += ["-R", str(rate)] if rate else []
        for name, value in (variables or {}).items():
            command += ["-D", f"{name}={value}"]
        return _Run(command, conninfo, seconds, on_progress).result(Path(folder), sampling)


class _Run:
    """One pgbench from its start to its end."""

    def __init__(
        self, command: list[str], conninfo: Mapping[str, Any], seconds: int, on_progress: OnProgress | None
    ) -> None:
        self._seconds, self._on_progress = seconds, on_progress
        self._last: list[str] = []
        self._errors = Errors()
        self._killed = ""
        self._connected_s = 0.0
        self._told: dict[str, float] = {}  # its summary
        self._clients = int(command[command.index("-c") + 1])
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "LD_"))
        }
        environment |= {
            _NAMES[key]: str(value) for key, value in conninfo.items() if key in _NAMES and value is not None
        }
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", env=environment | {"LC_ALL": "C"},
                start_new_session=True,  # an interrupt comes to us, and we end it
            )  # fmt: skip
        except OSError as error:
            raise ClusterError(
                f"pgbench does not run ({error.strerror})", "Set PGLAB_PG_BIN to a Postgres that has it"
            ) from error
        self._began = time.monotonic()
        self._timer = threading.Timer(
            CONNECT_LIMIT_S, self._kill, [f"no load within {CONNECT_LIMIT_S:.0f} s"]
        )
        self._timer.start()

    def result(self, folder: Path, sampling: float) -> LoadResult:
        assert self._process.stdout is not None
        try:
            import pandas  # noqa: F401  reads the logs later; half a second, while pgbench connects

            for line in self._process.stdout:
                self._read(line.rstrip())
            code = self._process.wait()
        except KeyboardInterrupt:
            self._process.kill()
            self._process.wait()
            took = min(time.monotonic() - self._began, self._seconds)
            raise Interrupted(self._collect(folder, took, sampling)) from None
        finally:
            self._timer.cancel()
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
        if self._killed:
            self._errors.add(self._killed, self._clients)
        elif not self._errors.total() and (code or not self._told.get("requests")):
            said = self._last[-1] if self._last else "it said nothing"
            self._errors.add(f"pgbench ended with exit code {code}: {said}")
        return self._collect(folder, self._seconds, sampling)

    def _kill(self, why: str) -> None:
        self._killed = why
        self._process.kill()

    def _finish(self) -> None:
        """Have it end as at the end of its own time: that sends it the same signal."""
        self._process.send_signal(signal.SIGALRM)
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._kill(f"a transaction did not end within {STOP_LIMIT_S:.0f} s after the load")

    def _read(self, line: str) -> None:
        self._last = [*self._last[-4:], line]
        if progress := _PROGRESS.match(line):
            self._report(*(float(number or 0) for number in progress.groups()))
        elif problem := _PROBLEM.search(line):
            text = problem_text(line if problem[1] else problem[2])
            if text and not _FOLLOWS.search(text):
                self._errors.add(text)
        else:
            for name, pattern in _SUMMARY.items():
                if found := pattern.match(line):
                    self._told[name] = float(found[1])

    def _report(self, at_s: float, tps: float, mean_ms: float, failed: float) -> None:
        if "at_s" not in self._told:
            # Its clock runs while it connects: a first line that comes late comes when all are connected.
            self._connected_s = at_s if at_s > LATE_S else 0.0
            self._timer.cancel()
            self._timer = threading.Timer(max(self._seconds - at_s + self._connected_s, 0.0), self._finish)
            self._timer.start()
        passed = max(at_s - self._told.get("at_s", 0.0), 1e-3)
        done = self._told.get("requests", 0.0) + tps * passed
        self._told |= {"at_s": at_s, "requests": done, "failed": self._told.get("failed", 0.0) + failed}
        if self._on_progress is not None:
            self._on_progress(
                Snapshot(
                    at_s=at_s - self._connected_s,
                    tps=tps,
                    failed_per_s=failed / passed,
                    p50_ms=NAN,
                    p95_ms=NAN,
                    p99_ms=NAN,
                    mean_ms=mean_ms or NAN,
                    requests=round(done),
                    failed=int(self._told["failed"]) + self._errors.total(),
                    waiting=0,
                    in_flight=self._clients,
                    dropped=0,
                    errors=self._errors.counts(),
                )
            )

    def _collect(self, folder: Path, seconds: float, sampling: float) -> LoadResult:
        ended, took, failed_at = _read_logs(folder)
        failed = int(self._told.get("failed", 0))
        if failed:
            self._errors.add("serialization failures or deadlocks", failed)
        points = np.percentile(took, [50, 95, 99, 100]) if len(took) else [NAN] * 4
        requests = round(self._told.get("requests", len(took) / sampling))
        if self._told.get("tps"):  # its own, of the time in which all were connected
            seconds = requests / self._told["tps"]
        rows = series(ended, took, failed_at, seconds)
        for row in rows:
            row["tps"] /= sampling
        return LoadResult(
            requests=requests, failed=self._errors.total(), dropped=int(self._told.get("dropped", 0)), unfinished=0,
            seconds=float(seconds), tps=self._told.get("tps", requests / max(seconds, 1e-9)),
            errors=self._errors.counts(),
            p50_ms=float(points[0]), p95_ms=float(points[1]), p99_ms=float(points[2]), max_ms=float(points[3]),
            mean_ms=float(took.mean()) if len(took) else NAN, series=rows, latencies_ms=took,
        )  # fmt: skip


def problem_text(said: str) -> str:
    """A problem in the server's words where it has any; the same problem of another client reads the same."""
    server = re.findall(r"(?:FATAL|ERROR|PANIC): .*", said)
    text = server[-1] if server else re.sub(r"\bclient \d+", "client", said)
    return " ".join(text.split())


def _read_logs(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """When each transaction ended (s since the first did), how long it took (ms), and when others failed (s).

    A line is: client, transaction, time in µs or "failed" or "skipped", script, end in s, and its µs.
    """
    import pandas as pd

    frames = []
    for path in folder.glob("log.*"):
        with contextlib.suppress(pd.errors.EmptyDataError):
            frames.append(
                pd.read_csv(path, sep=" ", header=None, usecols=[2, 4, 5], dtype=str, on_bad_lines="skip")
            )
    if not frames:
        return np.empty(0), np.empty(0), np.empty(0)
    whole = pd.concat(frames).dropna()  # a killed pgbench leaves a broken last line
    when = pd.to_numeric(whole[4], errors="coerce") + pd.to_numeric(whole[5], errors="coerce") / 1e6
    took = pd.to_numeric(whole[2], errors="coerce") / 1000
    order = np.argsort(when.to_numpy(), kind="stable")
    at, ms, failed = when.to_numpy()[order], took.to_numpy()[order], (whole[2] == "failed").to_numpy()[order]
    at = at - np.nanmin(at)
    good = np.isfinite(ms) & np.isfinite(at)
    return at[good], ms[good], at[failed & np.isfinite(at)]
