"""Pushed alerts isolate what their labels name, through the guard rails of all isolations, and hold it while they fire."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.decide.acts import approve, freeze, isolate, release
from plugwarden_collector.decide.pushed import MAX_SCOPES, MAX_UNKNOWN, Called, FiringAlert, follow, matched
from plugwarden_collector.decide.quarantine import Probes, Quarantine, transition
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.matcher import read_matchers
from plugwarden_collector.rules.policy import Enforcement, Policy
from plugwarden_collector.rules.pushed_policy import PushedPolicy

from tests.collector.support.stores import AT

ANN = Actor("ann")
POLICY = Policy(Enforcement.OBSERVE, hold_seconds=60, hold_jitter_ratio=0.0, max_repeats=3)
RULE = PushedPolicy("slow", read_matchers(['alertname="Slow"']), Enforcement.ENFORCE)
CALLED = Called(100, None)
VERSIONS = {(f"p{number}", "1"): AT - timedelta(days=1) for number in range(100)}
KNOWN = Standing(versions={("csv", "1"): AT - timedelta(days=2), ("csv", "2"): AT - timedelta(days=1), **VERSIONS})


def firing(plugin: str = "csv", version: str | None = "2", name: str = "Slow", **labels: str) -> FiringAlert:
    found = {"alertname": name, "plugin": plugin, **labels} | ({} if version is None else {"version": version})
    return FiringAlert(f"x-{plugin}-{version}-{name}", found, AT - timedelta(minutes=1), "it takes 9 s")


class Fleet:
    """Where things stand, and what becomes of it as alerts come and go."""

    def __init__(self, rule: PushedPolicy = RULE, policy: Policy = POLICY, standing: Standing = KNOWN) -> None:
        self.rule, self.policy, self.standing, self.at = rule, policy, standing, AT
        self.kinds: list[str] = []
        self.reasons: list[str] = []

    def look(self, *alerts: FiringAlert, later: float = 1.0) -> list[str]:
        """Return the kinds of the decisions that a look at these alerts makes."""
        self.at += timedelta(seconds=later)
        told = matched((self.rule,), alerts)
        self.standing, changes = follow(self.standing, self.policy, told, CALLED, self.at, lambda: 0.0)
        self.kinds += [item.kind for item in changes.decisions]
        self.reasons += [item.reason for item in changes.decisions]
        return [item.kind for item in changes.decisions]

    def act(self, act: Any, *given: Any, **more: Any) -> None:
        self.standing, _ = act(self.standing, *given, ANN, self.at, **more)

    @property
    def open(self) -> list[Quarantine]:
        return [item for item in self.standing.quarantines.values() if item.ended_at is None]

    def put(self, item: Quarantine) -> None:
        self.standing = replace(self.standing, quarantines={**self.standing.quarantines, item.id: item})

    def tick(self, later: float) -> None:
        """Let time bring forward what is open, as each tick does."""
        self.at += timedelta(seconds=later)
        for item in self.open:
            after, _ = transition(item, Probes(0, 0), self.policy, self.at, chance=0.0)
            self.put(after)


def test_what_an_alert_names_is_isolated_once_with_the_alert_as_evidence() -> None:
    fleet = Fleet()
    assert fleet.look(firing()) == ["quarantined"]
    assert fleet.look(firing(), later=3600) == []
    (item,) = fleet.open
    assert (item.scope, item.hold_until, item.alert) == (Scope("csv", "2"), None, firing().fingerprint)
    assert item.evidence["pushed"]["labels"]["alertname"] == "Slow"
    assert item.evidence["pushed"]["policy"] == "slow"
    assert "it takes 9 s" in item.reason
    assert item.known_versions == ("1",)


@pytest.mark.parametrize(
    ("labels", "scope"),
    [
        ({"plugin": "csv"}, Scope("csv")),
        ({"plugin": "csv", "operation": "load"}, Scope("csv", None, "load")),
        ({"plugin_id": "csv", "plugin_version": "2", "plugin_operation": "load"}, Scope("csv", "2", "load")),
    ],
)
def test_the_labels_say_what_is_isolated(labels: dict[str, str], scope: Scope) -> None:
    fleet = Fleet()
    fleet.look(FiringAlert("x-1", {"alertname": "Slow", **labels}, AT, ""))
    assert [item.scope for item in fleet.open] == [scope]


def test_what_another_plugwarden_tells_isolates_nothing_for_two_would_hold_each_others_isolation_for_ever() -> None:
    here, there = Fleet(), Fleet()
    here.look(firing())
    for _ in range(3):
        there.look(firing(plugwarden="here"))
        here.look(*([firing(name="told back", plugwarden="there")] if there.open else []))
    assert there.open == []
    here.tick(120)
    assert here.open[0].state is QuarantineState.PROBATION


def test_probation_begins_when_the_alert_is_over_and_not_before_the_hold() -> None:
    fleet = Fleet()
    fleet.look(firing())
    fleet.tick(86_400)
    assert fleet.open[0].state is QuarantineState.QUARANTINED, "the alert holds it"
    assert fleet.look() == ["alert_over"]
    fleet.tick(1)
    assert fleet.open[0].state is QuarantineState.PROBATION
    short = Fleet()
    short.look(firing())
    short.look()
    short.tick(57)
    assert short.open[0].state is QuarantineState.QUARANTINED, "a minute is the policy's hold"
    short.tick(2)
    assert short.open[0].state is QuarantineState.PROBATION
    assert short.look() == [], "it is let go of once"


def test_an_alert_that_fires_again_during_probation_isolates_again_and_a_person_decides_in_the_end() -> None:
    fleet = Fleet()
    for turn in range(4):
        assert fleet.look(firing()) == ["quarantined" if turn == 0 else "requarantined"]
        assert fleet.open[0].repeats == turn
        assert fleet.look(later=600) == ["alert_over"]
        fleet.tick(600)
    assert fleet.open[0].state is QuarantineState.QUARANTINED
    assert "a person decides" in fleet.reasons[-1]


def test_an_alert_that_fires_again_within_the_hold_holds_on() -> None:
    fleet = Fleet()
    fleet.look(firing())
    fleet.look()
    assert fleet.open[0].hold_until is not None
    assert fleet.look(firing()) == []
    assert (fleet.open[0].hold_until, fleet.open[0].held_by) == (None, "Slow")
    assert fleet.look() == ["alert_over"]


@pytest.mark.parametrize(
    ("policy", "rule", "kinds"),
    [
        (POLICY, replace(RULE, enforcement=Enforcement.OBSERVE), ["would_quarantine"]),
        (POLICY, replace(RULE, enforcement=Enforcement.SUGGEST), ["suggested"]),
        (replace(POLICY, protected=("csv",)), RULE, ["prevented"]),
        (replace(POLICY, max_actions_per_hour=0), RULE, ["prevented"]),
        (POLICY, replace(RULE, for_seconds=3600), []),
        (POLICY, replace(RULE, matchers=read_matchers(["severity=page"])), []),
    ],
)
def test_policy_and_guard_rails_hold_and_say_so_once(policy: Policy, rule: PushedPolicy, kinds: list[str]) -> None:
    fleet = Fleet(rule, policy)
    for _ in range(5):
        fleet.look(firing())
    assert fleet.kinds == kinds
    assert not any(item.in_force for item in fleet.open)


def test_a_frozen_automation_neither_isolates_nor_lets_go() -> None:
    fleet = Fleet()
    fleet.look(firing())
    fleet.standing, _ = freeze(fleet.standing, True, "maintenance", ANN, fleet.at)
    assert fleet.look(firing("p1", "1")) == ["prevented"]
    assert fleet.open[0].held_by == "Slow"
    assert fleet.open[0].in_force
    fleet.standing, _ = freeze(fleet.standing, False, "done", ANN, fleet.at)
    assert set(fleet.look(firing("p1", "1"))) == {"suspicion_over", "quarantined", "alert_over"}


def test_what_is_on_probation_is_not_isolated_again_while_automation_is_frozen_or_only_observes() -> None:
    """Before, an alert that came again went past both."""
    fleet = Fleet()
    fleet.look(firing())
    (held,) = fleet.open
    probation = replace(held, state=QuarantineState.PROBATION, share_ratio=0.05, hold_until=None)
    fleet.standing.quarantines[held.id] = probation
    frozen, _ = freeze(fleet.standing, True, "maintenance", ANN, fleet.at)
    fleet.standing = frozen
    assert "requarantined" not in fleet.look(firing(), later=60)
    assert fleet.open[0].state is QuarantineState.PROBATION


def test_a_critical_plugin_is_warned_of_first_and_a_person_may_decline() -> None:
    fleet = Fleet(policy=replace(POLICY, critical=("csv",), warning_seconds=60))
    assert fleet.look(firing()) == ["warned"]
    assert fleet.look(firing(), later=30) == []
    assert fleet.look(firing(), later=31) == ["suspicion_over", "quarantined"]


def test_a_persons_release_stands() -> None:
    fleet = Fleet()
    fleet.look(firing())
    fleet.act(release, fleet.open[0].id, "it is fine", override=timedelta(hours=1))
    assert fleet.look(firing()) == ["prevented"]
    assert fleet.look(firing(), later=60) == []
    assert "ann" in fleet.reasons[-1]
    assert fleet.look(firing(), later=3600) == ["quarantined"]


def test_what_a_person_isolated_stays_theirs() -> None:
    fleet = Fleet()
    fleet.act(isolate, Scope("csv"), "by hand")
    assert fleet.look(firing()) == []
    assert fleet.look() == []
    assert fleet.open[0].hold_until is None


def test_a_suggestion_that_is_approved_is_held_while_the_alert_fires() -> None:
    fleet = Fleet(replace(RULE, enforcement=Enforcement.SUGGEST))
    fleet.look(firing())
    fleet.act(approve, fleet.open[0].id, "so it is", hold=timedelta(seconds=60))
    fleet.look(firing())
    fleet.tick(3600)
    assert fleet.open[0].state is QuarantineState.QUARANTINED
    assert fleet.look() == ["alert_over"]


def test_no_more_is_isolated_than_may_be() -> None:
    fleet = Fleet(policy=replace(POLICY, max_actions_per_hour=1000))
    fleet.look(*(firing(f"p{number}", "1") for number in range(30)))
    assert sum(item.in_force for item in fleet.open) == 10, "a tenth of a hundred plugins"
    hourly = Fleet()
    hourly.look(*(firing(f"p{number}", "1") for number in range(30)))
    assert sum(item.in_force for item in hourly.open) == 5


@pytest.mark.parametrize(
    "alert",
    [
        firing("nobody", "2"),
        firing("csv", "3"),
        FiringAlert("x-1", {"alertname": "Slow"}, AT, ""),
        FiringAlert("x-1", {"alertname": "Slow", "plugin": "c\nsv"}, AT, ""),
        FiringAlert("x-1", {"alertname": "Slow", "plugin": "x" * 1000}, AT, ""),
    ],
)
def test_an_alert_about_what_nobody_knows_does_nothing_and_the_log_says_why(alert: FiringAlert) -> None:
    fleet = Fleet()
    for _ in range(3):
        fleet.look(alert)
    assert (fleet.kinds, fleet.open) == (["prevented"], [])
    assert "must name what has made a call" in fleet.reasons[0]


def test_thousands_of_alerts_about_nothing_fill_no_log() -> None:
    fleet = Fleet()
    for _ in range(3):
        fleet.look(*(firing(f"nobody-{number}") for number in range(3 * MAX_UNKNOWN)))
    assert len(fleet.kinds) == MAX_UNKNOWN


def test_thousands_of_operations_make_no_more_suggestions_than_a_person_can_read() -> None:
    fleet = Fleet(replace(RULE, enforcement=Enforcement.SUGGEST))
    crowd = [replace(firing(operation=f"o{number}"), fingerprint=f"x-{number}") for number in range(20_000)]
    for _ in range(3):
        fleet.look(*crowd)
    assert len(fleet.open) == MAX_SCOPES


def test_what_an_alert_says_is_one_short_line_for_hosts() -> None:
    fleet = Fleet()
    fleet.look(replace(firing(), summary="\x1b[31m" + "x\n" * 5000))
    assert len(fleet.open[0].reason) < 1000
    assert fleet.open[0].reason.isprintable()


def test_a_policy_that_is_gone_lets_go() -> None:
    fleet = Fleet()
    fleet.look(firing())
    fleet.rule = replace(RULE, matchers=read_matchers(["severity=page"]))
    assert fleet.look(firing()) == ["alert_over"]


def test_two_alerts_about_one_scope_hold_it_until_both_are_over() -> None:
    fleet, other = Fleet(), replace(firing(instance="b"), fingerprint="x-b")
    fleet.look(firing(), other)
    assert len(fleet.open) == 1
    assert fleet.look(other) == []
    assert fleet.look() == ["alert_over"]


def test_an_alert_on_a_version_leaves_the_suggestion_on_its_plugin() -> None:
    """Before, that ended and said that it was isolated."""
    fleet = Fleet(replace(RULE, enforcement=Enforcement.SUGGEST))
    fleet.look(firing(version=None))
    (wide,) = fleet.open
    fleet.rule = RULE
    fleet.look(firing())
    assert {item.scope for item in fleet.open} == {Scope("csv"), Scope("csv", "2")}
    assert fleet.standing.quarantines[wide.id].ended_at is None
