"""What is taken out, for how long, and who is asked: repeats, wider and narrower scopes, guard rails, warnings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.decide.acts import decline, freeze, release
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.support.played_fleet import Fleet, by_hand, rules_with

ANN = Actor("ann")
PLUGINS = ("csv", "geo", "pdf")


def fleet_with(*, running: int = 20, **policy: object) -> Fleet:
    found = Fleet(rules_with(**policy), running=running)
    for plugin in PLUGINS:
        found.has_past(plugin)
        found.has_past(plugin, operation="read")
    return found


def fails(fleet: Fleet, plugin: str = "csv", bad: int = 10, **where: str) -> Callable[[], None]:
    return lambda: fleet.arrive(plugin, "1", 10, bad, **where)  # type: ignore[arg-type]


def hold_seconds(fleet: Fleet) -> float:
    (item,) = fleet.in_force()
    assert item.hold_until is not None
    return (item.hold_until - item.started_at).total_seconds()


# -- repeats ------------------------------------------------------------------------------------------------------------


def test_what_is_isolated_again_after_a_release_goes_on_where_it_was() -> None:
    fleet = fleet_with(hold_seconds=10, hold_jitter_ratio=0)
    holds = []
    for _ in range(3):
        assert "quarantined" in fleet.play(5, fails(fleet))
        holds.append(hold_seconds(fleet))
        assert "released" in fleet.play(90, fails(fleet, bad=0))
    assert holds == [10, 20, 40]
    fleet.play(5, fails(fleet))
    (item,) = fleet.in_force()
    assert (item.repeats, item.hold_until) == (3, None), "the fourth time a person decides"


def test_a_day_later_it_begins_anew() -> None:
    fleet = fleet_with(hold_seconds=10, hold_jitter_ratio=0)
    fleet.play(5, fails(fleet))
    fleet.play(60, fails(fleet, bad=0))
    fleet.at += timedelta(hours=25)
    fleet.play(5, fails(fleet))
    assert hold_seconds(fleet) == 10


def test_the_hold_is_spread_by_chance() -> None:
    fleet = fleet_with(hold_seconds=100, hold_jitter_ratio=0.1)
    fleet.chance = 0.5
    fleet.play(5, fails(fleet))
    assert hold_seconds(fleet) == 105


# -- scopes -------------------------------------------------------------------------------------------------------------


def test_a_wider_scope_takes_the_place_of_a_narrower_one() -> None:
    fleet = fleet_with()

    def each(read: int) -> None:
        fleet.arrive("csv", "1", 10, 10)
        fleet.arrive("csv", "1", 10, read, operation="read")

    fleet.play(5, lambda: each(0))
    assert fleet.told == {Scope("csv", "1", operation="x")}
    assert fleet.play(8, lambda: each(10)) == ["widened", "quarantined"]
    assert [item.scope for item in fleet.in_force()] == [Scope("csv", "1")]


def test_a_suggestion_for_a_part_ends_when_what_fails_is_wider() -> None:
    fleet = fleet_with(enforcement=Enforcement.SUGGEST)

    def each(read: int) -> None:
        fleet.arrive("csv", "1", 10, 10)
        fleet.arrive("csv", "1", 10, read, operation="read")

    fleet.play(5, lambda: each(0))
    assert [item.scope for item in fleet.open_ones()] == [Scope("csv", "1", operation="x")]
    assert fleet.play(120, lambda: each(10), step=1) == ["suspicion_over", "suggested"]
    assert [item.scope for item in fleet.open_ones()] == [Scope("csv", "1")]


def test_while_one_operation_is_isolated_another_is_judged() -> None:
    fleet = fleet_with(hold_seconds=1_000)

    def each(read: int) -> None:
        fleet.arrive("csv", "1", 10, 10)
        fleet.arrive("csv", "1", 10, read, operation="read")

    fleet.play(60, lambda: each(0), step=2)
    fleet.play(8, lambda: each(10))
    assert fleet.told == {Scope("csv", "1")}


# -- guard rails --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["protected", "frozen", "cap"])
def test_what_a_guard_rail_prevents_is_asked_of_a_person_once(why: str) -> None:
    fleet = fleet_with(protected=("csv",) if why == "protected" else (), running=10)
    fleet.standing.frozen = "release day" if why == "frozen" else None
    if why == "cap":
        fleet.play(5, fails(fleet, "geo"))
        assert fleet.told == {Scope("geo", "1")}

    def both() -> None:
        fleet.arrive("csv", "1", 10, 10)
        fleet.arrive("geo", "1", 10, 10 if why == "cap" else 0)

    assert fleet.play(20, both) == ["prevented"]
    (item,) = [item for item in fleet.open_ones() if item.scope.plugin == "csv"]
    assert item.state is QuarantineState.DEGRADED
    assert item.evidence["prevented"]


def test_what_was_prevented_is_done_when_nothing_forbids_it_any_more() -> None:
    fleet = fleet_with()
    fleet.act(freeze(fleet.standing, True, "release day", ANN, fleet.at))
    fleet.play(10, fails(fleet))
    fleet.act(freeze(fleet.standing, False, "done", ANN, fleet.at))
    assert fleet.play(2, fails(fleet)) == ["suspicion_over", "quarantined"]
    assert [item.state for item in fleet.open_ones()] == [QuarantineState.QUARANTINED]


def test_what_was_prevented_and_is_over_is_not_done_later() -> None:
    fleet = fleet_with()
    fleet.act(freeze(fleet.standing, True, "release day", ANN, fleet.at))
    fleet.play(10, fails(fleet))
    fleet.play(60, fails(fleet, bad=0))
    fleet.act(freeze(fleet.standing, False, "done", ANN, fleet.at))
    fleet.play(10, fails(fleet, bad=0))
    assert fleet.open_ones() == []
    assert fleet.told == set()


def test_a_release_by_a_person_keeps_the_automation_away_for_as_long_as_they_said() -> None:
    fleet = fleet_with()
    fleet.play(5, fails(fleet))
    (item,) = fleet.in_force()
    fleet.act(release(fleet.standing, item.id, "known", ANN, fleet.at, override=timedelta(seconds=60)))
    assert fleet.play(58, fails(fleet), step=1) == ["prevented"]
    assert fleet.told == set()
    assert "quarantined" in fleet.play(10, fails(fleet), step=1)


def test_a_quarantine_that_nobody_asks_for_leaves_room_for_another() -> None:
    """A bad release that people rolled back stays isolated, and the next fault is acted on."""
    fleet = fleet_with(running=10, hold_seconds=100_000)
    fleet.play(5, fails(fleet, "geo"))
    fleet.play(70, lambda: None, step=10)
    fleet.play(5, fails(fleet))
    assert fleet.told == {Scope("geo", "1"), Scope("csv", "1")}


def test_names_that_one_sender_made_up_leave_the_room_of_the_others() -> None:
    fleet = fleet_with(running=10)

    def ghosts() -> None:
        for number in range(6):
            fleet.arrive(f"g{number}", "1", 10, 10, on=("liar",), error=f"E{number}")

    fleet.play(20, ghosts)
    fleet.play(6, fails(fleet))
    assert Scope("csv", "1") in fleet.told


def test_what_one_process_tells_of_itself_uses_up_neither_the_places_nor_the_hour_of_others() -> None:
    fleet = fleet_with(running=10, max_actions_per_hour=1)

    def each(csv: int) -> None:
        for plugin in PLUGINS:
            fleet.arrive(plugin, "1", 10, csv if plugin == "csv" else 0)
        fleet.arrive("geo", "1", 30, 30, on=("liar",))

    fleet.play(10, lambda: each(0))
    assert fleet.told == {Scope("geo", instance="liar")}
    fleet.play(5, lambda: each(10))
    assert fleet.told == {Scope("geo", instance="liar"), Scope("csv", "1")}
    assert fleet.standing.actions == [item.started_at for item in fleet.in_force() if item.scope.plugin == "csv"]


def test_a_version_of_one_process_alone_puts_nobody_elses_newcomers_on_probation() -> None:
    fleet = fleet_with()

    def each() -> None:
        fleet.arrive("csv", "1", 10)
        fleet.arrive("csv", "9", 30, 30, on=("liar",))

    assert fleet.play(10, each) == ["quarantined"]
    assert [item.newcomers for item in fleet.standing.directives.directives] == [None]
    assert fleet.play(5, lambda: fleet.arrive("csv", "2", 10)) == []


def test_where_one_process_alone_calls_a_plugin_its_next_version_starts_on_probation() -> None:
    fleet = fleet_with()
    fleet.play(5, lambda: fleet.arrive("csv", "1", 10, on=("h1",)))
    assert fleet.play(5, lambda: fleet.arrive("csv", "1", 10, 10, on=("h1",))) == ["quarantined"]
    (told,) = fleet.standing.directives.directives
    assert told.newcomers is not None
    assert fleet.play(0.5, lambda: fleet.arrive("csv", "2", 10, on=("h1",))) == ["probation"]


def test_what_was_isolated_on_the_word_of_one_process_lengthens_no_hold_of_all() -> None:
    fleet = fleet_with(hold_seconds=10, hold_jitter_ratio=0)

    def each(liar: int, bad: int = 0) -> None:
        fleet.arrive("csv", "1", 10, bad)
        fleet.arrive("csv", "1", 30, liar, on=("liar",))

    fleet.play(5, lambda: each(0))
    assert "quarantined" in fleet.play(10, lambda: each(30))
    assert "released" in fleet.play(90, lambda: each(0))
    fleet.play(5, lambda: each(30, bad=10))
    assert {item.scope: item.repeats for item in fleet.in_force()} == {Scope("csv", "1"): 0}


# -- critical plugins ---------------------------------------------------------------------------------------------------


def test_people_are_warned_before_a_critical_plugin_is_isolated() -> None:
    fleet = fleet_with(critical=("csv",), warning_seconds=20)
    assert fleet.play(15, fails(fleet)) == ["warned"]
    assert fleet.told == set()
    assert fleet.play(15, fails(fleet)) == ["suspicion_over", "quarantined"]


def test_a_warning_for_one_process_of_many_is_followed_too() -> None:
    """It never showed in the whole, so the warning was taken back and said again in each turn, and nothing was ever isolated."""
    fleet = fleet_with(critical=("csv",), warning_seconds=20)

    def one_of_many() -> None:
        fleet.arrive("csv", "1", 10, on=[f"h{number}" for number in range(40)])
        fleet.arrive("csv", "1", 10, 10, on=("sick",))

    fleet.play(10, lambda: fleet.arrive("csv", "1", 10, on=["sick", *(f"h{number}" for number in range(40))]), step=1)
    assert fleet.play(40, one_of_many, step=1) == ["warned", "suspicion_over", "quarantined"]
    assert fleet.told == {Scope("csv", instance="sick")}


@pytest.mark.parametrize("how", [{"enforcement": Enforcement.SUGGEST}, {"protected": ("csv",)}])
def test_a_person_is_asked_once_about_one_process_of_many(how: dict[str, object]) -> None:
    fleet = fleet_with(**how)

    def each(bad: int) -> None:
        fleet.arrive("csv", "1", 10, on=[f"h{number}" for number in range(40)])
        fleet.arrive("csv", "1", 10, bad, on=("sick",))

    fleet.play(10, lambda: each(0), step=1)
    assert len(fleet.play(90, lambda: each(10), step=1)) == 1
    assert fleet.play(60, lambda: each(0), step=1) == ["suspicion_over"]


def test_somebody_who_declines_a_warning_prevents_it() -> None:
    fleet = fleet_with(critical=("csv",), warning_seconds=20)
    fleet.play(10, fails(fleet))
    (item,) = fleet.open_ones()
    fleet.act(decline(fleet.standing, item.id, "known", ANN, fleet.at))
    assert "quarantined" not in fleet.play(60, fails(fleet), step=1)


# -- shared causes that show late -----------------------------------------------------------------------------------------


def outage(fleet: Fleet, *names: str) -> None:
    for plugin in PLUGINS:
        fleet.arrive(plugin, "1", 10, 10 if plugin in names else 0, error="ConnectionError", obeyed=False)


def test_what_was_isolated_first_is_taken_back_when_the_others_fail_too() -> None:
    fleet = fleet_with(running=6)
    assert fleet.play(8, lambda: outage(fleet, "csv")) == ["quarantined"]
    for plugin in ("pdf", "xml"):
        fleet.has_past(plugin)

    def all_of_them() -> None:
        outage(fleet, *PLUGINS)
        fleet.arrive("xml", "1", 10, 10, error="ConnectionError")

    happened = fleet.play(10, all_of_them)
    assert "common_cause" in happened
    (incident,) = fleet.standing.incidents.values()
    assert {scope.plugin for scope in fleet.told} == set(PLUGINS) - set(incident.plugins)


def test_what_a_person_isolated_is_not_taken_back() -> None:
    fleet = fleet_with(running=6)
    fleet.standing.quarantines["q-hand"] = by_hand(Scope("csv"))
    fleet.play(10, lambda: [fleet.arrive(name, "1", 10, 10, error="ConnectionError") for name in PLUGINS])  # type: ignore[arg-type, return-value]
    assert Scope("csv") in fleet.told
