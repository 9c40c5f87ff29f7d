"""The fleet's page: one card a cause, one number a thing, and a map where there are too many plugins for a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import streamlit as st
from plugwarden import Sidecar
from plugwarden_dashboards import causes
from plugwarden_dashboards.views import fleet

from tests.collector.conftest import Running, running
from tests.collector.support.failing_plugin import failing_until, rules_for
from tests.collector.support.waiting import eventually

from . import linked
from .test_pages import draw

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector that isolated version 2 of csv by itself, beside a hundred plugins that are well."""
    folder = tmp_path_factory.mktemp("fleet")
    with running(folder / "data", rules_for(folder, "enforce")) as found:
        sidecar = Sidecar(service="host", endpoint=found.http, export_interval_seconds=0.2)
        for number in range(fleet.MANY):
            sidecar.wrap(lambda: None, plugin=f"p{number}", version="1", operation="x")()
        assert sidecar.close(timeout=30)
        failing_until(found, "quarantined")
        eventually(lambda: found.api.get("status")["firing"])
        yield found


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> None:
    st.cache_data.clear()  # answers are kept for a second


def test_a_cause_has_one_card_with_why_since_when_what_was_done_and_where_to_go(
    troubled: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = draw("fleet", troubled.url, monkeypatch)
    (found,) = linked.elements(page, "cards")
    (card,) = found["cards"]
    head = list(linked.strings(card["head"]))
    assert "⊘ quarantined" in head
    assert "csv@2" in head
    assert any(text.startswith("began ") for text in head)
    assert "KeyError" in card["lines"][0]
    assert card["lines"][1].startswith("Isolated by automation; probation begins ")
    paths = [href.partition("?")[0] for href in linked.strings(card["links"], keys=("href",))]
    assert {*paths} >= {"/quarantine", "/trace", "/alerts"}


def test_the_page_and_the_header_tell_one_number(troubled: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    push = [{"labels": {"alertname": "Slow", "plugin": "p1"}}]
    assert httpx2.post(f"{troubled.url}/api/v2/alerts", json=push).status_code == 200
    eventually(lambda: any(row["name"] == "Slow" for row in troubled.api.get("alerts")["alerts"]))
    tiles = linked.tiles(draw("fleet", troubled.url, monkeypatch))
    status = troubled.api.get("status")
    assert tiles["Alerts firing"] == str(status["firing"])
    assert tiles["Scopes in quarantine"] == str(status["quarantined"]) == "1"
    assert tiles["Plugins"] == str(fleet.MANY + 1)
    assert linked.tiles(draw("alerts", troubled.url, monkeypatch))["Firing"] == str(status["firing"])


def test_above_a_hundred_plugins_there_is_a_map_whose_squares_are_links(
    troubled: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = linked.elements(draw("fleet", troubled.url, monkeypatch), "table")
    assert (found["squares"], len(found["rows"])) == (True, fleet.MANY + 1)
    name, state, *_ = found["rows"][0]
    assert (name["text"], name["href"], state["text"], state["tone"]) == (
        "csv", "/plugin?plugin=csv", "⊘ quarantined", "held",
    )  # fmt: skip


def test_what_was_decided_stands_on_a_line_of_time(troubled: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = linked.elements(draw("fleet", troubled.url, monkeypatch), "ribbon")
    assert any("quarantined csv@2" in event["text"] for event in found["events"])
    assert all(0 <= event["at"] <= 1 for event in found["events"])


def alert(mark: str, plugin: str | None, severity: str = "page", **others: Any) -> dict[str, Any]:
    return {
        "fingerprint": mark, "name": "burn", "severity": severity, "state": "firing", "plugin_id": plugin, "plugin_version": None,
        "labels": {}, "detail": {},
        "summary": f"{plugin} fails", "firing_at": None, "inhibited_by": None, "silenced_by": None, "acknowledged_by": None, **others,
    }  # fmt: skip


def test_alerts_of_a_plugin_share_a_card_and_what_something_speaks_for_has_none_of_its_own() -> None:
    incident = {
        "id": "i-1", "cause": "downstream:db", "summary": "db is down", "plugins": ["a", "b"], "started_at": None, "ended_at": None,
        "acknowledged_by": "ann",
    }  # fmt: skip
    alerts = [
        alert("1", "a", inhibited_by="i-1"), alert("2", "c", "ticket"), alert("3", "c"), alert("4", None),
        alert("5", "d", acknowledged_by="bob"), alert("6", "e", state="pending"),
    ]  # fmt: skip
    found = causes.cards(alerts, [incident, {**incident, "ended_at": "2026-01-01T00:00:00Z"}], [])
    assert [card.lines[0] for card in found] == ["db is down", "c fails", "None fails", "d fails"]
    assert "ann knows of it." in found[0].lines
    assert [link.text for link in found[1].links][:2] == ["Alert: burn (page)", "Alert: burn (ticket)"]
    assert found[3].lines[1] == "bob knows of it."


def test_an_upstream_has_a_card_though_no_plugin_is_to_blame() -> None:
    on_db = {"labels": {"upstream": "db", "owner": "storage"}, "detail": {"plugins": {"a": {}, "b": {}}}}
    alerts = [alert("1", None, **on_db), alert("2", None, "ticket", **on_db), alert("3", "a", inhibited_by="1")]
    (card,) = causes.cards(alerts, [], [])
    assert card.tone == "bad"
    assert ("db", "/alerts?alert=1") in {(cell.text, cell.href) for cell in card.head}
    assert "Nothing is isolated for it: storage answers for it." in card.lines
    assert [cell.text for cell in card.links] == ["a", "b", "Alert: burn (page)", "Alert: burn (ticket)"]
    spent = alert("4", None, "ticket", name="spent", **on_db)
    (lesser,) = causes.cards([alerts[1], spent], [], [])
    assert lesser.tone == "warn"
    assert [cell.text for cell in lesser.links][2:] == ["Alert: burn (ticket)", "Alert: spent (ticket)"]
    incident = {
        "id": "i",
        "cause": "everything:",
        "plugins": ["a"],
        "ended_at": None,
        "started_at": None,
        "summary": "",
        "acknowledged_by": None,
    }
    ranked = causes.cards([alert("6", None, labels={"upstream": "mq"}), spent], [incident], [])
    assert [card.tone for card in ranked] == ["bad", "bad", "warn"], "what can wait crowds out nothing that cannot"
    (whole,) = causes.cards([*alerts, spent, alert("5", None, **on_db)], [], [])
    assert [cell.href for cell in whole.links][2:] == [f"/alerts?alert={mark}" for mark in ("1", "5", "2")]


def test_an_alert_on_an_upstream_has_a_card_where_no_plugin_made_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path / "data") as found:
        push = [{"labels": {"alertname": "Down", "upstream": "db", "severity": "page"}}]
        assert httpx2.post(f"{found.url}/api/v2/alerts", json=push).status_code == 200
        eventually(lambda: found.api.get("status")["firing"])
        (drawn,) = linked.elements(draw("fleet", found.url, monkeypatch), "cards")
    assert "db" in {*linked.strings(drawn["cards"][0]["head"])}
