"""Whatever a plugin is called, its name opens its own page, and can be told from every other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright
from plugwarden import Sidecar
from plugwarden_dashboards import words

from tests.collector.conftest import Running, running
from tests.collector.support.hostile_names import HOSTILE_NAMES
from tests.collector.test_wording import hostile

from . import linked
from .served import served
from .test_pages import draw

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
NAMES = [*HOSTILE_NAMES, "any", "⟨any⟩", "⟨U+0041⟩", "A"]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A plugin of every name; the first has one call, the second two, and so on."""
    with running(tmp_path_factory.mktemp("names") / "data") as collector:
        sidecar = Sidecar(service="host", endpoint=collector.http, export_interval_seconds=0.2, trace_ratio=1.0)
        for number, name in enumerate(NAMES, 1):
            call = sidecar.wrap(lambda: None, plugin=name, version="1", operation="x")
            for _ in range(number):
                call()
        assert sidecar.close(timeout=30)
        yield collector


@pytest.mark.parametrize("name", NAMES)
def test_every_name_opens_its_own_page(name: str, named: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw("plugin", named.url, monkeypatch, plugin=words.option(name))
    assert page.selectbox(key="plugin").value == name
    (operations,) = linked.rows(page, "Operations")
    assert operations["Calls"] == str(NAMES.index(name) + 1)


@pytest.mark.parametrize("name", ["a/series", "..", "any", "⟨any⟩", "a?since=1d", "-"])
def test_traces_can_be_searched_by_every_name(name: str, named: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw("traces", named.url, monkeypatch, t_plugin=words.option(name), t_limit="1000")
    assert page.selectbox(key="t_plugin").value == name
    assert {row["Plugins"] for row in linked.rows(page, "Matching traces")} == {words.option(name)}


def test_without_a_name_traces_of_all_are_shown(named: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw("traces", named.url, monkeypatch, t_limit="1000")
    assert len({row["Plugins"] for row in linked.rows(page, "Matching traces")}) > 10


def test_a_name_nobody_has_says_so(named: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in ("nosuch", "no⟨such", "../audit"):
        page = draw("plugin", named.url, monkeypatch, plugin=asked)
        assert page.selectbox(key="plugin").value == asked
        assert "no plugin" in linked.elements(page, "notice")[0]["text"]


@given(st.text(), st.text())
def test_options_differ_where_names_do_and_show_everything(first: str, second: str) -> None:
    assert hostile(words.option(first)) == set()
    assert words.named(words.option(first)) == first
    assert (words.option(first) == words.option(second)) == (first == second)


@pytest.mark.browser
def test_in_a_browser_the_address_of_a_page_holds_the_name(named: Running) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with served(named.url) as dashboards, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page()
            for name in ("a/series", "a?since=1d", "%2F", "a&b=c", "a+b", "#", "..", "日本/語"):
                page.goto(f"http://{dashboards.host}/plugin?{urlencode({'plugin': words.option(name)})}")
                heading = page.locator(".st-key-plugin_head .strong")
                heading.wait_for(timeout=60_000)
                assert heading.inner_text() == name
                (kept,) = parse_qs(urlsplit(page.url).query)["plugin"]
                assert kept == name
        finally:
            browser.close()
