"""Every page empty, with data, and with the collector gone; and text from telemetry stays text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from plugwarden import Sidecar
from plugwarden_collector.health import watch
from plugwarden_dashboards import frames, words
from streamlit.testing.v1 import AppTest

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.own_health import post
from tests.collector.support.still_clock import StillClock
from tests.collector.support.waiting import eventually

from . import linked

PAGES = ["fleet", "plugin", "budgets", "alerts", "quarantine", "audit", "traces", "trace", "capacity", "platform"]
ROOM = '[[slo]]\nname = "room"\nobjective = 0.99\nsli = "saturation"\nresource = "concurrency"\nthreshold = 0.8\n'
HOSTILE = "<b>[x](http://evil) :material/home: $a$ ![i](http://evil/i.png)\u202e"

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate


def script(name: str) -> None:
    """Run one page the way the shell does, without navigation: AppTest cannot switch to pages that are functions."""
    import importlib

    importlib.import_module(f"plugwarden_dashboards.views.{name}").page()


def draw(name: str, url: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", url)
    page = AppTest.from_function(script, args=(name,), default_timeout=30)
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, page.exception
    return page


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("dashboards")
    (folder / "rules.toml").write_text(RULES + ROOM)
    with running(folder / "data", folder / "rules.toml") as found:
        yield found


@pytest.fixture(scope="module")
def busy(collector: Running) -> Running:
    sidecar = Sidecar(service="host", endpoint=collector.http, export_interval_seconds=0.2, trace_ratio=1.0)

    def work(fail: bool) -> None:
        if fail:
            raise ValueError(HOSTILE)

    good = sidecar.wrap(work, plugin="csv", version="1", operation="export", fallback=lambda fail: None)
    bad = sidecar.wrap(work, plugin=HOSTILE[:40], version="<i>2</i>", breaker=False, fallback=lambda fail: None)
    calm = sidecar.wrap(lambda: None, plugin="calm", version="1", operation="rest")
    for number in range(40):
        calm()
        good(number % 20 == 0)
        bad(True)
    assert sidecar.close(timeout=20)
    collector.collector.warden.tick()
    collector.api.post("quarantine", {"force": True, "plugin": "csv", "version": "0", "reason": HOSTILE})
    return collector


@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_any_data_says_so(
    name: str, tmp_path: Path, collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(name, collector.url, monkeypatch)


def test_when_nothing_fires_it_is_said_in_plain_words(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No alert is firing." in linked.texts(draw("alerts", collector.url, monkeypatch))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_hostile_data_shows_it_as_text(name: str, busy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {}
    if name == "trace":
        query["trace_id"] = busy.scalar("select any_value(trace_id) from spans where outcome = 'error'")
    if name == "plugin":
        query["plugin"] = "csv"
    page = draw(name, busy.url, monkeypatch, **query)
    for kind in ("markdown", "metric", "info", "warning", "error", "caption", "subheader"):
        for element in page.get(kind):
            text = str(getattr(element, "value", "")) + str(getattr(element, "label", ""))
            assert "http://evil" not in text, f"{kind} would make a link of it"
            assert ":material/home:" not in text
            assert "<b>" not in text


@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_a_collector_does_not_break(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(name, "http://127.0.0.1:9", monkeypatch, trace_id="0" * 32)


def test_the_fleet_puts_what_needs_attention_first(busy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw("fleet", busy.url, monkeypatch)
    found = [row["State"] for row in linked.rows(page, "All plugins")]
    assert found[0] != "● healthy"
    assert found[-1] == "● healthy"
    assert linked.tiles(page).keys() >= {"Calls per second", "Success", "Slowest p99"}


def test_what_is_spent_comes_first_and_then_what_is_kept(busy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    eventually(lambda: busy.scalar("select count(*) from plugin_budgets") == 3)
    st.cache_data.clear()  # answers are kept for a second
    page = draw("budgets", busy.url, monkeypatch)
    rows = linked.rows(page, "Error budgets")
    assert len(rows) == 3
    states = [row["State"] for row in rows]
    assert states[0] == "■ spent"
    assert states[-1] == "● kept"
    assert linked.tiles(page)["Budgets"] == "3"
    (said,) = [text.value for text in page.text if "no limit known of" in text.value]
    assert said.startswith("room: no limit known of ")
    assert "csv" in said


def test_the_plugin_page_draws_its_charts(busy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = draw("plugin", busy.url, monkeypatch, plugin="csv")
    charts = page.get("vega_lite_chart")
    assert len(charts) == 4
    assert all(json.loads(chart.proto.spec) for chart in charts)
    assert all(chart.proto.alt for chart in charts)


def test_the_platform_page_says_in_words_whether_the_watcher_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY_SECONDS", 3600.0)
    clock = StillClock()

    def look(name: str) -> AppTest:
        st.cache_data.clear()  # answers are kept for a second
        return draw(name, found.url, monkeypatch)

    with running(tmp_path / "data", clock=clock) as found:
        page = look("platform")
        assert "nothing has been sent" in linked.elements(page, "notice")[0]["text"]
        for _ in range(4):
            assert post(found, HOSTILE) == 200
            found.collector.health.look()
            clock.move(10)
        page = look("platform")
        assert [item["tone"] for item in linked.elements(page, "notice")] == ["good"]
        assert {metric.label for metric in page.metric} >= {"Spans per second", "Ingest lag p99", "Queue", "Database"}
        charts = page.get("vega_lite_chart")
        assert len(charts) == 4
        assert all(json.loads(chart.proto.spec) and chart.proto.alt for chart in charts)
        clock.move(60)
        found.collector.health.look()
        page = look("platform")
        (verdict,) = linked.elements(page, "notice")
        assert (verdict["tone"], verdict["title"]) == ("bad", "■ In trouble")
        assert "No telemetry arrives" in verdict["text"]
        assert any(text.value.startswith("What to do: Check that hosts run") for text in page.text)
        (sender,) = linked.rows(page, "Processes that send")
        assert sender["State"] == "■ silent"
        assert "\u202e" not in sender["Instance"]
        assert not page.dataframe, "a canvas has no links and no keyboard"
        for element in page.markdown:
            assert "http://evil" not in element.value


@pytest.mark.parametrize(("number", "text"), [(None, "—"), (0, "0 B"), (1536, "1.5 KiB"), (3 * 2**40, "3 TiB")])
def test_bytes_take_the_unit_that_suits_them(number: float | None, text: str) -> None:
    assert words.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (0.0000005, "500 ns"),
        (0.0124, "12.4 ms"),
        (1.5, "1.5 s"),
        (90, "1.5 min"),
        (200_000, "2.31 d"),
    ],
)
def test_durations_take_the_unit_that_suits_them(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


def test_ratios_are_never_rounded_to_nothing() -> None:
    assert words.percent(0.00001) == "<0.01 %"
    assert words.percent(0.9995) == "99.95 %"
    assert words.percent(None) == "—"


def span(identity: str, parent: str | None, start: str, length: float) -> dict[str, Any]:
    return {
        "span_id": identity, "parent_span_id": parent, "started_at": f"2026-01-01T00:00:{start}Z", "duration_seconds": length,
        "name": identity, "plugin_id": "csv", "plugin_version": "1", "outcome": "success", "downstream": None, "status": "ok",
    }  # fmt: skip


def test_a_waterfall_shows_children_under_their_parents_and_orphans_at_the_top() -> None:
    spans = [
        span("b", "a", "02", 1),
        span("a", None, "01", 3),
        span("c", "a", "01.5", 0.1),
        span("orphan", "gone", "00", 9),
    ]
    frame = frames.tree(spans)
    assert frame["label"].tolist() == ["orphan", "a", "c", "b"]
    assert frame["start_ms"].tolist() == [0, 1000, 1500, 2000]
    assert frame["row"].tolist() == [0, 1, 2, 3]


def test_a_deep_trace_does_not_exhaust_the_stack() -> None:
    spans = [span(str(number), str(number - 1) if number else None, "00", 1) for number in range(5_000)]
    assert len(frames.tree(spans)) == 2_000


def test_the_decision_log_tells_who_acted_from_whom_they_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "data") as found:
        found.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "it leaks", "actor": "ann"})
        found.scalar("select 1 as one")
        st.cache_data.clear()  # answers are kept for a second
        page = draw("audit", found.url, monkeypatch)
    (row,) = linked.rows(page, "Decisions")
    assert (row["By"], row["Says to be"], row["Why"]) == ("local operator", "ann", "it leaks")
    assert sorted(row["What"] for row in linked.rows(page, "Access log")) == ["sql_read", "started"]
    assert "unbroken hash chain" in "".join(text.value for text in page.text)
