"""Capacity: what would be full first, one plugin, and what would be; each number is what the API says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import streamlit as st
from playwright.sync_api import Page, expect
from plugwarden_collector.capacity.wording import amount, limit_amount, until_full
from plugwarden_dashboards import words
from plugwarden_dashboards.capacity.usage import as_csv
from plugwarden_dashboards.capacity.whatif import changes_of
from streamlit.testing.v1 import AppTest

from tests.collector.conftest import Running, running
from tests.collector.support.planned_store import PLUGINS, RULES, UNTIL, fill, told
from tests.collector.support.still_clock import StillClock

from . import linked
from .browser import PATIENCE_MS, READY, browsing
from .served import served
from .test_pages import script

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate

RANGE = "1d"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Weeks of one plugin that grows, one that stays, and two hours of a third, each with limits."""
    folder = tmp_path_factory.mktemp("capacity")
    (folder / "rules.toml").write_text(RULES)
    fill(folder / "data", noise=0.15, minutes=timedelta(days=1), young=timedelta(hours=2))
    clock = StillClock()
    clock.at = UNTIL
    with running(folder / "data", folder / "rules.toml", clock=clock) as found:
        kind = {"content-type": "application/x-protobuf"}
        body = told([*PLUGINS, ("young", "=team")])
        assert httpx2.post(f"{found.http}/v1/metrics", content=body, headers=kind, trust_env=False).status_code == 200
        yield found


def drawn(
    collector: Running, monkeypatch: pytest.MonkeyPatch, state: dict[str, Any] | None = None, **query: str
) -> AppTest:
    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", collector.url)
    st.cache_data.clear()  # answers are kept for a second
    page = AppTest.from_function(script, args=("capacity",), default_timeout=60)
    page.query_params.update(query)
    for name, value in {"range": RANGE, **(state or {})}.items():
        page.session_state[name] = value
    page.run()
    assert not page.exception, page.exception
    return page


def specs(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in page.get("vega_lite_chart")]


