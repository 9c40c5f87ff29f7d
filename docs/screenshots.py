"""Makes docs/images: every page of the dashboards, from a demo that runs now. `make screenshots`."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright
from plugwarden_collector.api.client import CollectorClient

IMAGES = Path(__file__).with_name("images")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
READY = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
STORY_SECONDS = 70
"""After this long the story is over, and all of it is on the pages."""


def main() -> None:
    """Run the demo, look, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "plugwarden_collector", "demo", "--for", "150s", "--json", "--port", str(port)]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        _wait(base)
        time.sleep(STORY_SECONDS)
        chromium = shutil.which("chromium")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
            for name in ("", "budgets", "alerts", "quarantine", "traces", "capacity", "platform"):
                _take(page, f"{base}/{name}?range=5m&refresh=off", name or "fleet")
            _take(page, f"{base}/plugin?plugin=markdown&range=5m&refresh=off", "plugin")
            trace = _failing_trace(port)
            _take(page, f"{base}/trace?trace_id={trace}&refresh=off", "trace")
            dark = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
            _take(dark, f"{base}/?range=5m&refresh=off", "fleet-dark")
            browser.close()
    finally:
        demo.terminate()
        demo.wait(60)


def _wait(base: str) -> None:
    for _ in range(240):
        try:
            with urlopen(f"{base}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the demo did not start")


def _failing_trace(port: int) -> str:
    """The trace id of a failed call."""
    with CollectorClient(_collector_url(port)) as api:
        return str(api.get("traces", since="10m", outcome="error", limit=1)[0]["trace_id"])


def _collector_url(port: int) -> str:
    """Of the collector behind the dashboards on this port: others may run here."""
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if "plugwarden_dashboards" in words and f"127.0.0.1:{port}" in words:
            return words[words.index("--url") + 1]
    raise SystemExit("the dashboards are not running")


def _take(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.wait_for_selector(READY, timeout=30_000)
    time.sleep(3)
    height = page.evaluate("Math.max(document.querySelector('[data-testid=stMain]')?.scrollHeight || 0, 600)")
    page.set_viewport_size({"width": 1440, "height": min(int(height) + 20, 2200)})
    time.sleep(1)
    page.screenshot(path=str(IMAGES / f"{name}.png"))
    page.set_viewport_size({"width": 1440, "height": 900})


if __name__ == "__main__":
    main()
