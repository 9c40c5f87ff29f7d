"""The tick as a whole: who is blamed, what hosts are told, and what becomes of alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from plugwarden.contract import Action, QuarantineState, Scope
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.rules.tiers import PAGE

from tests.collector.support.played_fleet import AT, OBSERVED, RULES, Fleet, by_hand, kinds, rules_with


@pytest.fixture
def fleet() -> Fleet:
    """A fleet in which `csv` 1 and 2 ran well for a day."""
    found = Fleet()
    for version in ("1", "2"):
        found.has_past("csv", version)
    return found


def second_fails(fleet: Fleet, bad: int = 10) -> None:
    """Version 2 fails on all hosts, and version 1 is well."""
    fleet.arrive("csv", "1")
    fleet.arrive("csv", "2", 10, bad)


def test_the_failing_version_is_isolated_and_only_that(fleet: Fleet) -> None:
    assert fleet.play(10, lambda: second_fails(fleet)) == ["quarantined"]
    (directive,) = fleet.standing.directives.directives
    assert (directive.action, directive.scope) == (Action.ISOLATE, Scope("csv", "2"))
    assert directive.newcomers is not None
    assert directive.newcomers.known_versions == ("1",)
    assert fleet.standing.directives.revision == 1
    evidence = fleet.made[0].evidence
    assert evidence is not None
    assert evidence["errors"].keys() == {"ValueError"}
    assert evidence["traces"] == ["0" * 32]


def test_nothing_is_asked_where_nothing_is_suspected(fleet: Fleet) -> None:
    assert fleet.play(20, lambda: second_fails(fleet, bad=0)) == []
    assert fleet.calls.asked == []


def test_once_isolated_nothing_new_is_said(fleet: Fleet) -> None:
    fleet.play(10, lambda: second_fails(fleet))
    changes = fleet.tick(0.5)
    assert kinds(changes) == []
    assert changes.directives is None


def test_two_versions_that_fail_alike_take_the_whole_plugin(fleet: Fleet) -> None:
    def both_fail() -> None:
        fleet.arrive("csv", "1", 10, 10)
        fleet.arrive("csv", "2", 10, 10)

    fleet.play(10, both_fail)
    assert fleet.told == {Scope("csv")}


def test_a_release_rolled_back_before_widens_nothing(fleet: Fleet) -> None:
    fleet.has_past("csv", "3")
    fleet.rules = OBSERVED

    def second_failed() -> None:
        second_fails(fleet)

    fleet.play(60, second_failed)
    fleet.play(120, lambda: fleet.arrive("csv", "1"))
    fleet.rules = RULES

    def third_fails() -> None:
        fleet.arrive("csv", "1")
        fleet.arrive("csv", "3", 10, 10)

    fleet.play(10, third_fails)
    assert fleet.told == {Scope("csv", "3")}


def test_one_stray_failure_elsewhere_widens_nothing(fleet: Fleet) -> None:
    fleet.has_past("csv", "2", operation="read")
    stray = iter([1, *[0] * 100])

    def one_operation_fails() -> None:
        fleet.arrive("csv", "1", 10)
        fleet.arrive("csv", "2", 10, 9)
        fleet.arrive("csv", "2", 10, next(stray), operation="read")

    fleet.play(10, one_operation_fails)
    assert fleet.told == {Scope("csv", "2", operation="x")}


def test_an_operation_that_failed_before_does_not_widen_the_fault_of_another(fleet: Fleet) -> None:
    fleet.rules = OBSERVED

    def each(old: int, new: int) -> None:
        fleet.arrive("csv", "2", 10, old, operation="old")
        fleet.arrive("csv", "2", 10, new, operation="new")
        fleet.arrive("csv", "2", 10, operation="well")

    fleet.play(20, lambda: each(10, 0))
    fleet.play(120, lambda: each(0, 0))
    fleet.rules = RULES
    fleet.play(10, lambda: each(0, 10))
    assert fleet.told == {Scope("csv", "2", operation="new")}


def test_a_persons_isolation_overrules_an_automatic_one(fleet: Fleet) -> None:
    fleet.play(10, lambda: second_fails(fleet))
    fleet.standing.quarantines["q-hand"] = by_hand(Scope("csv"))
    fleet.tick(1)
    assert [(item.id, item.action) for item in fleet.standing.directives.directives] == [("q-hand", Action.ISOLATE)]


def test_a_tenants_quarantine_does_not_cover_everybody_elses_failures(fleet: Fleet) -> None:
    fleet.standing.quarantines["q-hand"] = by_hand(Scope("csv", tenant="acme"))
    assert "quarantined" in fleet.play(10, lambda: second_fails(fleet))


def test_what_a_person_isolated_is_judged_no_further(fleet: Fleet) -> None:
    fleet.standing.quarantines["q-hand"] = by_hand(Scope("csv", "2"))

    def disobeyed() -> None:
        fleet.arrive("csv", "2", 10, 10, obeyed=False)

    assert fleet.play(60, disobeyed) == []
    assert fleet.told == {Scope("csv", "2")}


def test_a_frozen_automation_holds_everything_as_it_is(fleet: Fleet) -> None:
    fleet.play(10, lambda: second_fails(fleet))
    fleet.standing.frozen = "release day"
    held = fleet.told

    def later() -> None:
        second_fails(fleet)
        fleet.arrive("csv", "3")

    assert fleet.play(200, later, step=2) == []
    assert fleet.told == held


def test_observing_only_records_what_it_would_do_and_looks_traces_up_once(fleet: Fleet) -> None:
    fleet.rules = OBSERVED
    assert fleet.play(30, lambda: second_fails(fleet)) == ["would_quarantine"]
    assert fleet.told == set()
    assert fleet.calls.asked.count("traces") == 1, (
        "a thousand plugins may burn, and each turn of the loop takes a second"
    )


def test_what_was_recorded_is_let_go_of_when_it_is_over(fleet: Fleet) -> None:
    fleet.rules, fleet.windows = OBSERVED, True
    fleet.play(10, lambda: second_fails(fleet))
    assert fleet.standing.noted
    fleet.tick(3_600)
    assert not fleet.standing.noted
    fleet.tick(8 * 86_400)
    assert fleet.standing.alerts == {}


# -- alerts, which are for people ---------------------------------------------------------------------------------------


@pytest.fixture
def burning(fleet: Fleet) -> Fleet:
    """The same, observed only: the alert of version 2 fires, and it was called last at `AT`."""
    fleet.rules, fleet.windows = OBSERVED, True
    fleet.at = AT - timedelta(seconds=20)
    fleet.play(20, lambda: second_fails(fleet), step=2)
    assert "firing" in fleet.alerts("2")
    return fleet


def test_the_page_of_a_version_that_others_have_replaced_ends(burning: Fleet) -> None:
    burning.play(30, lambda: burning.arrive("csv", "1"), step=10)
    assert burning.alerts("2") == {"firing"}
    burning.at += timedelta(minutes=3)
    burning.arrive("csv", "1")
    changes = burning.tick()
    assert burning.alerts("2") == {"inactive"}
    assert {event.reason.split(":")[0] for event in changes.alert_events} == {"expired"}
    assert "while 1 of it is called" in changes.alert_events[0].reason


def test_a_version_whose_calls_are_refused_still_runs(burning: Fleet) -> None:
    def refused() -> None:
        burning.arrive("csv", "1")
        burning.arrive("csv", "2", 0, 0, refused=5)

    burning.play(240, refused, step=20)
    assert burning.alerts("2") == {"firing"}


def test_no_data_is_no_recovery(burning: Fleet) -> None:
    burning.tick(1_800)
    assert burning.alerts() == {"firing"}


def test_what_has_stopped_running_for_good_does_not_fire_for_ever(burning: Fleet) -> None:
    changes = burning.tick(3 * 3_600)
    assert burning.alerts() == {"inactive"}
    assert all("expired" in event.reason for event in changes.alert_events)


def test_a_suggestion_does_not_hold_the_page_of_a_version_that_was_rolled_back(fleet: Fleet) -> None:
    fleet.rules, fleet.windows = rules_with(enforcement=Enforcement.SUGGEST), True
    assert fleet.play(20, lambda: second_fails(fleet), step=1) == ["suggested"]
    fleet.play(300, lambda: fleet.arrive("csv", "1"), step=20)
    assert fleet.alerts("2") == {"inactive"}


def test_what_a_quarantine_stopped_is_held(burning: Fleet) -> None:
    burning.rules = rules_with(hold_seconds=86_400)
    assert burning.play(10, lambda: second_fails(burning)) == ["quarantined"]
    burning.play(300, lambda: burning.arrive("csv", "1"), step=20)
    assert burning.alerts("2") == {"firing"}


@pytest.mark.parametrize(("operation", "told"), [(None, False), ("read", True)])
def test_a_version_that_others_have_replaced_wakes_nobody_unless_only_a_part_of_it_is_isolated(
    operation: str | None, *, told: bool
) -> None:
    """Before, what a later version replaced in one operation was taken for the whole of it, and it failed in others unheard."""
    fleet = Fleet(OBSERVED, windows=True)
    isolated = replace(by_hand(Scope("csv", "1", operation=operation)), superseded_by="2")
    fleet.standing.quarantines[isolated.id] = isolated

    def fails_in_another() -> None:
        fleet.arrive("csv", "1", 100, 30, operation="write", on=("h1",), obeyed=False)
        fleet.arrive("csv", "2", 5, operation="read", on=("h1",))

    fleet.play(1_800, fails_in_another, step=60)
    pages = [record for record in fleet.standing.alerts.values() if record.severity == PAGE]
    assert bool(pages) is told
    assert all(record.inhibited_by is None for record in pages)


# -- successors ---------------------------------------------------------------------------------------------------------


def test_a_successor_goes_through_probation_and_replaces_the_isolated_version(fleet: Fleet) -> None:
    fleet.play(10, lambda: second_fails(fleet))

    def third_is_well() -> None:
        second_fails(fleet)
        fleet.arrive("csv", "3", 40)

    assert fleet.play(40, third_is_well) == ["probation", "advanced", "released", "superseded"]
    held = {item.scope.version: item for item in fleet.standing.quarantines.values()}
    assert held["3"].state is QuarantineState.HEALTHY
    assert (held["2"].state, held["2"].superseded_by) == (QuarantineState.QUARANTINED, "3")
    (directive,) = fleet.standing.directives.directives
    assert (directive.action, directive.newcomers) == (Action.ISOLATE, None), (
        "what comes next follows a version that is well"
    )
    assert "3" in held["2"].known_versions
