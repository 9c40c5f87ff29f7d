"""Links are anchors: clicked, opened in a new tab, pressed by Enter, gone back from, reloaded and shared; an address is a page's state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import plugwarden_dashboards
import pytest
import streamlit as st
from playwright.sync_api import Browser, Page, expect
from plugwarden import Sidecar
from plugwarden_collector.store.duckdb.traces import search
from plugwarden_dashboards.address import address, plugin_link, subject_link

from tests.collector.conftest import Running, running
from tests.collector.support.failing_plugin import failing_until, rules_for
from tests.collector.support.waiting import eventually

from . import linked
from .browser import PATIENCE_MS, READY, browsing, focused, tab_to
from .served import Served, served
from .test_pages import draw

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate

ODD = "a b/c?d#e%20"
ASSETS = Path(plugwarden_dashboards.__file__).parent / "linked" / "assets"


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector that suggests to isolate version 2 of csv, with a plugin whose name means something to an address."""
    folder = tmp_path_factory.mktemp("links")
    with running(folder / "data", rules_for(folder, "suggest")) as found:
        sidecar = Sidecar(service="host", endpoint=found.http, export_interval_seconds=0.2, trace_ratio=1.0)
        call = sidecar.wrap(lambda: None, plugin=ODD, version="1/2 ?", operation="x")
        for _ in range(20):
            call()
        assert sidecar.close(timeout=30)
        failing_until(found, "suggested")
        eventually(lambda: found.api.get("status")["firing"])
        yield found


@pytest.fixture(scope="module")
def pages(troubled: Running) -> Iterator[Served]:
    with served(troubled.url) as found:
        yield found


@pytest.fixture(scope="module")
def browser(pages: Served) -> Iterator[Browser]:  # which has to be gone before the collector ends
    with browsing() as found:
        yield found


@pytest.fixture
def page(browser: Browser, pages: Served) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=f"http://{pages.host}")
    found.set_default_timeout(PATIENCE_MS)
    yield found
    found.close()


def opened(page: Page, path: str) -> None:
    page.goto(path)
    page.wait_for_selector(READY, timeout=PATIENCE_MS)


def plugin_named(page: Page, name: str) -> None:
    """Wait until the page is this plugin's."""
    expect(page.locator(".st-key-plugin_head .strong")).to_have_text(name, timeout=PATIENCE_MS)


def row_of(page: Page, text: str) -> str:
    return f".st-key-fleet tbody a:text-is('{text}')"


@pytest.mark.browser
def test_a_click_goes_back_and_comes_again_as_the_same(page: Page) -> None:
    opened(page, "/?range=1h&refresh=off")
    page.locator(row_of(page, ODD)).click()
    plugin_named(page, ODD)
    asked = parse_qs(urlsplit(page.url).query)
    assert (asked["plugin"], asked["range"], asked["refresh"]) == ([ODD], ["1h"], ["off"])
    page.go_back()
    page.locator(row_of(page, "csv")).click()
    plugin_named(page, "csv")
    page.go_back()
    page.go_forward()
    plugin_named(page, "csv")
    page.reload()
    plugin_named(page, "csv")


@pytest.mark.browser
def test_a_middle_click_opens_a_new_tab_with_the_same(page: Page) -> None:
    opened(page, "/?refresh=off")
    with page.context.expect_page() as found:
        page.locator(row_of(page, ODD)).click(button="middle")
    plugin_named(found.value, ODD)
    assert urlsplit(page.url).path == "/", "this one stays"


@pytest.mark.browser
def test_the_keyboard_reaches_a_link_and_keeps_it_when_the_page_refreshes(page: Page) -> None:
    opened(page, "/?refresh=2s")
    page.locator(row_of(page, "csv")).wait_for()
    tab_to(page, "csv")
    page.wait_for_timeout(5000)  # two refreshes
    assert focused(page, "textContent") == "csv"
    page.keyboard.press("Enter")
    plugin_named(page, "csv")


@pytest.mark.browser
def test_a_table_sorts_by_value_says_so_and_its_address_keeps_it(page: Page) -> None:
    opened(page, "/?refresh=off")
    title = page.locator(".st-key-fleet thead th", has_text="Plugin")
    assert title.get_attribute("aria-sort") == "none"
    title.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(title).to_have_attribute("aria-sort", "ascending")
    assert page.locator(".st-key-fleet tbody th").all_inner_texts() == [ODD, "csv"]
    page.keyboard.press("Enter")
    expect(title).to_have_attribute("aria-sort", "descending")
    page.wait_for_url(re.compile("fleet_sort=-Plugin"))
    page.reload()
    expect(page.locator(".st-key-fleet tbody th").first).to_have_text("csv")
    expect(title).to_have_attribute("aria-sort", "descending")


