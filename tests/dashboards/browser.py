"""A real browser on dashboards that run, and how a person moves in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["PATIENCE_MS", "READY", "browsing", "focused", "tab_to"]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
READY = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
PATIENCE_MS = 60_000
MOST_TABS = 150
FOCUSED = "(() => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement; return at })()"
"""The focused element, within shadow roots too."""


@contextmanager
def browsing() -> Iterator[Browser]:
    """Chromium, for the length of a block; without one the test is skipped."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def focused(page: Page, name: str) -> Any:
    """Return a property of the focused element."""
    return page.evaluate(f"{FOCUSED}.{name}")


def tab_to(page: Page, text: str) -> None:
    """Press Tab until a link with this text is focused."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if focused(page, "tagName") == "A" and focused(page, "textContent").strip() == text:
            return
    raise AssertionError(f"no link {text!r} can be reached by the keyboard")
