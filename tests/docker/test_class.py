"""A class in a real browser: three students fetch, work and submit, the instructor collects, grades and looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import CHROMIUM, QUIET
from tests.browser.notebook import NotebookPage, said
from tests.docker.conftest import Compose, until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
    pytest.mark.timeout(1800),
]
LAB = "10-missing-index"
NOTEBOOK = f"{LAB}/{LAB}.ipynb"
FIX = 'lab.execute("CREATE INDEX ON order_items (order_id)")'
START_LIMIT_MS = 240_000  # the first start of a server seeds its dataset
EXPOSE = "/opt/pglab/etc/jupyter/jupyter_server_config.json"  # lets NotebookPage look into JupyterLab
AS_INSTRUCTOR = """
export PGLAB_HOME=$HOME/.pglab PGLAB_COURSE=$HOME/course PGLAB_EXCHANGE=/srv/class/exchange JUPYTER_CONFIG_PATH=/course/grader
export JUPYTERHUB_USER=instructor PGLAB_SCALE=small
cd ~/course && exec nbgrader "$@"
"""


class School:
    """JupyterHub, and who is logged in."""

    def __init__(self, compose: Compose, browser: Browser) -> None:
        self.compose = compose
        self.url = f"http://127.0.0.1:{compose.hub_port}"
        self._browser = browser
        lines = compose.run("hub", "cat", "/srv/class/passwords.txt").splitlines()
        self.passwords = dict(line.split() for line in lines)

    def log_in(self, name: str, password: str | None = None) -> Page:
        """A window of one's own, at the hub's answer."""
        page: Page = self._browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        page.goto(f"{self.url}/hub/login")
        page.fill("#username_input", name)
        page.fill("#password_input", password or self.passwords[name])
        page.click("#login_submit")
        return page

    def lab(self, name: str) -> Page:
        """Their JupyterLab, loaded."""
        page = self.log_in(name)
        page.wait_for_url(f"**/user/{name}/lab**", timeout=START_LIMIT_MS)
        page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=START_LIMIT_MS)
        page.wait_for_function("window.jupyterapp !== undefined")
        page.evaluate("window.jupyterapp.restored")
        return page

    def nbgrader(self, *words: str) -> str:
        """A command in the instructor's terminal."""
        command = ["bash", "-c", f"export HOME=/home/instructor; {AS_INSTRUCTOR}", "nbgrader", *words]
        return self.compose.run("hub", *command, user="instructor", limit_s=900)


@pytest.fixture(scope="module")
def school(compose: Compose) -> Iterator[School]:
    if compose.command != ["docker", "compose"]:
        pytest.skip("the class needs `docker compose`: docker-compose 1.29 does not know systempaths")
    compose("--profile", "class", "up", "-d", "hub")
    until("JupyterHub to be healthy", lambda: compose.health("hub") == "healthy")
    expose = f'echo \'{{"LabApp": {{"expose_app_in_browser": true}}}}\' >{EXPOSE}'
    compose.run("hub", "sh", "-c", f"mkdir -p $(dirname {EXPOSE}) && {expose}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield School(compose, chromium)
        chromium.close()
    compose("--profile", "class", "rm", "--stop", "--force", "hub")


def assignments(page: Page) -> Any:
    """nbgrader's list of assignments, open."""
    page.get_by_role("menuitem", name="Nbgrader").click()
    page.locator('.lm-Menu-item[data-command="nbgrader:open-assignment-list"]').click()
    return page.locator("#nbgrader-assignment-list, .nbgrader-mainarea-widget, [id*=assignment]").first


def test_a_wrong_password_is_refused(school: School) -> None:
    page = school.log_in("alice", "wrong")
    page.wait_for_selector(".login_error")
    assert "/user/" not in page.url


def test_each_has_a_server_and_a_postgres_that_no_other_can_enter(school: School) -> None:
    for name in ("alice", "bob"):
        school.lab(name).context.close()
    running = school.compose.run("hub", "ps", "-eo", "user:20,args")
    for name in ("alice", "bob"):
        assert any(line.startswith(name) and "/postgres -D" in line for line in running.splitlines()), running
    for path in (
        "/home/bob",
        "/home/bob/.pglab/secrets.json",
        "/home/bob/.pglab/run/pg",
        "/srv/class/passwords.txt",
    ):
        tried = ["sh", "-c", f"ls {path} >/dev/null 2>&1 && cat {path} 2>/dev/null && echo entered; true"]
        assert "entered" not in school.compose.run("hub", *tried, user="alice"), path


def test_three_students_submit_and_the_instructor_grades(school: School) -> None:
    instructor = school.lab("instructor")
    school.nbgrader("generate_assignment", LAB)
    school.nbgrader("release_assignment", LAB)

    for name, solve, earned in (("alice", "all", 5.0), ("bob", "nothing", 0.0), ("carol", "plain", 5.0)):
        page = school.lab(name)
        assignments(page)
        page.get_by_role("button", name="Fetch").first.click()
        page.get_by_role("button", name="Submit").first.wait_for()
        notebook = NotebookPage(page, NOTEBOOK)
        notebook.open()
        if solve == "all":
            notebook.solve()
        elif solve == "plain":
            notebook.type_into("fix-answer", FIX)
        for _ in range(3):
            notebook.run_all()
            assert notebook.errors() == []
            if "could not measure" not in said(notebook.outputs("fix")):  # else the machine was too busy
                break
        assert said(notebook.outputs("fix")).rstrip().endswith(str(earned))
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        assignments(page)
        page.get_by_role("button", name="Submit").first.click()
        until(f"{name}'s submission", lambda name=name: name in inbound(school), 60)
        page.context.close()

    school.nbgrader("collect", LAB)
    school.nbgrader("autograde", LAB)
    instructor.goto(f"{school.url}/user/instructor/formgrader/manage_submissions/{LAB}")
    for name, score in (("alice", "12"), ("bob", "0"), ("carol", "8")):
        row = instructor.locator("tr", has_text=name).first
        row.wait_for()
        assert f"{score} /" in " ".join(row.inner_text().split()), row.inner_text()
    school.nbgrader("generate_feedback", LAB)
    school.nbgrader("release_feedback", LAB)


def inbound(school: School) -> str:
    return school.compose.run("hub", "sh", "-c", "ls /srv/class/exchange/pglab/inbound 2>/dev/null || true")
