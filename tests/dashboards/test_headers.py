"""The pages under the headers that bind a browser: nothing is refused that they need, and nothing leaves them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, sync_playwright
from plugwarden import Sidecar

from tests.collector.conftest import Running, running

from .served import Served, served

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
READY = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
PAGES = ["", "plugin", "budgets", "alerts", "quarantine", "audit", "traces", "capacity", "platform"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Served]]:
    with running(tmp_path_factory.mktemp("headers") / "data") as collector:
        sidecar = Sidecar(service="host", endpoint=collector.http, export_interval_seconds=0.2, trace_ratio=1.0)
        call = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
        for _ in range(20):
            call()
        assert sidecar.close(timeout=30)
        with served(collector.url) as dashboards:
            yield collector, dashboards


@pytest.mark.parametrize("path", ["/", "/readyz", "/nowhere.js", "/_stcore/health", "/_stcore/agent/openapi.json"])
def test_every_answer_of_the_dashboards_has_them(pages: tuple[Running, Served], path: str) -> None:
    answer = pages[1].get(path)
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_every_page_draws_itself_and_reaches_nobody_else(pages: tuple[Running, Served], tmp_path: Path) -> None:
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            said.append(message.text)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1200})
        page.on("console", note)
        page.on("pageerror", lambda error: said.append(str(error)))
        for name in PAGES:
            page.goto(f"http://{pages[1].host}/{name}{'?plugin=csv' if name == 'plugin' else ''}")
            page.wait_for_selector(READY, timeout=60_000)
            assert page.locator("[data-testid=stException]").count() == 0, name
            if name == "plugin":
                page.locator(".vega-embed canvas, .vega-embed svg").first.wait_for(timeout=60_000)
            page.screenshot(path=str(tmp_path / f"{name or 'fleet'}.png"))
        assert said == []
        # What somebody smuggles into a page cannot send what it sees anywhere else.
        sent = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', error => String(error))")
        assert "Failed to fetch" in sent
        assert any("connect-src" in text or "Content Security Policy" in text for text in said)
        browser.close()
