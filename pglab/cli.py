"""The command `pglab`: parses and prints, nothing else."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import traceback
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

import pglab
from pglab import catalogue, clean, clones, doctor, jupyter, lease
from pglab.cluster import Cluster
from pglab.cluster import backend as backends
from pglab.dataset import Dataset, is_seeded
from pglab.errors import PglabError
from pglab.home import Home
from pglab.serve import OnProgress, seed_with, serve

FAILURE, INTERRUPTED = 1, 128 + signal.SIGINT
SCALES = "tiny, small, full or large"
# A pipe or a log has no width; a path broken over lines would be hard to copy from it.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


class Command(click.Command):
    """A command whose help ends with examples, one a line."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.epilog:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self.epilog.splitlines()))


class Group(click.Group):
    """A group of such commands, listed in the order in which they are used."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As they stand below."""
        return list(self.commands)


scale_option = click.option(
    "--scale", envvar="PGLAB_SCALE", default="full", show_default=True, help=f"{SCALES} (or PGLAB_SCALE)."
)
port_option = click.option(
    "--port", type=click.IntRange(1, 65535), help="JupyterLab's port. [default: 8888, or the next free one]"
)
browser_option = click.option(
    "--browser/--no-browser", default=None, help="[default: open it where there is a display]"
)
backend_option = click.option(
    "--backend",
    type=click.Choice(backends.NAMES),
    help="What the servers run on, when they are first made (or PGLAB_BACKEND). [default: embedded]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pglab.__version__, prog_name="pglab", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """A course of production incidents on a real PostgreSQL.

    `pglab lab` does all that is needed and opens the course. The other commands are single steps of it.
    """


@cli.command("lab", epilog="pglab lab\npglab lab --no-browser --port 8899\npglab lab --scale small")
@port_option
@browser_option
@scale_option
@backend_option
def lab_command(port: int | None, browser: bool | None, scale: str, backend: str | None) -> None:
    """Open the course in JupyterLab.

    Starts the cluster and seeds the dataset first. Ctrl-C stops all that it started.
    """
    _serve(port, browser, scale, None, backend)


@cli.command("open", epilog="pglab open 10\npglab open 10-missing-index --no-browser")
@click.argument("lab")
@port_option
@browser_option
@scale_option
def open_command(lab: str, port: int | None, browser: bool | None, scale: str) -> None:
    """Open one LAB, such as 10.

    In the JupyterLab that runs, else in a new one. The beginning of the lab's name is enough.
    """
    notebook = catalogue.find(lab).notebook
    for base, token in jupyter.running(Home.default()):
        _show(jupyter.lab_url(base, token, notebook), browser)
        return
    _serve(port, browser, scale, notebook)


@cli.command(epilog="pglab up\npglab up --scale small\npglab up --backend docker")
@scale_option
@backend_option
def up(scale: str, backend: str | None) -> None:
    """Start the cluster and seed the dataset.

    It runs until `pglab down`.
    """
    home = Home.default()
    cluster = Cluster(home, backend=backend)
    doctor.require_room(home, scale, cluster.backend.name)
    cluster.up(say)
    lease.keep(home)
    seed_with(_bar, cluster, scale)
    say(f"the cluster is up, its primary on port {cluster.primary.port}; `pglab down` stops it")


@cli.command(epilog="pglab down\npglab down --delete-data")
@click.option(
    "--delete-data", is_flag=True, help="Remove the databases, and all else that pglab made in its home."
)
def down(delete_data: bool) -> None:
    """Stop the cluster. The databases stay."""
    home = Home.default()
    if delete_data:
        for path, size in clean.remove(home):
            say(f"removed {path} ({size / 1e6:,.0f} MB)")
        return
    lease.release(home)
    if not Cluster(home).down(say):
        say("the cluster is stopped already")
    elif lease.is_in_use(home):
        say("a `pglab lab` was using the cluster; `pglab up` starts it again")


@cli.command(epilog="pglab status\npglab status --json")
@json_option
def status(as_json: bool) -> None:
    """Show what runs and what is there."""
    told = _status(Home.default())
    if as_json:
        click.echo(json.dumps(told, indent=2, default=str))
        return
    console.print(f"Postgres {told['postgres']} ({told['backend']}) in {told['home']}")
    _print_table("name state port pid".split(), told["nodes"])
    if told["dataset"]["seeded"]:
        console.print(f"dataset {told['dataset']['name']}, scales: {', '.join(told['dataset']['seeded'])}")
    if told["clones"]:
        _print_table("database MB connections".split(), told["clones"])
    for url in told["jupyterlab"]:
        console.print(f"JupyterLab: {url}")


@cli.command("list", epilog="pglab list")
def list_command() -> None:
    """List the labs."""
    rows = [
        {"lab": lab.id, "minutes": lab.minutes, "incident": lab.incident or lab.title}
        for lab in catalogue.listing()
    ]
    if not rows:
        raise PglabError("There is no lab in the folder labs", "Restore it with `git checkout -- labs`")
    _print_table("lab minutes incident".split(), rows)


@cli.command(epilog="pglab reset 10\npglab reset 10-missing-index --yes")
@click.argument("lab")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(lab: str, yes: bool) -> None:
    """Drop the database of LAB.

    The next start of its notebook makes the incident anew.
    """
    found = catalogue.find(lab)
    cluster = Cluster(Home.default())
    cluster.require_running()
    if not yes and not click.confirm(f"Drop the database of {found.id}, with what you built in it?"):
        say("nothing was changed")
        return
    clones.drop(cluster, found.database)
    cluster.own(found.database).remove()  # there for a lab that has one
    say(f"{found.database} is dropped. Restart the notebook's kernel and run it from the top")


@cli.command("doctor", epilog="pglab doctor\npglab doctor --json")
@json_option
@scale_option
def doctor_command(as_json: bool, scale: str) -> None:
    """Say what this machine has and lacks."""
    findings = doctor.examine(Home.default(), scale)
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        _print_table("name status found".split(), [finding.as_dict() for finding in findings])
        for finding in findings:
            if finding.status != "ok":
                console.print(f"{finding.name}: {finding.remedy}.")
    if any(finding.status == "missing" for finding in findings):
        raise click.exceptions.Exit(FAILURE)


def say(step: str) -> None:
    """One line of progress."""
    click.echo(f"pglab: {step}")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: 0 done, 1 failed in one sentence, 2 wrong usage, 130 Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        code = cli.main(given, prog_name="pglab", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Exception as error:
        if "--debug" in given:
            traceback.print_exc()
        known = isinstance(error, PglabError)
        told = str(error) if known else f"{type(error).__name__}: {error}. `pglab --debug …` shows where."
        click.echo(f"pglab: {told}", err=True)
        code = FAILURE
    sys.exit(code if isinstance(code, int) else 0)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)  # as an exception, so that what is running is taken down


def _serve(
    port: int | None, browser: bool | None, scale: str, path: Path | None, backend: str | None = None
) -> None:
    def on_ready(url: str) -> None:
        _show(url, browser)
        say("Ctrl-C stops JupyterLab and the cluster")

    serve(Home.default(), scale, port, path, backend=backend, say=say, bar=_bar, on_ready=on_ready)


def _show(url: str, browser: bool | None) -> None:
    say(f"open {url}")
    if browser if browser is not None else _has_display():
        webbrowser.open(url)


def _has_display() -> bool:
    if platform.system() == "Darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _bar(title: str) -> Iterator[OnProgress]:
    """A bar with an estimate on a terminal; a line for each step elsewhere."""
    say(title)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        TextColumn("  "),
        BarColumn(40),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda done, step: progress.update(task, completed=done, description=step)


def _lines() -> Callable[[float, str], None]:
    seen: list[str] = []

    def on_progress(done: float, step: str) -> None:
        if step and step not in seen:
            seen.append(step)
            say(f"{done:4.0%} {step}")

    return on_progress


def _status(home: Home) -> dict[str, Any]:
    cluster, dataset = Cluster(home), Dataset.load()
    running = cluster.primary.is_running()
    found = clones.listing(cluster) if running else []
    return {
        **cluster.status(),
        "dataset": {
            "name": dataset.name,
            "seeded": [scale for scale in dataset.scales if is_seeded(cluster, dataset, scale)]
            if running
            else [],
        },
        "clones": [
            {"database": c.name, "lab": c.lab, "MB": c.bytes // 2**20, "connections": c.connections}
            for c in found
        ],
        "jupyterlab": [jupyter.lab_url(base, token, None) for base, token in jupyter.running(home)],
    }


def _print_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    console.print(table)
