"""The command `grader`: parses and prints, nothing else."""

from __future__ import annotations

import logging
import os
import sys

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pglab.errors import PglabError
from pglab.home import Home


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pglab", prog_name="grader")
def grader() -> None:
    """Grade a class of pglab's labs; the gradebook, formgrader, feedback and CSV are nbgrader's."""


@grader.command()
@click.argument("lab")
@click.option(
    "--student", default="*", show_default=True, metavar="GLOB", help="Only the students whose name matches."
)
@click.option(
    "--jobs", type=click.IntRange(1), help="Notebooks at a time.  [default: half of the cores, at least 1]"
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Run on the workers of a Dask cluster, such as tcp://host:8786."
)
@click.option("--force", is_flag=True, help="Grade again what is graded and unchanged.")
@click.option(
    "--sandbox",
    type=click.Choice(["bubblewrap", "docker", "none"]),
    envvar="PGLAB_SANDBOX",
    default="bubblewrap",
    show_default=True,
    help="What keeps a submission apart from everything else.",
)
@click.option(
    "--no-sandbox",
    is_flag=True,
    help="The same as --sandbox none: submissions run as you, and can read and change all that you can.",
)
@click.option(
    "--gradebook",
    envvar="PGLAB_GRADEBOOK",
    default="",
    metavar="URL",
    help="Such as postgresql+psycopg://user@host/db.  [default: gradebook.db]",
)
def autograde(
    lab: str, student: str, jobs: int | None, scheduler: str | None, force: bool, sandbox: str, no_sandbox: bool,
    gradebook: str,
) -> None:  # fmt: skip
    """Grade what was handed in for LAB: submitted/<student>/LAB/ → gradebook, autograded/<student>/LAB/.

    Each submission gets a sandbox, a fresh database and a referee of its own; the referee's record is its score. What
    is graded and unchanged is not run again. Killed at any moment, the same command carries on.

    Exits 1 when a submission could not be graded: it has no new score then, and the reason is shown.
    """
    # late: nbgrader takes a second to import, and --help has no need of it
    from grader.autograde import Grading, failed
    from grader.course import Course
    from grader.sandbox.kernel import choose
    from grader.summary import show
    from grader.workers import here, on_dask

    console = Console(stderr=False)
    sandbox = choose("none" if no_sandbox else sandbox)
    course = Course(gradebook)
    with (
        course.lock(),
        on_dask(scheduler, jobs or 0) if scheduler else here(jobs or _half()) as (executor, many, run),
    ):
        grading = Grading(course, lab, executor, many, sandbox=sandbox, force=force, run=run)
        course.require(lab)
        students = grading.students(student)
        if sandbox == "none":
            console.print("[bold]Without a sandbox:[/] each submission runs as you.")
        outcomes = []
        with _progress(console) as progress:
            task = progress.add_task(lab, total=len(students))
            for outcome in grading.grade(students):
                outcomes.append(outcome)
                if outcome.state == "error":
                    progress.console.print(f"{outcome.student} was not graded: {outcome.why}", markup=False)
                progress.advance(task)
    show(console, grading.spec, outcomes)
    sys.exit(1 if failed(outcomes) else 0)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("about"), TimeRemainingColumn(compact=True), TextColumn("to go"), console=console,
    )  # fmt: skip


def _half() -> int:
    return max(1, (os.cpu_count() or 2) // 2)


def main() -> None:
    """The entry point: errors become one sentence and exit code 1, Ctrl-C 130."""
    home = Home.default()
    try:
        home.make()
        logging.captureWarnings(True)  # nbgrader's libraries have some for each submission
        logging.basicConfig(
            filename=home.logs / "autograde.log",
            level=logging.WARNING,
            format="%(asctime)s [%(process)d] %(message)s",
        )
        grader(standalone_mode=False)
    except PglabError as error:
        click.echo(f"grader: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("grader: interrupted; the same command carries on", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
