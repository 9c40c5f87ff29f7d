"""What people do on the quarantine page: approve and decline suggestions, release, and see what still runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import streamlit as st
from playwright.sync_api import Page, TimeoutError, expect, sync_playwright
from plugwarden import Sidecar
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.api.client import Unreachable
from plugwarden_collector.decide.acts import Acted
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_dashboards import data
from plugwarden_dashboards.views import quarantine
from streamlit.testing.v1 import AppTest

from tests.collector.conftest import Running, running
from tests.collector.support.still_clock import StillClock
from tests.collector.support.suggested import suggested
from tests.collector.support.waiting import eventually

from . import linked
from .served import served
from .test_pages import draw

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SCOPE = Scope("csv", "2")


@pytest.fixture
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    st.cache_data.clear()  # answers are kept for a second
    # Its clock stands still: a suggestion that nothing speaks for ends by itself, and a browser may be slow to start.
    with running(tmp_path_factory.mktemp("page") / "data", clock=StillClock()) as found:
        yield found


@pytest.fixture
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector whose clock runs, after some calls of version 1 of csv."""
    st.cache_data.clear()
    with running(tmp_path_factory.mktemp("page") / "data") as found:
        sidecar = Sidecar(service="host", endpoint=found.http, export_interval_seconds=0.2)
        call = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="export")
        for _ in range(20):
            call()
        assert sidecar.close(timeout=20)
        found.collector.warden.tick()
        yield found


