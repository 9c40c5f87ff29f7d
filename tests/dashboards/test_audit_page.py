"""What people do on the audit page: open a decision, and make it again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from playwright.sync_api import expect, sync_playwright
from plugwarden_collector.cycle import replay as replaying
from plugwarden_dashboards.views import audit
from streamlit.testing.v1 import AppTest

from tests.collector.conftest import Running, running
from tests.collector.support.failing_plugin import failing_until, rules_for

from . import linked
from .served import served
from .test_pages import draw
from .test_quarantine_page import FLAGS

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, int]]:
    """A collector that isolated a plugin, after which a person isolated another; and the number of its decision."""
    folder = tmp_path_factory.mktemp("audit")
    with running(folder / "data", rules_for(folder, "enforce")) as found:
        sequence = failing_until(found, "quarantined")[0]["sequence"]
        found.api.post("quarantine", {"force": True, "plugin": "geo", "reason": "it leaks", "actor": "ann"})
        yield found, sequence


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> None:
    st.cache_data.clear()  # answers are kept for a second


def texts(page: AppTest) -> str:
    shown = "\n".join(item.value for kind in (page.text, page.markdown, page.info, page.error) for item in kind)
    return f"{shown}\n{linked.texts(page)}"


def test_a_decision_is_made_again_and_comes_out_the_same(
    decided: tuple[Running, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, sequence = decided
    page = draw("audit", collector.url, monkeypatch, decision=str(sequence))
    assert f"#{sequence} · " in texts(page)
    assert "are enough to act" in texts(page), "with what was known"
    page.button(key="audit_replay").click().run()
    assert not page.exception
    assert "The same result" in texts(page)
    page.run()
    assert "The same result" in texts(page), "it stays when the page draws itself again"


def test_where_something_else_comes_out_the_parts_that_differ_are_shown(
    decided: tuple[Running, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, sequence = decided
    monkeypatch.setattr(replaying, "COMPARED", ("kind", "scope", "enforcement", "quarantine_id"))
    original = replaying._different

    def different(entry: Any, again: Any) -> Any:
        yield replaying.Difference("reason", entry["reason"], "another <b>reason</b>")
        yield from original(entry, again)

    monkeypatch.setattr(replaying, "_different", different)
    page = draw("audit", collector.url, monkeypatch, decision=str(sequence))
    page.button(key="audit_replay").click().run()
    assert "A different result" in texts(page)
    (row,) = linked.rows(page, "Parts that differ")
    assert (row["Part"], row["This time"]) == ("reason", "another <b>reason</b>")


def test_what_a_person_decided_is_not_made_again_and_says_so(
    decided: tuple[Running, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, _ = decided
    sequence = collector.api.get("audit", stream="decisions")[0]["sequence"]
    page = draw("audit", collector.url, monkeypatch, decision=str(sequence))
    assert "Foreseen: It hits no call" in texts(page)
    page.button(key="audit_replay").click().run()
    assert "cannot be replayed" in texts(page)
    assert "what people decide is not made again" in texts(page)


@pytest.mark.parametrize("wanted", ["99999", "0", "x", "1" * 40])
def test_a_number_that_is_no_decisions_harms_nobody(
    decided: tuple[Running, int], monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    collector, _ = decided
    page = draw("audit", collector.url, monkeypatch, decision=wanted)
    assert not [button for button in page.button if button.key == "audit_replay"]


def test_a_decision_that_is_not_among_those_in_the_table_can_be_opened(
    decided: tuple[Running, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, sequence = decided
    monkeypatch.setattr(audit, "SHOWN", 1)
    page = draw("audit", collector.url, monkeypatch, decision=str(sequence))
    assert f"#{sequence} · " in texts(page)


@pytest.mark.browser
def test_in_a_browser_a_person_opens_a_decision_and_replays_it(decided: tuple[Running, int]) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    collector, sequence = decided
    with served(collector.url) as dashboards, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 390, "height": 844})
            page.goto(f"http://{dashboards.host}/audit?decision={sequence}")
            decision = page.locator(".st-key-decision")
            decision.get_by_role("button", name="Replay").click(timeout=60_000)
            expect(decision).to_contain_text("The same result", timeout=60_000)
            wide = page.evaluate("document.documentElement.scrollWidth")
            decision.get_by_role("link", name="Close").click()
            expect(decision).to_have_count(0, timeout=60_000)
        finally:
            browser.close()
    assert wide <= 390, "nothing has to be pushed sideways"