def test_each_number_of_the_list_is_what_the_api_says(planned: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = drawn(planned, monkeypatch)
    get = planned.api.get
    demand, full, store = get("capacity", since=RANGE), get("capacity/full"), get("capacity/store")
    first = [
        (row["Of"], row["Limit"], row["Use now"], row["Full in"], row["Because"])
        for row in linked.rows(page, "What would be full first")
    ]
    assert first == [
        (
            item["limit"]["plugin_id"] or item["limit"]["host_name"], amount(item["limit"]["resource"], item["limit"]["limit"]),
            words.percent(item["limit"]["ratio"]), until_full(item["until"], item["record"]), item["record"]["reason"],
        )
        for item in full
    ]  # fmt: skip
    assert first[0][0] == "grows"
    assert {row[0]: row[3] for row in first}["young"] == "too little data"
    standing = get("capacity/utilisation", since=RANGE)
    assert [(row["Of"], row["Usual"], row["Fullest"], row["Use"]) for row in linked.rows(page, "How full limits")] == [
        (
            item["plugin_id"] or item["host_name"], amount(item["resource"], item["usual"]), amount(item["resource"], item["used"]),
            words.percent(item["ratio"]),
        )
        for item in [*standing["plugins"], *standing["machines"]]
    ]  # fmt: skip
    tiles = linked.tiles(page)
    assert tiles["CPU cores in plugins"] == words.count(sum(row["cpu_cores"] for row in demand))
    assert tiles["Of all processors"] == words.percent(sum(row["host_share_ratio"] for row in demand))
    assert tiles["Nearest limit"] == words.percent(get("capacity/what-if", since=RANGE)["bottleneck"]["ratio"])
    assert tiles["Store's disk full in"] == "—", "no table is large enough to tell"
    asked = linked.rows(page, "What is asked for")
    assert [(row["Who"], row["Calls/s"], row["At once"], row["CPU per call"], row["Memory"]) for row in asked] == [
        (
            row["plugin_id"], words.count(row["calls_per_second"]), words.count(row["concurrency"]),
            words.duration(row["cpu_seconds_per_call"]), "—",
        )
        for row in demand
    ]  # fmt: skip
    assert [(row["Who"], row["Calls"], row["Of CPU"]) for row in linked.rows(page, "Who uses what")] == [
        (row["name"], words.count(row["calls"]), words.percent(row["cpu_share_ratio"]))
        for row in get("capacity/showback", since=RANGE)
    ]
    assert [(row["Table"], row["Rows"]) for row in linked.rows(page, "The collector's own store")] == [
        (row["table"], words.count(row["rows"])) for row in store["tables"]
    ]
    links = [parse_qs(urlsplit(href).query) for href in linked.hrefs(page) if urlsplit(href).path == "/capacity"]
    assert {"plugin": ["grows"]} in links


def test_load_over_time_is_of_the_asked_range_and_no_step_of_it_is_unfinished(
    planned: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    for by, names in (
        ("operation", {"grows run", "stays run", "young run"}),
        ("owner", {"team-a", "=team", "nobody is named"}),
    ):
        page = drawn(planned, monkeypatch, {"by": by})
        (spec,) = specs(page)
        begins, ends = map(datetime.fromisoformat, spec["encoding"]["x"]["scale"]["domain"])
        assert ends - begins == timedelta(days=1)
        assert set(spec["encoding"]["color"]["scale"]["domain"]) == names
        assert "%b" in spec["encoding"]["x"]["axis"]["format"], "a date, for hours come twice"


def test_a_plugin_has_its_forecast_with_bands_its_limits_and_how_it_did_before(
    planned: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = drawn(planned, monkeypatch, plugin="grows")
    curve = planned.api.get("capacity/forecast", plugin="grows", resource="concurrency")
    (item,) = planned.api.get("capacity/full", plugin="grows")
    (row,) = planned.api.get("capacity", since=RANGE, plugin="grows")
    load, forecast = specs(page)
    kinds = [layer["mark"]["type"] for layer in forecast["layer"]]
    assert kinds == ["area", "area", "line", "rule", "text"]
    begins, ends = map(datetime.fromisoformat, forecast["layer"][0]["encoding"]["x"]["scale"]["domain"])
    assert ends - begins == timedelta(days=56) - timedelta(hours=1), (
        "as much back as ahead, to the beginning of the last hour"
    )
    assert [layer["mark"]["type"] for layer in load["layer"]] == ["rule", "rule", "text"]
    said = "\n".join(text.value for text in page.text)
    assert words.percent(curve["record"]["error_ratio"]) in said
    assert words.percent(curve["record"]["coverage_ratio"]) in said
    tiles = linked.tiles(page)
    assert until_full(item["until"], item["record"]).startswith(f"{tiles['Full in']} (from ")
    assert tiles["Calls at once"] == words.count(row["concurrency"])
    assert tiles["CPU per call"] == words.duration(row["cpu_seconds_per_call"])
    assert tiles["Memory"] == "—"
    young = drawn(planned, monkeypatch, plugin="young")
    assert "Too little data" in "\n".join(text.value for text in young.text)
    assert len(specs(young)) == 1, "nothing is foreseen"
    gone = drawn(planned, monkeypatch, plugin="gone")
    assert "no plugin 'gone' has made a call" in linked.texts(gone)


def test_what_would_be_names_the_bottleneck_and_says_how_sure(
    planned: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = drawn(planned, monkeypatch, {"w_traffic": 3.0, "w_of": "stays", "w_hosts": 1})
    found = planned.api.get("capacity/what-if", since=RANGE, change=["traffic:stays=3.0", "hosts=+1"])
    answer = next(item for item in linked.elements(page, "notice") if item["title"].startswith("If "))
    first = found["bottleneck"]
    assert (
        f"{first['plugin_id']} {first['plugin_operation']}, {limit_amount(first)}, {words.percent(first['ratio'])}"
        in answer["text"]
    )
    assert {"high": "High", "medium": "Medium", "low": "Low"}[found["confidence"]] + " confidence" in answer["text"]
    assert all(reason[1:] in answer["text"] for reason in found["reasons"])
    assert [(row["Use now"], row["Use then"]) for row in linked.rows(page, "Limits before and after")] == [
        (words.percent(item["before"]["ratio"]), words.percent(item["after"]["ratio"])) for item in found["outcomes"]
    ]
    refused = drawn(planned, monkeypatch, {"w_hosts": -1000})
    assert any("hosts" in item["text"] for item in linked.elements(refused, "notice"))


def test_what_changes_nothing_is_not_asked_for() -> None:
    assert changes_of(1.0, 1.0, "csv", 0, "") == ()
    assert changes_of(1.5, 0.8, "a=b", -1, "geo:x") == ("traffic:a=b=1.5", "cost:a=b=0.8", "hosts=-1", "remove=geo:x")


def test_a_share_as_csv_is_exact_and_no_formula() -> None:
    text = as_csv(
        [{"name": "=1+1", "calls": 3, "cpu_seconds": None}, {"name": 'a,"b', "calls": -1, "cpu_seconds": 0.125}]
    )
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "calls", "cpu_seconds"], ["'=1+1", "3", ""], ['a,"b', "-1", "0.125"],
    ]  # fmt: skip


@pytest.mark.browser
def test_from_the_list_to_a_plugin_and_to_what_would_be_by_mouse(planned: Running) -> None:
    with served(planned.url) as pages, browsing() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=f"http://{pages.host}")
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"/capacity?refresh=off&range={RANGE}")
        page.wait_for_selector(READY, timeout=PATIENCE_MS)
        page.locator(".st-key-full tbody a", has_text="grows").click()
        expect(page.locator(".st-key-capacity_head .strong")).to_have_text("grows")
        page.locator(".st-key-resource").get_by_text("CPU cores", exact=True).click()
        page.wait_for_url("**resource=CPU**")
        page.reload()
        expect(page.get_by_role("heading", name="CPU cores, as foreseen")).to_be_visible()
        page.locator(".st-key-capacity_head a", has_text="without it").click()
        _answers(page, "remove=grows")
        page.get_by_label("Traffic ×", exact=True).fill("2.5")
        page.get_by_label("Traffic ×", exact=True).press("Enter")
        _answers(page, "If traffic=2.5, remove=grows")
        page.reload()
        _answers(page, "If traffic=2.5, remove=grows")
        asked = parse_qs(urlsplit(page.url).query)
        assert (asked["w_traffic"], asked["w_without"], asked["range"]) == (["2.5"], ["grows"], [RANGE])


def _answers(page: Page, text: str) -> None:
    expect(page.locator(".st-key-whatif_answer")).to_contain_text(text)
    expect(page.locator(".st-key-whatif_answer")).to_contain_text("Full first: ")
