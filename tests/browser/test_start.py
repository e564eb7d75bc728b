"""What a learner sees first."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.notebook import Course


def test_the_index_is_shown_as_a_page(page: Page, pictures: Path) -> None:
    preview = page.locator(".jp-MarkdownViewer")
    expect(preview).to_be_visible(timeout=60_000)
    expect(preview).to_contain_text("The missing index")
    pictures.mkdir(exist_ok=True)
    page.screenshot(path=str(pictures / "start.png"))


def test_the_first_lab_waits_in_a_tab(page: Page) -> None:
    expect(page.get_by_role("tab", name="01-n-plus-one.ipynb")).to_be_visible(timeout=60_000)


def test_the_index_leads_to_the_lab(page: Page) -> None:
    page.locator(".jp-MarkdownViewer").get_by_role("link", name="The missing index").click(timeout=60_000)
    expect(page.get_by_role("tab", name="10-missing-index.ipynb")).to_have_attribute("aria-selected", "true")


def test_nothing_pops_up(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    toast = page.locator(".Toastify__toast")
    expect(toast).to_have_count(0)
    # That is how one would look.
    page.evaluate(
        "window.jupyterapp.commands.execute('apputils:notify', {message: 'news', options: {autoClose: false}})"
    )
    expect(toast).to_have_count(1)


def test_solutions_are_not_in_sight(page: Page, course: Course) -> None:
    page.goto(course.url.replace("/lab/tree/notebooks/README.md", "/lab/workspaces/another"))
    listing = page.locator(".jp-DirListing-content")
    expect(listing).to_contain_text("10-missing-index", timeout=60_000)
    expect(listing).not_to_contain_text("solutions")


def test_all_that_jupyter_writes_is_in_the_home(course: Course) -> None:
    assert list((course.home / "jupyter" / "runtime").glob("jpserver-*.json"))
    assert list((course.home / "jupyter" / "workspaces").iterdir())