def asked(collector: Running, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dialog that isolates a plugin, open for as many turns as it takes: the runner knows no fragments."""

    def script() -> None:
        from plugwarden_dashboards.views import quarantine

        quarantine._quarantine_dialog()

    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", collector.url)
    page = AppTest.from_function(script, default_timeout=30).run()
    assert not page.exception, page.exception
    return page


def texts(page: AppTest) -> list[str]:
    return [item.value for item in page.text]


def test_a_suggestion_can_be_approved_or_declined_and_says_what_the_automation_may_not(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = suggested(collector, SCOPE, "it fails", prevented=["csv is protected"])
    page = draw("quarantine", collector.url, monkeypatch)
    assert {button.label for button in page.button} >= {"Approve…", "Decline…"}
    assert "Release…" not in {button.label for button in page.button}
    assert any("the automation may not isolate it: csv is protected" in text for text in texts(page))
    page.button(key=f"approve_{identity}").click().run()
    assert not page.exception
    assert page.text_area(key="approve_reason").value == ""


def test_it_says_which_version_calls_go_back_to_and_how_many_are_refused(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {"calls_per_minute": 400.0, "instances": 2, "tenants": 0}
    rest = {"calls_per_minute": 200.0, "instances": 1, "tenants": 1}
    whole = {"calls_per_minute": 600.0, "instances": 3, "tenants": 3}
    back = {"version": "1.9\n", **some}
    suggested(collector, SCOPE, "it fails", errors={}, impact={**whole, "previous": [back], "refused": rest})
    said = texts(draw("quarantine", collector.url, monkeypatch))
    assert "Before the trouble 600 calls a minute, in 3 processes, for 3 tenants" in said
    assert any(
        text.startswith("Answered by version 1.9") and text.endswith(": 400 calls a minute, in 2 processes")
        for text in said
    )
    assert "Refused or answered by a fallback: 200 calls a minute, in 1 process, for 1 tenant" in said


def test_what_waits_for_a_person_comes_first(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suggestion, and a probation that too few calls went through; a probation that goes on has its own place."""
    at = collector.collector.warden._clock()

    def probation(scope: Scope, evidence: dict[str, Any]) -> Quarantine:
        return Quarantine(
            new_id("q", scope, at), scope, QuarantineState.PROBATION, "it failed", AUTOMATION, Enforcement.ENFORCE, at, at,
            evidence=evidence,
        )  # fmt: skip

    stuck = probation(Scope("geo"), {"inconclusive": at.isoformat()})
    stale = probation(Scope("pdf"), {"inconclusive": "2026-01-01T00:00:00"})  # of a step before

    def act(now: Standing, at: datetime) -> Acted:
        fresh = now.copy()
        fresh.quarantines.update({item.id: item for item in (stuck, stale)})
        return fresh, Changes(at=at, quarantines=[stuck, stale])

    collector.collector.warden.act(act)
    asked_of = suggested(collector, SCOPE, "it fails")
    page = draw("quarantine", collector.url, monkeypatch)
    titles = [item.value for item in page.markdown]
    assert titles == ["#### Needs you · 2", "#### Quarantined · 0", "#### Probation · 1"]
    assert {row["id"] for row in collector.api.get("quarantine") if row["inconclusive"]} == {stuck.id}
    assert {button.key for button in page.button} >= {
        f"approve_{asked_of}",
        f"release_{stuck.id}",
        f"release_{stale.id}",
    }


def test_what_forbids_it_is_said_once_and_what_else_was_considered_in_lines(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"scope": "csv operation=x", "bad": 9, "total": 10, "nats": 12.5}
    reason = "it fails. Not quarantined: csv is protected."
    suggested(collector, SCOPE, reason, prevented=["csv is protected"], errors={}, alternatives=[other])
    page = draw("quarantine", collector.url, monkeypatch)
    assert sum("csv is protected" in text for text in texts(page)) == 1
    assert "What else was considered:\n• csv operation=x: 9 of 10 bad, explains 12.5 nats" in texts(page)
    assert not page.dataframe, "a table would be cut off in a card"


@pytest.mark.browser
def test_on_a_telephone_nothing_is_pushed_sideways_and_a_trace_of_the_evidence_opens(collector: Running) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    scope = Scope("a-plugin-with-a-long-name-of-many-words", "2.0.0-rc.1+build.20261128")
    other = {"scope": f"{scope} operation=export-of-all-that-there-is", "bad": 9, "total": 10, "nats": 12.5}
    trace = "ab" * 16
    identity = suggested(collector, scope, "it fails", errors={"OSError": 9}, alternatives=[other], traces=[trace])
    with served(collector.url) as dashboards, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 390, "height": 844})
            page.goto(f"http://{dashboards.host}/quarantine")
            card = page.locator(f".st-key-card_{identity}")
            card.get_by_text("Evidence at the decision").click(timeout=120_000)
            expect(card).to_contain_text("explains 12.5 nats", timeout=120_000)
            wide = page.evaluate("document.documentElement.scrollWidth")
            beyond = card.evaluate(
                "card => [...card.querySelectorAll('*')].filter(part => part.getBoundingClientRect().right > 390).length"
            )
            card.get_by_role("link", name="Trace abababab…").click()
            page.wait_for_url(f"**/trace?*trace_id={trace}*", timeout=120_000)
        finally:
            browser.close()
    assert wide <= 390
    assert beyond == 0, "and nothing is cut off"


