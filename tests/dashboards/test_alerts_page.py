"""What people do on the page of alerts: silence one from its row, see that end, acknowledge, read the runbook, see who was told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import streamlit as st
from playwright.sync_api import Browser, Page, expect
from plugwarden_dashboards import silence, told

from tests.collector.conftest import Running, running
from tests.collector.support.failing_plugin import fail, rules_for
from tests.collector.support.waiting import eventually

from . import linked
from .browser import PATIENCE_MS, READY, browsing
from .served import Served, served
from .test_pages import draw

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate

RECEIVER = """
[[receiver]]
name = "oncall"
kind = "webhook"
url = "http://127.0.0.1:9/nobody"

[[receiver]]
name = "grouped"
kind = "webhook"
url = "http://127.0.0.1:9/nobody"
group_by = ["plugin"]
group_wait = "1h"
"""


@pytest.fixture(scope="module")
def alerting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector in which an alert fires that a receiver cannot be told of, and nothing is isolated."""
    folder = tmp_path_factory.mktemp("alerts")
    rules = rules_for(folder, "observe")
    rules.write_text(rules.read_text("utf-8") + RECEIVER)
    with running(folder / "data", rules) as found:

        def fires() -> bool:
            fail(found)
            return bool(found.api.get("status")["firing"])

        eventually(fires, timeout=60)
        eventually(lambda: found.api.get("notifications")["attempts"], timeout=30)
        yield found


@pytest.fixture(scope="module")
def pages(alerting: Running) -> Iterator[Served]:
    with served(alerting.url) as found:
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


def page_alert(collector: Running) -> str:
    """Return the fingerprint of the alert that wakes somebody."""
    return next(str(row["fingerprint"]) for row in collector.api.get("alerts")["alerts"] if row["severity"] == "page")


@pytest.mark.browser
def test_an_alert_is_silenced_from_its_row_and_the_silence_ended(alerting: Running, page: Page) -> None:
    page.goto("/alerts?refresh=2s")
    page.wait_for_selector(READY)
    row = page.locator(
        ".st-key-alerts tbody tr", has_text="page"
    ).first  # while a page is drawn anew, the old one stays
    row.get_by_role("link", name="Silence").click()
    panel = page.locator(".st-key-alert").first
    expect(panel.locator(".st-key-hides")).to_contain_text("csv")
    assert alerting.api.get("silences") == [], "what it would silence is shown before anything is done"
    panel.get_by_label("Reason").fill("we know of it")
    panel.get_by_role("button", name="Silence", exact=True).click()
    expect(page.locator(".st-key-done").first).to_contain_text("ends by itself after 2 hours")
    (made,) = eventually(lambda: alerting.api.get("silences"))
    assert made["comment"] == "we know of it"
    assert 'plugin="csv"' in made["matchers"]
    expect(row).to_contain_text("silenced")
    page.locator(".st-key-silences").first.get_by_role("link", name="End…").click()
    ending = page.locator(".st-key-silence").first
    ending.get_by_label("Reason").fill("it is mended")
    ending.get_by_role("button", name="End it now").click()
    expect(page.locator(".st-key-silences").first).to_contain_text("over")
    assert eventually(lambda: not alerting.api.get("silences"))
    expect(row).not_to_contain_text("silenced")


@pytest.mark.browser
def test_an_alert_is_acknowledged(alerting: Running, page: Page) -> None:
    page.goto(f"/alerts?alert={page_alert(alerting)}&act=acknowledge&refresh=2s")
    panel = page.locator(".st-key-alert").first
    panel.get_by_label("What you are doing about it").fill("rolling back")
    panel.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.locator(".st-key-done").first).to_contain_text("Acknowledged")
    expect(page.locator(".st-key-alert_head").first).to_contain_text("knows of it until")
    assert [item["reason"] for item in alerting.api.get("acknowledgements")] == ["rolling back"]


