"""Exit codes, sentences, and what a command asks the rest to do."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import pglab
from pglab import catalogue, cli, doctor, jupyter
from pglab.errors import ClusterError, LabError
from pglab.home import Home

LAB = 'title = "{title}"\nmodule = {module}\norder = {order}\nminutes = 30\nincident = "It is slow."\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of three labs, and a home that does not exist."""
    for name, module, order in [
        ("11-composite-index", 2, 11),
        ("01-n-plus-one", 1, 1),
        ("10-missing-index", 2, 10),
    ]:
        folder = tmp_path / "labs" / name
        folder.mkdir(parents=True)
        (folder / "lab.toml").write_text(LAB.format(title=name, module=module, order=order))
    monkeypatch.setenv("PGLAB_ROOT", str(tmp_path))
    monkeypatch.setenv("PGLAB_HOME", str(tmp_path / "home"))
    return tmp_path


def run(*arguments: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return int(ended.value.code or 0)


def test_list_is_in_teaching_order(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["01-n-plus-one", "10-missing-index", "11-composite-index"]


def test_an_error_is_one_sentence_and_no_traceback(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("open", "99") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert (
        told.err
        == "pglab: There is no lab '99'. The labs are: 01-n-plus-one, 10-missing-index, 11-composite-index.\n"
    )


def test_debug_shows_the_traceback(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--debug", "open", "99") == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_is_one_sentence_too(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "listing", lambda: 1 / 0)
    assert run("list") == 1
    assert (
        capsys.readouterr().err
        == "pglab: ZeroDivisionError: division by zero. `pglab --debug …` shows where.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["lab", "--port", "abc"], ["lab", "--port", "70000"], ["open"], ["list", "more"]],
)
def test_wrong_usage_is_2(root: Path, arguments: list[str]) -> None:
    assert run(*arguments) == 2


def test_ctrl_c_is_130(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "listing", interrupted)
    assert run("list") == 130


@pytest.mark.parametrize("name", ["10", "10-missing-index", "10-m"])
def test_the_beginning_of_a_name_is_enough(root: Path, name: str) -> None:
    found = catalogue.find(name)
    assert (found.id, found.database) == ("10-missing-index", "lab_10")
    assert found.notebook == Path("notebooks/10-missing-index/10-missing-index.ipynb")


def test_a_beginning_of_several_names_is_refused(root: Path) -> None:
    with pytest.raises(
        LabError, match=r"Several labs start with '1'. The labs are: 10-missing-index, 11-composite-index"
    ):
        catalogue.find("1")


def test_a_broken_lab_toml_is_named(root: Path) -> None:
    (root / "labs" / "10-missing-index" / "lab.toml").write_text("title =")
    with pytest.raises(LabError, match=r"10-missing-index/lab\.toml cannot be read"):
        catalogue.listing()


class Dropped:
    """Stands in for a running cluster, and for the databases that were dropped."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def require_running(self) -> None:
        """It runs."""

    def own(self, name: str) -> Dropped:
        """A lab's own cluster, which this one has none of."""
        return self

    def remove(self) -> None:
        """Nothing to stop."""


@pytest.fixture
def dropped(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(cli, "Cluster", Dropped)
    monkeypatch.setattr(cli.clones, "drop", lambda cluster, name: names.append(name))
    return names


def test_reset_drops_the_labs_database(dropped: list[str]) -> None:
    assert run("reset", "10", "--yes") == 0
    assert dropped == ["lab_10"]


@pytest.mark.parametrize(("answer", "expected"), [("y", ["lab_10"]), ("n", []), ("", [])])
def test_reset_asks(
    dropped: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, expected: list[str]
) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: answer)
    assert run("reset", "10") == 0
    assert dropped == expected


@pytest.fixture
def stopped(root: Path, own_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home where nothing runs, below the real course's datasets."""
    monkeypatch.setenv("PGLAB_HOME", str(own_home.root))
    (root / "datasets").symlink_to(Path(pglab.__file__).parent.parent / "datasets")
    return own_home


def test_status_of_nothing(stopped: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 0
    assert "not made" in capsys.readouterr().out
    assert run("status", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["home"] == str(stopped.root)
    assert (told["dataset"], told["clones"], told["jupyterlab"]) == ({"name": "shop", "seeded": []}, [], [])


def test_down_of_nothing(stopped: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("down") == 0
    assert capsys.readouterr().out == "pglab: the cluster is stopped already\n"


def test_reset_needs_the_cluster(stopped: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reset", "10", "--yes") == 1
    assert capsys.readouterr().err.strip() == "pglab: The cluster is stopped. Run `pglab up`."


def test_doctor_exits_1_only_for_what_is_needed(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = [doctor.Finding("docker", "warning", "not found", "Install it")]
    monkeypatch.setattr(doctor, "examine", lambda home, scale: findings)
    assert run("doctor") == 0
    assert "docker: Install it." in capsys.readouterr().out
    findings.append(doctor.Finding("disk", "missing", "full", "Free some"))
    assert run("doctor", "--json") == 1
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "disk",
        "status": "missing",
        "found": "full",
        "remedy": "Free some",
    }


def test_open_shows_the_lab_in_the_jupyterlab_that_runs(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jupyter, "running", lambda home: [("http://127.0.0.1:8890/", "abc")])
    assert run("open", "10", "--no-browser") == 0
    address = "http://127.0.0.1:8890/lab/tree/notebooks/10-missing-index/10-missing-index.ipynb?token=abc"
    assert capsys.readouterr().out == f"pglab: open {address}\n"


@pytest.mark.parametrize(
    ("display", "wanted", "opened"),
    [("", None, False), (":0", None, True), (":0", False, False), ("", True, True)],
)
def test_the_browser_opens_where_there_is_a_display(
    monkeypatch: pytest.MonkeyPatch, display: str, wanted: bool | None, opened: bool
) -> None:
    addresses: list[str] = []
    monkeypatch.setattr(cli, "webbrowser", SimpleNamespace(open=addresses.append))
    monkeypatch.setattr(cli.platform, "system", lambda: "Linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    cli._show("http://127.0.0.1:1/", wanted)
    assert bool(addresses) is opened


def test_a_port_that_was_asked_for_and_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jupyter.ports, "is_free", lambda port: port >= 8890)
    jupyter.check_port(None)
    jupyter.check_port(8890)
    with pytest.raises(Exception, match=r"Port 8889 is taken\. Choose another one with --port"):
        jupyter.check_port(8889)


def test_every_command_has_help_with_examples(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    for name in cli.cli.commands:
        assert run(name, "--help") == 0
        told = capsys.readouterr().out
        assert f"Examples:\n  pglab {name}" in told, told


def test_a_failed_start_is_one_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise ClusterError("The primary did not start: no", "Its log is there")

    monkeypatch.setattr(cli, "serve", fail)
    assert run("lab") == 1
    assert capsys.readouterr().err == "pglab: The primary did not start: no. Its log is there.\n"