def test_a_forecast_of_before_there_was_a_way_back_is_shown_as_it_was(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    suggested(collector, SCOPE, "it fails", errors={}, impact={"calls_per_minute": 600.0, "instances": 3, "tenants": 0})
    said = texts(draw("quarantine", collector.url, monkeypatch))
    assert "Before the trouble 600 calls a minute, in 3 processes" in said
    assert not any(text.startswith(("Answered", "Refused")) for text in said)


def test_what_was_approved_shows_its_traces_beside_the_suggestion_that_it_was(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = suggested(collector, SCOPE, "it fails", errors={"OSError": 9}, traces=["ab" * 16, "ab" * 16])
    held = collector.api.post(("quarantine", identity, "approve"), {"reason": "so it is"})
    page = draw("quarantine", collector.url, monkeypatch)
    assert linked.hrefs(page).count(f"/trace?trace_id={'ab' * 16}") == 1, (
        "of the card; the suggestion is over, and a row of a table"
    )
    assert "approved by local operator" in texts(page)
    (over,) = linked.rows(page, "Quarantines and suggestions that are over")
    assert f"approved by local operator; it became quarantine {held['id']}" in over["Why"]


def test_what_is_isolated_says_how_many_calls_still_run(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
    page = draw("quarantine", collector.url, monkeypatch)
    assert "no call is running" in texts(page)


@pytest.mark.parametrize(
    ("running", "text"),
    [
        ({"running": 1, "hosts": 2, "not_obeying": 0, "drained": False}, "1 call still running"),
        ({"running": 1, "hosts": 1, "not_obeying": 1, "drained": False},
         "1 call still running; 1 of 1 host process does not isolate it yet"),
        ({"running": 2, "hosts": 3, "not_obeying": 2, "drained": False},
         "2 calls still running; 2 of 3 host processes do not isolate it yet"),
        ({"running": 12, "hosts": 2, "not_obeying": 1, "drained": False},
         "12 calls still running; 1 of 2 host processes does not isolate it yet"),
        ({"running": None, "hosts": 2, "not_obeying": 0, "drained": False},
         "calls still running: hosts do not count them by tenant"),
        ({"running": 0, "hosts": 1, "not_obeying": 0, "drained": True}, "no call is running"),
    ],
)  # fmt: skip
def test_calls_that_still_run_are_told_in_words(running: dict[str, Any], text: str) -> None:
    assert quarantine._still(running) == text


def test_an_override_is_shown_until_it_expires(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    held = collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
    collector.api.post(f"quarantine/{held['id']}/release", {"reason": "enough", "override_seconds": 7200})
    over = collector.api.post("quarantine", {"force": True, "plugin": "geo", "reason": "by hand"})
    collector.api.post(f"quarantine/{over['id']}/release", {"reason": "enough", "override_seconds": 0})
    page = draw("quarantine", collector.url, monkeypatch)
    over = {row["What"]: row["Why"] for row in linked.rows(page, "Quarantines and suggestions that are over")}
    assert "released by local operator; the automation leaves it alone until" in over["csv"]
    assert "leaves it alone" not in over["geo"]


def test_the_forecast_is_in_the_form_before_the_button_can_act(busy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    page = asked(busy, monkeypatch)
    (button,) = [item for item in page.button if item.label == "Quarantine"]
    assert button.disabled, "of nothing that is named nothing is foreseen"
    page.selectbox(key="quarantine_plugin").set_value("csv").run()
    assert not page.exception, page.exception
    assert any(text.startswith("Refused or answered by a fallback while it is isolated: about") for text in texts(page))
    (button,) = [item for item in page.button if item.label == "Quarantine"]
    assert not button.disabled
    page.text_input(key="quarantine_version").set_value("11").run()
    assert any("nobody called it in the last 5 min" in text for text in texts(page))
    assert any("did you mean 1?" in item["text"] for item in linked.elements(page, "notice"))


def test_a_forecast_that_does_not_come_in_time_keeps_nobody_from_isolating(
    busy: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*of: object, **scope: object) -> None:
        raise Unreachable(busy.url, "it did not answer in time", slow=True)

    monkeypatch.setattr(data, "ask", late)
    page = asked(busy, monkeypatch)
    page.selectbox(key="quarantine_plugin").set_value("csv").run()
    assert any("it did not answer in time" in text for text in texts(page))
    page.text_area(key="quarantine_reason").set_value("by hand")
    (button,) = [item for item in page.button if item.label == "Quarantine"]
    assert not button.disabled
    button.click().run()
    assert [row["state"] for row in busy.api.get("quarantine")] == ["quarantined"]


def test_an_act_that_is_not_answered_in_time_is_not_said_to_have_failed(
    busy: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*of: object, **scope: object) -> None:
        raise Unreachable(busy.url, "it did not answer in time", slow=True)

    page = asked(busy, monkeypatch)
    page.selectbox(key="quarantine_plugin").set_value("csv").run()
    page.text_area(key="quarantine_reason").set_value("by hand")
    (button,) = [item for item in page.button if item.label == "Quarantine"]
    monkeypatch.setattr(data, "post", late)
    button.click().run()
    assert [item.value for item in page.error] == []
    assert any("may be done all the same" in item.value for item in page.warning)


def test_what_is_isolated_already_cannot_be_isolated_again(busy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    busy.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
    page = asked(busy, monkeypatch)
    page.selectbox(key="quarantine_plugin").set_value("csv").run()
    assert not page.exception, page.exception
    assert any("csv is quarantined already" in text for text in texts(page))
    (button,) = [item for item in page.button if item.label == "Quarantine"]
    assert button.disabled


def test_a_version_whose_forecast_nobody_saw_is_not_isolated(busy: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who types a version and presses the button has left the field with the same click."""
    page = asked(busy, monkeypatch)
    page.selectbox(key="quarantine_plugin").set_value("csv").run()
    assert not page.exception, page.exception
    page.text_area(key="quarantine_reason").set_value("by hand")
    page.text_input(key="quarantine_version").set_value("1")
    (button,) = [item for item in page.button if item.label == "Quarantine"]
    button.click().run()
    assert any("press again" in warning.value for warning in page.warning)
    assert busy.api.get("quarantine") == []
    (button,) = [item for item in page.button if item.label == "Quarantine"]
    button.click().run()
    assert [(row["plugin_id"], row["plugin_version"]) for row in busy.api.get("quarantine")] == [("csv", "1")]


@pytest.mark.browser
def test_in_a_browser_a_person_sees_what_it_costs_and_then_isolates(busy: Running) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with served(busy.url) as dashboards, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 1200})
            page.goto(f"http://{dashboards.host}/quarantine")
            page.get_by_role("button", name="Quarantine a plugin…").click(timeout=120_000)
            dialog = page.get_by_role("dialog")
            act = dialog.get_by_role("button", name="Quarantine", exact=True)
            expect(act).to_be_disabled(timeout=120_000)
            dialog.get_by_role("combobox").click()
            page.get_by_role("option", name="csv").click()
            expect(dialog.locator(".st-key-forecast")).to_contain_text("about", timeout=120_000)
            told = dialog.locator(".st-key-forecast").inner_text()
            assert busy.api.get("quarantine") == [], "it is shown before anything is done"
            dialog.get_by_label("Reason").fill("it leaks")
            expect(act).to_be_enabled(timeout=120_000)
            act.click()
            dialog.wait_for(state="hidden", timeout=120_000)
            (row,) = eventually(lambda: busy.api.get("quarantine"))
            card = page.locator(f".st-key-card_{row['id']}")
            card.get_by_text("Evidence at the decision").click(timeout=120_000)
            expect(card).to_contain_text("Foreseen: Refused or answered by a fallback", timeout=120_000)
        finally:
            browser.close()
    assert "Refused or answered by a fallback while it is isolated: about" in told
    assert "in 1 process" in told


@pytest.mark.browser
def test_in_a_browser_a_person_approves_declines_and_releases(collector: Running) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    approved = suggested(collector, SCOPE, "it fails")
    declined = suggested(collector, Scope("geo"), "it fails too")

    def row(identity: str) -> Any:
        return next(item for item in collector.api.get("quarantine") if item["id"] == identity)

    with served(collector.url) as dashboards, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 1200})
            page.goto(f"http://{dashboards.host}/quarantine")
            _do(page, declined, "Decline", "a known blip", "2 hours")
            found = eventually(lambda: row(declined)["ended_at"] and row(declined))
            assert found["evidence"]["declined"] is True
            _do(page, approved, "Approve", "so it is")
            held = eventually(
                lambda: [item for item in collector.api.get("quarantine") if item["state"] == "quarantined"]
            )[0]
            assert held["evidence"]["approved_by"]
            _do(page, held["id"], "Release", "a new build")
            eventually(lambda: row(held["id"])["ended_at"])
        finally:
            browser.close()
    reasons = [item["reason"] for item in collector.api.get("audit", stream="decisions")]
    assert reasons[:3] == ["a new build", "so it is", "a known blip"]


def _do(page: Page, card: str, act: str, reason: str, length: str | None = None) -> None:
    """Press a button of a card, say why, and send it."""
    page.locator(f".st-key-card_{card}").get_by_role("button", name=f"{act}…").click(timeout=120_000)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason, timeout=120_000)
    if length is not None:
        dialog.get_by_role("combobox").click()
        page.get_by_role("option", name=length).click()
    dialog.get_by_role("button", name=act, exact=True).click()
    try:
        dialog.wait_for(state="hidden", timeout=120_000)
    except TimeoutError as error:
        raise AssertionError(f"the dialog is still there: {dialog.inner_text()}") from error
