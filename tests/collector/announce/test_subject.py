"""What there is to tell people: alerts that fire, quarantines and suggestions, incidents."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.announce.subject import subjects_of
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.cycle import evaluate
from plugwarden_collector.decide.acts import approve
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.policy import Enforcement, Policy

from tests.collector.cycle.test_cycle import AT, RULES, seen
from tests.collector.cycle.test_cycle import Known as Evidence


def names(standing: Standing) -> set[tuple[str, str]]:
    return {(item.labels["alertname"], item.severity) for item in subjects_of(standing) if item.speaker is None}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Enforcement.OBSERVE, "availability budget burn"),
        (Enforcement.SUGGEST, "quarantine suggested"),
        (Enforcement.ENFORCE, "plugin quarantined"),
    ],
)
def test_a_failing_plugin_pages_whatever_the_policy(how: Enforcement, said: str) -> None:
    standing = Standing()
    rules = replace(RULES, policy=Policy(how))
    standing, _ = evaluate(rules, standing, seen({("csv", "2"): 50}), Evidence(), lambda: 0.0)
    assert (said, "page") in names(standing)
    page = next(item for item in subjects_of(standing) if item.severity == "page" and item.labels["alertname"] == said)
    assert (page.labels["plugin"], page.labels["version"]) == ("csv", "2")


@pytest.mark.parametrize(
    ("frozen", "policy"),
    [("release day", Policy(Enforcement.ENFORCE)), (None, Policy(Enforcement.ENFORCE, protected=("csv",)))],
)
def test_a_failing_plugin_pages_where_the_automation_may_not_act(frozen: str | None, policy: Policy) -> None:
    standing = Standing(frozen=frozen)
    standing, changes = evaluate(
        replace(RULES, policy=policy), standing, seen({("csv", "2"): 50}), Evidence(), lambda: 0.0
    )
    assert "prevented" in [item.kind for item in changes.decisions]
    active = {item.key for item in subjects_of(standing)}
    pages = [item for item in subjects_of(standing) if item.severity == "page" and item.speaker not in active]
    assert [item.labels["plugin"] for item in pages] == ["csv"]


def test_a_shared_cause_is_one_page() -> None:
    standing = Standing()
    standing, _ = evaluate(
        RULES, standing, seen({(f"p{number}", "1"): 50 for number in range(4)}, running=8), Evidence(), lambda: 0.0
    )
    assert names(standing) == {("shared cause", "page")}


def test_a_plugin_that_fails_on_when_the_others_are_well_is_told_by_itself() -> None:
    standing, known = Standing(), Evidence()
    bad = {(f"p{number}", "1"): 50 for number in range(3)}
    standing, _ = evaluate(RULES, standing, seen(bad, running=8), known, lambda: 0.0)
    for second in range(1, 200):
        well = {**dict.fromkeys(bad, 0), ("p0", "1"): 50}
        standing, _ = evaluate(
            RULES, standing, seen(well, running=8, at=AT + timedelta(seconds=second)), known, lambda: 0.0
        )
    assert {item.labels["plugin"] for item in subjects_of(standing) if item.labels["severity"] == "page" and not item.speaker
            and "plugin" in item.labels} == {"p0"}  # fmt: skip


def test_a_quarantine_that_does_not_help_speaks_for_nothing() -> None:
    standing, known = Standing(), Evidence()
    for second in range(0, 60, 10):
        standing, _ = evaluate(
            RULES, standing, seen({("csv", "2"): 50}, at=AT + timedelta(seconds=second)), known, lambda: 0.0
        )
        told_of_itself = ("availability budget burn", "page") in names(standing)
        assert told_of_itself == (second > 35), f"after {second} s"


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
