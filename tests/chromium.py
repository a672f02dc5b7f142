"""Chromium for the tests of pages: the one that has no windows where it is there, which takes a third of the time."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")  # as Debian calls them
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Any]:
    """The running browser, as playwright has it; a test that asks for it is skipped where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install 'ruc[dev]'"
    )
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("Chromium is missing: apt-get install chromium-headless-shell")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


def reload_until(page: Any, is_kept: Callable[[], bool]) -> None:
    """Load a page anew until what it kept is there: Chromium stores it a moment after the page has said it."""
    for _ in range(20):
        page.reload()
        if is_kept():
            return
        page.wait_for_timeout(500)
    pytest.fail("what the page kept was not there after twenty reloads")


def unfold(page: Any, selector: str) -> None:
    """Open the first folded part there: what is drawn late above it may move it from under a click."""
    summary = page.locator(f"{selector} summary").first
    for _ in range(20):
        summary.click()
        if summary.evaluate("one => one.parentElement.open"):
            return
        page.wait_for_timeout(500)
    pytest.fail(f"{selector} stayed folded after twenty clicks")
