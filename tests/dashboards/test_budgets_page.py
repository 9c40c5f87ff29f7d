"""Error budgets: a list, and one budget with how it was spent; each number is what SQL says of the same calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect
from plugwarden_dashboards import words
from streamlit.testing.v1 import AppTest

from tests.collector.budgets.history import History
from tests.collector.budgets.oracle import Call, Excluded, Promise
from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.still_clock import StillClock

from . import linked
from .browser import PATIENCE_MS, READY, browsing, tab_to
from .served import served
from .test_pages import draw

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PROMISES = [
    Promise("works", "0.95", days=30),
    Promise("reads", "0.99", days=7, operations=("read",), versions=("2*",)),
    Promise("minutes", "0.95", days=7, slice_minutes=1, slice_target="0.9", empty="good"),
    Promise("fast", "0.95", unit="month", zone="Europe/Berlin", threshold_seconds=0.25, plugins="geo"),
]


def told(at: datetime) -> Iterator[Call]:
    """csv burns since an hour, geo has spent all of it days ago, and calm does well."""
    failed = {"outcome": "error", "source": "plugin"}
    for number in range(100):
        operation = "read" if number % 4 else "write"
        yield Call(at - 4 * DAY, "csv", "1", operation=operation)
        yield Call(at - 5 * DAY, "csv", "1", operation=operation)
        yield Call(at - 3 * DAY, "geo", "1", **(failed if number < 5 else {}))
        yield Call(at - 2 * MINUTE, "csv", "2.0", operation=operation, **(failed if number < 8 else {}))
        yield Call(at - 30 * MINUTE, "calm", "1")


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    clock = StillClock()
    history = History(tmp_path_factory.mktemp("budgets"), PROMISES, clock)
    with history.collector() as found:
        history.tell(found, told(clock.at))
        day = (clock.at - 6 * DAY).replace(second=0, microsecond=0)
        history.exclude(found, Excluded(day, day + DAY + HOUR, plugins="csv", objectives="works"))
        history.check(found)
        yield found


def rows_of(collector: Running, sql: str) -> list[dict[str, Any]]:
    answer = plugwarden("query", sql, "--json", url=collector.url)
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    return [dict(zip(said["columns"], row, strict=True)) for row in said["rows"]] if isinstance(said, dict) else said


def specs(page: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in page.get("vega_lite_chart")]


def test_the_list_puts_what_is_spent_first_and_links_every_row(spent: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw("budgets", spent.url, monkeypatch)
    rows = linked.rows(page, "Error budgets")
    of = {(row["Objective"], row["Plugin"]): row for row in rows}
    assert of["works", "geo"]["State"] == "■ spent", "what is zero is not well"
    assert of["works", "geo"]["Bad calls left"].startswith("none of")
    assert of["works", "csv"]["State"] == "▲ burning"
    assert of["works", "calm"]["State"] == "● kept"
    assert of["works", "calm"]["Gone in"] == "not at this pace"
    assert of["fast", "geo"]["Over"].endswith("UTC"), "when it begins anew"
    order = [row["State"] for row in rows]
    assert order == sorted(order, key=["■ spent", "▲ burning", "○ unsure: few calls", "● kept", "○ no calls"].index)
    assert linked.tiles(page)["Spent"] == str(sum(state == "■ spent" for state in order))
    paths = [urlsplit(href) for href in linked.hrefs(page)]
    asked = [parse_qs(path.query) for path in paths if path.path == "/budgets"]
    assert {"slo": ["works"], "plugin": ["csv"]} in asked
    assert any(path.path == "/alerts" and "alert=" in path.query for path in paths)
    assert [row["Why"] for row in linked.rows(page, "What is left out")] == ["planned maintenance"]


def test_each_number_of_a_budget_is_what_sql_says_of_its_calls(spent: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw("budgets", spent.url, monkeypatch, slo="works", plugin="csv", target="80")
    since = "(select starts_at + interval 25 hour from corrections)"  # before which all is left out
    calls = f"from plugin_calls where plugin_id = 'csv' and bucket_start >= {since}"
    bad = "outcome = 'error' and error_source = 'plugin'"
    (whole,) = rows_of(spent, f"select sum(calls)::bigint as total, sum(calls) filter ({bad})::bigint as bad {calls}")
    total, wrong = whole["total"], whole["bad"]
    assert (total, wrong) == (200, 8), "five days ago is left out"
    (hour,) = rows_of(
        spent,
        f"select (sum(calls) filter ({bad}) / sum(calls))::double as ratio {calls} "
        f"and bucket_start > (select max(bucket_start) {calls}) - interval 1 hour",
    )
    tiles = linked.tiles(page)
    assert tiles["Budget left"] == words.budget(1 - wrong / (total * 0.05))
    assert tiles["Measured"] == words.percent(1 - wrong / total)
    assert tiles["Burn rate now"] == words.times(hour["ratio"] / 0.05)
    text = linked.texts(page)
    assert f"{wrong} bad of {total}" in text
    assert f"At 80 % instead of 95 %: {words.budget(1 - wrong / (total * 0.2))} of the budget left" in text
    by = rows_of(
        spent,
        f"select plugin_version, plugin_operation, error_type, sum(calls)::bigint as bad {calls} and {bad} "
        "group by all order by bad desc",
    )
    assert [
        (row["Version"], row["Operation"], row["Error"], row["Bad"]) for row in linked.rows(page, "Who spent it")
    ] == [(row["plugin_version"], row["plugin_operation"], row["error_type"], str(row["bad"])) for row in by]
    assert [row["State"] for row in linked.rows(page, "Tiers")] == [
        "● within" if float(row["Limit"][:-1]) > 1.6 else "▲ too fast" for row in linked.rows(page, "Tiers")
    ]


def test_charts_of_a_budget_are_of_the_asked_range_with_limits_by_name(
    spent: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = draw("budgets", spent.url, monkeypatch, slo="works", plugin="csv")
    down, rates = specs(page)
    assert all(chart.proto.alt for chart in page.get("vega_lite_chart"))
    y = next(layer["encoding"]["y"] for layer in rates["layer"] if layer["mark"]["type"] == "line")
    assert y["scale"]["type"] == "log"
    ticks = y["axis"]["values"]
    assert "".join(f"{tick:.0e}"[0] for tick in ticks) in "1313131313", "1-3-10"
    low, high = y["scale"]["domain"]
    assert low < 1, "the pace that spends all of it is in sight"
    assert high > 14.4, "each limit is in sight"
    x = next(layer["encoding"]["x"] for layer in rates["layer"] if layer["mark"]["type"] == "line")
    begins, ends = map(datetime.fromisoformat, x["scale"]["domain"])
    assert ends - begins == 15 * MINUTE
    assert {layer["mark"]["type"] for layer in down["layer"]} >= {"rect", "area", "line", "rule"}


def test_what_is_promised_is_said_in_plain_words_and_what_is_missing_is_no_zero(
    spent: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = draw("budgets", spent.url, monkeypatch, slo="reads", plugin="csv", version="2.0")
    assert "99 % of calls of operation read of version 2* (no others count) do not fail" in linked.texts(reads)
    assert "the budget over all versions" in linked.texts(reads)
    minutes = draw("budgets", spent.url, monkeypatch, slo="minutes", plugin="csv")
    assert "A slice is good where at least 90 % of calls do not fail" in linked.texts(minutes)
    assert "Bad slices left" in linked.tiles(minutes)
    nothing = draw("budgets", spent.url, monkeypatch, slo="works", plugin="csv", version="9")
    tiles = linked.tiles(nothing)
    assert {tiles[name] for name in ("Budget left", "Bad calls left", "Measured", "Burn rate now", "Gone in")} == {"—"}
    assert "○ no calls" in linked.texts(nothing)
    assert specs(nothing) == [], "a line at nothing would say that it did well"
    gone = draw("budgets", spent.url, monkeypatch, slo="none", plugin="csv")
    assert "the rules have no objective 'none'" in linked.texts(gone)


@pytest.mark.browser
def test_from_the_list_to_a_budget_and_its_alert_by_mouse_and_by_keyboard(spent: Running) -> None:
    with served(spent.url) as pages, browsing() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=f"http://{pages.host}")
        page.set_default_timeout(PATIENCE_MS)
        for way in ("mouse", "keyboard"):
            page.goto("/budgets?refresh=off&range=1h&budgets_find=csv&budgets_sort=-Burn+rate")
            page.wait_for_selector(READY, timeout=PATIENCE_MS)
            follow(page, page.locator(".st-key-budgets tr", has_text="burning").locator("th a"), way)
            same_budget(page)
            page.reload()
            same_budget(page)
            assert parse_qs(urlsplit(page.url).query)["range"] == ["1h"]
            follow(page, page.locator(".st-key-budget_head a", has_text="ticket"), way)
            expect(page.locator(".st-key-alert_head")).to_contain_text("works")
            follow(page, page.locator(".st-key-alert_ways a", has_text="Error budget"), way)
            same_budget(page)


def same_budget(page: Page) -> None:
    expect(page.locator(".st-key-budget_head")).to_contain_text("burning")
    expect(page.locator(".st-key-budget_head .strong").first).to_have_text("works")


def follow(page: Page, link: Any, way: str) -> None:
    link.first.wait_for()
    if way == "mouse":
        link.first.click()
    else:
        tab_to(page, link.first.inner_text())
        page.keyboard.press("Enter")