@pytest.mark.browser
def test_the_address_keeps_what_a_table_is_filtered_by_and_chosen_from(page: Page) -> None:
    opened(page, "/traces?t_limit=30&refresh=off")
    table = page.locator(".st-key-traces")
    expect(table.locator(".note").first).to_contain_text("the newest 30")
    table.get_by_role("searchbox").fill("no such thing")
    expect(table.locator("tbody tr")).to_have_count(0)
    expect(table.locator(".note").first).to_contain_text("0 of 30 rows")
    table.get_by_role("searchbox").press("Enter")
    page.wait_for_url(re.compile("traces_find=no"))
    table.get_by_role("button", name="Clear filter").click()
    page.wait_for_url(lambda url: "traces_find" not in url)
    opened(page, "/alerts?alerts_find=csv&refresh=off")
    alerts = page.locator(".st-key-alerts")
    severity = alerts.get_by_label("Severity: which")
    severity.select_option("■ page")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query).get("alerts_severity") == ["■ page"])
    page.reload()
    expect(severity).to_have_value("■ page")
    assert {*alerts.locator("tbody td:nth-child(2)").all_inner_texts()} == {"■ page"}


@pytest.mark.browser
def test_a_filter_in_the_address_hides_no_alert_without_a_word(page: Page) -> None:
    opened(page, "/alerts?alerts_find=zzz&alerts_state=nosuch&alerts_sort=nosuch&refresh=off")
    table = page.locator(".st-key-alerts")
    expect(table.locator(".empty")).to_contain_text("No row has “zzz” in it")
    for text in ("0 of ", "no row has State “nosuch”", "no column “nosuch”"):
        expect(table.get_by_role("status")).to_contain_text(text)
    table.get_by_role("button", name="Clear filter").click()
    expect(table.locator("tbody tr").first).to_contain_text("firing")
    page.wait_for_url(lambda url: "zzz" not in url and "nosuch" not in url)


@pytest.mark.browser
@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_from_the_fleet_to_an_exemplar_trace_and_to_the_evidence_in_four_steps(page: Page, way: str) -> None:
    """Fleet → plugin → trace; back; → what is done about it, with its evidence."""

    def follow(text: str, place: str) -> None:
        link = page.locator(f"{place} a", has_text=text).first
        link.wait_for()
        if way == "mouse":
            link.click()
        else:
            tab_to(page, link.inner_text())
            page.keyboard.press("Enter")

    opened(page, "/?refresh=off")
    follow("csv", ".st-key-fleet")
    plugin_named(page, "csv")
    follow("…", ".st-key-failing")
    expect(page.locator(".st-key-spans tr[aria-current]")).to_contain_text("error", timeout=PATIENCE_MS)
    expect(page.locator(".st-key-attributes")).to_contain_text("KeyError")
    page.go_back()
    plugin_named(page, "csv")
    follow("What was done about it", ".st-key-plugin_why")
    expect(page.get_by_text("are enough to act")).to_be_visible(timeout=PATIENCE_MS)
    assert page.locator("a", has_text="Trace ").count() > 0, "and from the evidence to its traces"


@pytest.mark.browser
def test_a_decision_is_opened_by_its_link_and_closed_by_one(page: Page) -> None:
    opened(page, "/audit?refresh=off")
    page.locator(".st-key-decisions a:text-is('#1')").click()
    expect(page.locator(".st-key-decision")).to_contain_text("#1 ·")
    page.locator(".st-key-decision").get_by_role("link", name="Close").click()
    expect(page.locator(".st-key-decision")).to_have_count(0)
    page.go_back()
    expect(page.locator(".st-key-decision")).to_contain_text("#1 ·")


def test_every_address_that_a_page_links_to_opens(troubled: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        href
        for name in ("fleet", "alerts", "quarantine", "audit")
        for href in linked.hrefs(draw(name, troubled.url, monkeypatch))
    }
    assert {urlsplit(href).path for href in found} >= {
        "/plugin",
        "/alerts",
        "/quarantine",
        "/traces",
        "/trace",
        "/audit",
    }
    for href in found:
        parts = urlsplit(href)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        draw(parts.path.strip("/") or "fleet", troubled.url, monkeypatch, **query)


