"""Decisions that changed no quarantine are told for as long as they hold: what would have been done, and that nothing will be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from plugwarden_collector.announce.said import FROZEN, Said, subjects_said
from plugwarden_collector.announce.subject import subjects_of
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.conftest import RULES, running
from tests.collector.support.moody_hook import MoodyHook
from tests.collector.support.played_fleet import AT, Fleet, rules_with
from tests.collector.support.waiting import eventually


@pytest.fixture
def hook() -> Iterator[MoodyHook]:
    found = MoodyHook()
    yield found
    found.stop()


def test_what_would_have_been_isolated_is_told_while_it_would_be() -> None:
    fleet = Fleet(rules_with(enforcement=Enforcement.OBSERVE), windows=True)
    fleet.has_past("csv", "1")
    fleet.has_past("csv", "2")

    def fails() -> None:
        fleet.arrive("csv", "1")
        fleet.arrive("csv", "2", 10, 10)

    assert fleet.play(20, fails, step=1) == ["would_quarantine"]
    said = {("would_quarantine", "csv@2"): Said(AT, "it fails", {"total": 10, "bad": 10})}
    (found,) = subjects_said(fleet.standing, said)
    assert found.labels == {
        "alertname": "would be quarantined", "severity": "ticket", "plugin": "csv", "version": "2",
    }  # fmt: skip
    assert (found.summary, found.sure) == ("csv@2 would be quarantined: it fails", "10 of 10 calls were bad")
    assert subjects_said(fleet.standing, {}) == [], "nothing is known of why"
    assert subjects_said(Standing(), said) == [], "it would not be any more"


@pytest.mark.parametrize(
    ("scope", "labels"),
    [("csv@2 operation=x", ("csv", "2")), ("csv operation=x", ("csv", None)), ("csv 2@1", ("csv 2", "1")), ("new@1", (None, None))],
)  # fmt: skip
def test_a_scope_in_words_is_labelled_by_names_that_are_known(
    scope: str, labels: tuple[str | None, str | None]
) -> None:
    standing = Standing(noted={(scope, "availability", "would_quarantine"): AT})
    standing.versions = {("csv", "2"): AT, ("csv 2", "1"): AT}
    (found,) = subjects_said(standing, {("would_quarantine", scope): Said(AT, "it fails")})
    assert (found.labels.get("plugin"), found.labels.get("version")) == labels


def test_a_frozen_automation_is_told_until_somebody_switches_it_on_over_a_restart(
    tmp_path: Path, hook: MoodyHook
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'{RULES}\n[[receiver]]\nname = "hook"\nurl = "{hook.url}"\n')
    with running(tmp_path / "data", rules) as first:
        first.api.post("automation", {"frozen": True, "reason": "release day"})
        eventually(lambda: first.scalar("select count(*) from tellings where told_at is not null"))
    with running(tmp_path / "data", rules) as second:
        second.api.post("automation", {"frozen": False, "reason": "it is over", "actor": "ann"})
        eventually(lambda: second.scalar("select count(*) from tellings") == 0)
    told = [(item.body["status"], item.body["alerts"][0]["annotations"]) for item in hook.taken]
    assert [status for status, _ in told] == ["firing", "resolved"]
    assert told[0][1]["summary"] == "The automation is switched off: release day"
    assert "The automation was switched on by local operator" in told[1][1]["description"]
    assert hook.taken[0].body["alerts"][0]["fingerprint"] == FROZEN


def test_a_silence_that_hides_only_what_was_said_is_told_before_its_end() -> None:
    switched_off = Standing(frozen="maintenance")
    silence = Silence("s-1", equal({"alertname": "automation frozen"}), AT, AT + timedelta(hours=1), "ann", "known")
    standing = replace(switched_off, silences=(silence,))
    told = subjects_said(standing, {(FROZEN, "automation"): Said(AT, "maintenance")})
    notice = subjects_of(standing, told)[-1]
    assert (notice.labels["alertname"], notice.labels["silence"]) == ("silence ends", "s-1")
    assert "The automation is switched off: maintenance" in notice.description
