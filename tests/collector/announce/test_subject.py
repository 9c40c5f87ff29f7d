"""What there is to tell people: alerts that fire, quarantines and suggestions, incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.announce.evidence import first_trace, sureness, worst_error
from plugwarden_collector.announce.subject import subjects_of
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.decide.acts import approve
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.support.played_fleet import AT, Fleet, rules_with


def names(standing: Standing) -> set[tuple[str, str]]:
    return {(item.labels["alertname"], item.severity) for item in subjects_of(standing) if item.speaker is None}


def second_fails(fleet: Fleet) -> None:
    fleet.arrive("csv", "1")
    fleet.arrive("csv", "2", 10, 10)


def judged(how: Enforcement, **policy: Any) -> Fleet:
    """A fleet in which one version failed for a minute."""
    fleet = Fleet(rules_with(enforcement=how, **policy), windows=True)
    fleet.has_past("csv", "1")
    fleet.has_past("csv", "2")
    return fleet


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Enforcement.OBSERVE, "availability budget burn"),
        (Enforcement.SUGGEST, "quarantine suggested"),
        (Enforcement.ENFORCE, "plugin quarantined"),
    ],
)
def test_a_failing_plugin_pages_whatever_the_policy(how: Enforcement, said: str) -> None:
    fleet = judged(how)
    fleet.play(20, lambda: second_fails(fleet), step=1)
    assert (said, "page") in names(fleet.standing)
    page = next(
        item for item in subjects_of(fleet.standing) if item.severity == "page" and item.labels["alertname"] == said
    )
    assert (page.labels["plugin"], page.labels["version"]) == ("csv", "2")


@pytest.mark.parametrize(("frozen", "protected"), [("release day", ()), (None, ("csv",))])
def test_a_failing_plugin_pages_where_the_automation_may_not_act(
    frozen: str | None, protected: tuple[str, ...]
) -> None:
    fleet = judged(Enforcement.ENFORCE, protected=protected)
    fleet.standing.frozen = frozen
    assert fleet.play(20, lambda: second_fails(fleet), step=1) == ["prevented"]
    active = {item.key for item in subjects_of(fleet.standing)}
    pages = [item for item in subjects_of(fleet.standing) if item.severity == "page" and item.speaker not in active]
    assert [item.labels["alertname"] for item in pages] == ["quarantine prevented"]


OUTAGE = [f"p{number}" for number in range(4)]


def outage(fleet: Fleet, failing: Sequence[str]) -> None:
    for name in OUTAGE:
        fleet.arrive(name, "1", 10, 10 if name in failing else 0, error="ConnectionError")


@pytest.fixture
def hurt() -> Fleet:
    """A fleet of which half failed for a minute, from one moment on."""
    fleet = Fleet(running=8, windows=True)
    for name in OUTAGE:
        fleet.has_past(name)
    fleet.play(30, lambda: outage(fleet, OUTAGE), step=1)
    return fleet


def test_a_shared_cause_is_one_page(hurt: Fleet) -> None:
    assert names(hurt.standing) == {("shared cause", "page")}


def test_a_plugin_that_fails_on_when_the_others_are_well_is_told_by_itself(hurt: Fleet) -> None:
    hurt.play(90, lambda: outage(hurt, ["p0"]), step=1)
    told = [item for item in subjects_of(hurt.standing) if item.severity == "page" and not item.speaker]
    assert {item.labels["plugin"] for item in told if "plugin" in item.labels} == {"p0"}


def test_a_quarantine_that_does_not_help_speaks_for_nothing() -> None:
    """The scope is too narrow: another operation fails on."""
    fleet = judged(Enforcement.ENFORCE)
    fleet.play(6, lambda: second_fails(fleet), step=1)
    assert fleet.told == {Scope("csv", "2")}
    fleet.standing.quarantines = {
        key: replace(item, scope=Scope("csv", "2", operation="y")) for key, item in fleet.standing.quarantines.items()
    }
    (narrow,) = fleet.standing.quarantines
    fleet.standing.frozen = "nothing more is isolated"
    for second in range(0, 80, 2):
        fleet.play(2, lambda: second_fails(fleet), step=2)
        speakers = {item.inhibited_by for item in fleet.standing.alerts.values() if item.severity == "page"}
        assert narrow not in speakers or second < 40, f"after {second} s"
    assert ("quarantine prevented", "page") in names(fleet.standing), "what fails on is told by what it waits for"


def quarantine(**more: Any) -> Quarantine:
    item = Quarantine(
        "q-1", Scope("csv", "2"), QuarantineState.QUARANTINED, "it fails", "automation", Enforcement.ENFORCE, AT, AT
    )
    return replace(item, **more)


def summaries(item: Quarantine) -> list[str]:
    return [found.summary for found in subjects_of(Standing(quarantines={item.id: item}))]


def test_each_turn_of_a_quarantine_that_people_must_know_of_says_something_new() -> None:
    first = summaries(quarantine())
    again = summaries(quarantine(repeats=1))
    stuck = summaries(
        quarantine(state=QuarantineState.PROBATION, evidence={"inconclusive": AT.isoformat()}, successor_of="q-0")
    )
    assert first == ["csv@2 is quarantined by automation: it fails"]
    assert again == ["csv@2 is quarantined by automation again, 2 times by now: it fails"]
    assert stuck[0].startswith("A person must decide on csv@2")
    assert summaries(quarantine(state=QuarantineState.PROBATION)) == first, "probation by itself is no news"
    assert summaries(quarantine(ended_at=AT)) == []
    assert summaries(quarantine(superseded_by="3")) == []
    assert summaries(quarantine(state=QuarantineState.PROBATION, successor_of="q-0")) == []


def told(item: Quarantine) -> tuple[str, str, str]:
    (found,) = subjects_of(Standing(quarantines={item.id: item}))
    return found.labels["alertname"], found.summary, found.description


def test_a_suggestion_says_how_to_follow_it_and_how_not_to() -> None:
    name, summary, description = told(quarantine(state=QuarantineState.DEGRADED, enforcement=Enforcement.SUGGEST))
    assert (name, summary) == ("quarantine suggested", "A person should decide: isolate csv@2? it fails")
    assert "plugwarden approve q-1 --reason" in description
    assert "plugwarden decline q-1 --reason" in description


def test_what_the_automation_may_not_do_is_for_a_person_to_decide() -> None:
    evidence = {"prevented": ["csv is protected: only people may quarantine it"]}
    name, summary, description = told(quarantine(state=QuarantineState.DEGRADED, evidence=evidence))
    assert name == "quarantine prevented"
    assert "The automation may not: csv is protected: only people may quarantine it. it fails" in summary
    assert "plugwarden approve q-1 --reason" in description


def test_who_approved_is_told() -> None:
    assert told(quarantine(evidence={"approved_by": "ann"}))[1] == (
        "csv@2 is quarantined by automation, approved by ann: it fails"
    )


def test_a_suggestion_and_what_it_becomes_are_two_subjects_each_with_labels_of_its_own() -> None:
    item = quarantine(state=QuarantineState.DEGRADED, enforcement=Enforcement.SUGGEST)
    before = Standing(quarantines={item.id: item})
    after, _ = approve(before, "q-1", "so it is", Actor("ann"), AT, hold=timedelta(hours=1))
    (suggested,), (isolated,) = subjects_of(before), subjects_of(after)
    assert suggested.key != isolated.key
    assert (suggested.labels["quarantine"], isolated.labels["quarantine"]) == (suggested.key, isolated.key)


EVIDENCE = {
    "total": 40,
    "bad": 37,
    "nats": 23.5,
    "errors": {"TimeoutError": 30, "ValueError": 7},
    "traces": ["ab" * 16],
}


def test_a_quarantine_says_all_that_a_person_needs() -> None:
    item = quarantine(evidence=EVIDENCE, hold_until=AT + timedelta(hours=1))
    (found,) = subjects_of(Standing(quarantines={item.id: item}))
    assert found.scope == "csv@2"
    assert found.sure == "37 of 40 calls were bad; by chance that would be seen once in 10^10 times"
    assert found.error == "TimeoutError (30 of 37)"
    assert found.trace == "ab" * 16
    assert found.done == "Its calls are refused."
    assert found.until == f"{AT + timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC; then it is on probation"
    assert found.todo.startswith("plugwarden release q-1 --reason")
    asked = quarantine(state=QuarantineState.DEGRADED, evidence=EVIDENCE)
    (found,) = subjects_of(Standing(quarantines={asked.id: asked}))
    assert found.done == "Nothing: a person decides."
    assert found.todo.startswith("plugwarden approve q-1 --reason")


def test_what_a_failing_plugin_is_told_with_comes_from_its_evidence() -> None:
    fleet = judged(Enforcement.ENFORCE)
    fleet.play(20, lambda: second_fails(fleet), step=1)
    (found,) = [item for item in subjects_of(fleet.standing) if item.labels["alertname"] == "plugin quarantined"]
    assert "calls were bad; by chance" in found.sure
    assert found.error
    alert = next(item for item in subjects_of(fleet.standing) if "slo" in item.labels)
    assert "the budget burns" in alert.sure
    assert alert.path == "plugin?plugin=csv"


@pytest.mark.parametrize(
    "evidence",
    [{}, {"total": "x", "bad": None, "nats": float("nan"), "errors": [], "traces": "no"}, {"errors": {"a": "b"}, "traces": [1]},
     {"traces": ["../../etc/passwd"], "long": 5, "errors": {}}],
)  # fmt: skip
def test_evidence_of_any_form_makes_no_text_that_was_not_meant(evidence: dict[str, Any]) -> None:
    assert (sureness(evidence), worst_error(evidence), first_trace(evidence)) == ("", "", "")