def test_an_alert_says_who_was_told_and_what_to_do(alerting: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = page_alert(alerting)

    def failed() -> bool:
        attempts = alerting.api.get("notifications")["attempts"]
        return any(item["status"] == "failed" and mark in item["fingerprint"].split() for item in attempts)

    eventually(failed, timeout=60)
    st.cache_data.clear()  # answers are kept for a second
    page = draw("alerts", alerting.url, monkeypatch, alert=mark, act="runbook")
    rows = linked.rows(page, "Notifications")
    assert ("oncall", "■ failed") in {(row["Receiver"], row["Result"]) for row in rows}
    (waits,) = [row for row in rows if row["Receiver"] == "grouped"]
    assert waits["Result"] == "◐ owed"
    assert "it waits for its group" in waits["What went wrong"]
    assert "Nobody has taken it yet: owed to " in linked.texts(page)
    assert any("csv" in block.value for block in page.get("code")), "the runbook, with its names filled in"
    assert f"/alerts?alert={mark}&act=silence" in linked.hrefs(page)


def test_an_alert_that_a_silence_covers_says_so_and_leads_there(
    alerting: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was told, for there is a silence, and not because no receiver asks for it."""
    body = {"matchers": {"alertname": "Slow"}, "seconds": 600, "comment": "known", "actor": "ann"}
    made = alerting.api.post("silences", body)
    push = [{"labels": {"alertname": "Slow", "plugin": "p1", "severity": "page"}}]
    assert httpx2.post(f"{alerting.url}/api/v2/alerts", json=push).status_code == 200

    def pushed() -> str | None:
        rows = alerting.api.get("alerts")["alerts"]
        return next(
            (str(row["fingerprint"]) for row in rows if row["name"] == "Slow" and row["state"] == "firing"), None
        )

    mark = eventually(pushed)
    st.cache_data.clear()
    page = draw("alerts", alerting.url, monkeypatch, alert=mark)
    (line,) = [item for item in linked.elements(page, "line") if "told" in str(item["cells"][0])]
    assert list(linked.strings(line["cells"], keys=("text",))) == [
        "Nobody was told of it.", f"Silence {made['id']} covers it: nobody is told of it until that ends.",
    ]  # fmt: skip
    assert line["cells"][1]["href"] == f"/alerts?silence={made['id']}"
    alerting.api.post(("silences", made["id"], "end"), {"reason": "over", "actor": "ann"})


def stands(**others: Any) -> dict[str, Any]:
    return {
        "state": "firing", "silenced_by": None, "inhibited_by": None, "acknowledged_by": None, "acknowledged_until": None, **others,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (stands(state="pending"), "told when it fires"), (stands(state="inactive"), "It is over"),
        (stands(silenced_by="s-1"), "Silence s-1 covers it"), (stands(inhibited_by="i-1"), "i-1 speaks for it"),
        (stands(acknowledged_by="ann"), "ann knows of it"), (stands(), "No receiver in the rules asks for"),
    ],
)  # fmt: skip
def test_why_nobody_was_told_is_what_the_standing_says(row: dict[str, Any], said: str) -> None:
    (found,) = told.why(row, [], [])
    assert said in found.text


def test_who_took_an_alert_and_who_is_owed_it_is_what_the_log_says() -> None:
    sent, failed, owed = (
        {"receiver": "mail", "status": "sent"}, {"receiver": "chat", "status": "failed"}, {"receiver": "chat"},
    )  # fmt: skip
    assert told.told([owed], [failed, sent, sent]) == "Taken by mail; owed to chat."
    assert told.told([owed], [failed]) == "Nobody has taken it yet: owed to chat."
    assert told.told([], [failed]) == "Nobody took it: no attempt went well."
    assert told.why(stands(), [owed], []) == [], "that it is owed is all"


def test_a_silence_needs_a_label_and_a_reason(alerting: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_data.clear()
    mark = page_alert(alerting)
    page = draw("alerts", alerting.url, monkeypatch, alert=mark, act="silence")
    assert page.multiselect(key=f"silence_labels_{mark}").value == ["alertname", "plugin", "version"]
    assert page.selectbox(key=f"silence_for_{mark}").value in silence.LENGTHS, "there is none without an end"
    before = alerting.api.get("silences")
    next(button for button in page.button if button.label == "Silence").click().run()
    assert "reason is required" in page.error[0].value
    assert alerting.api.get("silences") == before
    page.multiselect(key=f"silence_labels_{mark}").set_value([]).run()
    assert "at least one label" in page.warning[0].value