@pytest.mark.parametrize(
    ("page", "noun", "query", "back"),
    [
        ("trace", "trace", {"trace_id": "0" * 32}, "/traces"), ("trace", "trace", {"trace_id": "../../audit"}, "/traces"),
        ("alerts", "alert", {"alert": "a-0"}, "/alerts"), ("alerts", "alert", {"alert": "<b>"}, "/alerts"),
        ("alerts", "silence", {"silence": "s-0"}, "/alerts"), ("alerts", "incident", {"incident": "i-0"}, "/alerts"),
        ("quarantine", "quarantine", {"quarantine": "q-0"}, "/quarantine"), ("plugin", "plugin", {"plugin": "nosuch"}, "/"),
        ("audit", "decision", {"decision": "99999"}, "/audit"), ("audit", "decision", {"decision": "x"}, "/audit"),
    ],
)  # fmt: skip
def test_an_id_of_nothing_that_is_known_is_said_and_leads_back(
    page: str, noun: str, query: dict[str, str], back: str, troubled: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    st.cache_data.clear()
    drawn = linked.elements(draw(page, troubled.url, monkeypatch, **query), "notice")
    (said,) = [item for item in drawn if item["text"].startswith(f"There is no {noun} {query[next(iter(query))]} (")]
    assert [link["href"] for link in said["links"]] == [back]


def test_a_span_that_its_trace_does_not_have_is_said(troubled: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    trace_id = troubled.scalar("select any_value(trace_id) from spans")
    page = draw("trace", troubled.url, monkeypatch, trace_id=trace_id, span="0" * 16)
    assert "There is no span 0000000000000000 (" in linked.texts(page)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("trace", {"trace_id": "../../audit"}), ("trace", {"trace_id": "0" * 32}), ("alerts", {"alert": "<b>"}),
        ("alerts", {"alert": "a-0000000000", "act": "x"}), ("alerts", {"silence": "s-0"}), ("alerts", {"incident": "'"}),
        ("quarantine", {"quarantine": "q-0"}), ("fleet", {"fleet_sort": "nosuch", "fleet_find": "\u202ex" * 500}),
        ("plugin", {"plugin": "csv", "version": "no such"}), ("traces", {"t_plugin": "nosuch", "t_version": "9"}),
    ],
)  # fmt: skip
def test_an_address_that_asks_for_nothing_known_breaks_no_page(
    page: str, query: dict[str, str], troubled: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(page, troubled.url, monkeypatch, **query)


def test_a_trace_of_which_not_all_is_read_says_how_many_spans_it_has(
    troubled: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar = Sidecar(service="host", endpoint=troubled.http, export_interval_seconds=0.2, trace_ratio=1.0)
    inner = sidecar.wrap(lambda: None, plugin="inner", version="1", operation="x")
    sidecar.wrap(inner, plugin="outer", version="1", operation="x")()
    assert sidecar.close(timeout=30)
    trace_id = eventually(lambda: troubled.scalar("select any_value(trace_id) from spans where plugin_id = 'outer'"))
    monkeypatch.setattr(search, "MAX_SPANS", 1)
    st.cache_data.clear()
    page = draw("trace", troubled.url, monkeypatch, trace_id=trace_id)
    assert linked.tiles(page)["Spans"] == "2"
    assert "Only 1 of 2 spans are drawn; 1 are read, those that failed first." in linked.texts(page)


@pytest.mark.parametrize("name", [ODD, "a&b=c", "a+b", "%2F", "日本/語", "a;b", "..", "x" * 200])
def test_names_come_through_an_address_as_they_are(name: str) -> None:
    asked = parse_qs(urlsplit(address("plugin", plugin=name, version=name)).query, strict_parsing=True)
    assert asked == {"plugin": [name], "version": [name]}
    assert plugin_link(name, name).href == address("plugin", plugin=name, version=name)


@pytest.mark.parametrize(
    ("identity", "href"),
    [
        ("q-0a", "/quarantine?quarantine=q-0a"), ("i-0a", "/alerts?incident=i-0a"), ("s-0a", "/alerts?silence=s-0a"),
        ("e-17", "/audit?decision=17"), ("a-0a", "/alerts?alert=a-0a"), ("c0ffee", "/alerts?alert=c0ffee"), ("q", "/alerts?alert=q"),
    ],
)  # fmt: skip
def test_what_people_are_told_of_has_an_address(identity: str, href: str) -> None:
    assert subject_link(identity).href == href


def test_no_file_of_the_component_makes_markup_of_text() -> None:
    for file in ASSETS.glob("*.js"):
        text = file.read_text("utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|createContextualFragment", text
        )
