"""What is looked at: nothing that is isolated, clean slates after a release, causes that plugins share."""

from __future__ import annotations

from datetime import timedelta

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.cycle import within
from plugwarden_collector.decide.acts import isolate, release
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.waits import Waits

from tests.collector.support.played_fleet import Fleet, rules_with

ANN = Actor("ann")
NAMES = ("p0", "p1", "p2", "p3")


@pytest.fixture
def fleet() -> Fleet:
    found = Fleet(running=8)
    for plugin in ("csv", *NAMES):
        found.has_past(plugin)
    return found


def fail(fleet: Fleet, *names: str, error: str = "ConnectionError") -> None:
    for name in NAMES:
        fleet.arrive(name, "1", 10, 10 if name in names else 0, error=error)


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        (Scope("csv"), True),
        (Scope("csv", "1", "x", "h1", "acme"), True),
        (Scope("geo"), False),
        (Scope("csv", "2"), False),
        (Scope("csv", operation="read"), False),
        (Scope("csv", instance="h2"), False),
        (Scope("csv", tenant="globex"), False),
    ],
)
def test_a_call_is_within_a_scope_where_nothing_it_says_differs(scope: Scope, inside: bool) -> None:
    assert within(scope, Cell("csv", "1", "x", "web", "h1", "m1", "acme", "", CallCounts(1))) is inside


def test_what_is_isolated_as_a_whole_is_not_judged_again_though_hosts_disobey(fleet: Fleet) -> None:
    fleet.act(isolate(fleet.standing, Scope("csv"), "by hand", ANN, fleet.at))
    assert fleet.play(30, lambda: fleet.arrive("csv", "1", 10, 10, obeyed=False)) == []
    assert not fleet.watch.streams


def test_after_a_release_old_failures_are_held_against_nobody(fleet: Fleet) -> None:
    fleet.play(60, lambda: fleet.arrive("csv", "1", 10, 10, obeyed=False), step=1)
    for item in fleet.in_force():
        fleet.act(release(fleet.standing, item.id, "fixed", ANN, fleet.at, override=timedelta(0)))
    assert fleet.play(60, lambda: fleet.arrive("csv", "1", 10, 0), step=1) == []


def test_after_probation_old_failures_isolate_nobody_again() -> None:
    fleet = Fleet(rules_with(hold_seconds=10))
    fleet.has_past("csv")
    fleet.play(8, lambda: fleet.arrive("csv", "1", 10, 10))
    happened = fleet.play(120, lambda: fleet.arrive("csv", "1", 10, 0))
    assert happened == ["probation", "advanced", "released"]


def test_what_is_known_of_other_processes_stands_when_one_is_isolated(fleet: Fleet) -> None:
    hosts = [f"h{number}" for number in range(12)]

    def fails_on(*sick: str) -> None:
        fleet.arrive("csv", "1", 10, on=[host for host in hosts if host not in sick])
        fleet.arrive("csv", "1", 10, 10, on=sick)

    fleet.play(10, lambda: fails_on(), step=1)
    fleet.play(6, lambda: fails_on("h0"))
    assert {scope.instance for scope in fleet.told} == {"h0"}
    fleet.play(8, lambda: fails_on("h0", "h1"))
    assert {scope.instance for scope in fleet.told} == {"h0", "h1"}


# -- causes that plugins share --------------------------------------------------------------------------------------------


def test_many_plugins_at_once_are_one_incident(fleet: Fleet) -> None:
    assert fleet.play(30, lambda: fail(fleet, *NAMES)) == ["common_cause"]
    assert fleet.told == set()
    (incident,) = fleet.standing.incidents.values()
    assert incident.plugins == NAMES


def test_plugins_of_one_outage_that_show_it_one_after_the_other_are_one_incident(fleet: Fleet) -> None:
    begin = fleet.at

    def one_after_the_other() -> None:
        passed = (fleet.at - begin).total_seconds()
        fail(fleet, *NAMES[: 1 + int(passed)])

    fleet.play(40, one_after_the_other)
    assert {plugin for item in fleet.standing.incidents.values() for plugin in item.plugins} == set(NAMES)
    assert fleet.told == set()


@pytest.mark.parametrize("seconds", [20, 120])
def test_an_incident_is_over_soon_after_its_cause_however_long_it_lasted(fleet: Fleet, seconds: int) -> None:
    """Good calls say less than bad ones: before, it stayed open thirteen times as long as its cause, and excused whatever came after."""
    fleet.play(seconds, lambda: fail(fleet, *NAMES), step=1)
    fleet.play(75, lambda: fail(fleet), step=1)
    assert fleet.standing.incidents == {}
    assert [item.kind for item in fleet.made] == ["common_cause", "common_cause_over"]


def test_a_plugin_that_breaks_by_itself_after_an_outage_is_isolated_once_and_not_taken_back(fleet: Fleet) -> None:
    fleet.play(60, lambda: fail(fleet, *NAMES), step=1)
    fleet.play(90, lambda: fail(fleet), step=1)
    assert fleet.play(20, lambda: fail(fleet, "p0"), step=1) == ["quarantined"]
    assert fleet.told == {Scope("p0", "1")}


def test_who_breaks_by_itself_beside_an_outage_is_isolated(fleet: Fleet) -> None:
    def both() -> None:
        fail(fleet, *NAMES)
        fleet.arrive("csv", "1", 10, 10, error="KeyError")

    fleet.play(20, lambda: fail(fleet, *NAMES), step=1)
    fleet.play(30, both)
    assert fleet.told == {Scope("csv", "1")}


def test_a_slow_downstream_is_one_incident_and_no_quarantine(fleet: Fleet) -> None:
    fleet.calls.waited = [Waits(name, "registry", 50, 25.0, 0, 500, 0.005, 26.0) for name in NAMES[:2]]

    def slow() -> None:
        for name in NAMES[:2]:
            fleet.arrive(name, "1", 10, 0, slow=10)

    assert fleet.play(20, slow) == ["common_cause"]
    assert fleet.told == set()
    (incident,) = fleet.standing.incidents.values()
    assert (incident.cause, incident.plugins) == ("downstream:registry", NAMES[:2])


def test_two_that_fail_a_little_in_one_place_are_nothing_to_tell_of(fleet: Fleet) -> None:
    def a_little(bad: int) -> None:
        for name in NAMES:
            fleet.arrive(name, "1", 10, on=["h2"], machine="m2")
            fleet.arrive(name, "1", 10, bad if name in NAMES[:2] else 0, on=["h1"], machine="m1")

    fleet.play(10, lambda: a_little(0), step=1)
    assert fleet.play(2, lambda: a_little(4), step=1) == []
    assert fleet.standing.incidents == {}
    assert fleet.play(8, lambda: a_little(0), step=1) == []
    assert "common_cause" in fleet.play(20, lambda: a_little(8), step=1)
    assert fleet.told == set()


def _slow(fleet: Fleet, *, own_work: float = 1.0, others: float = 3.0) -> None:
    """csv is slow in h1, and what runs beside it takes so many times longer than before."""
    fleet.calls.paced = [
        Pace("csv", "web", "h1", 500, 1.0, 0.001 * own_work, 500, 0.02, 0.001),
        *(Pace(name, "web", "h1", 50, 0.02 * others, 0.001, 500, 0.02, 0.001) for name in NAMES),
    ]
    fleet.arrive("csv", "1", 10, 0, slow=10, on=["h1"])
    for name in NAMES:
        fleet.arrive(name, "1", 10, on=["h1", "h2"])


def test_a_host_that_is_slow_with_everything_is_one_incident_and_no_quarantine(fleet: Fleet) -> None:
    assert fleet.play(20, lambda: _slow(fleet)) == ["common_cause"]
    assert fleet.told == set()
    (incident,) = fleet.standing.incidents.values()
    assert (incident.cause, incident.plugins) == ("host:h1", ("csv",))


@pytest.mark.parametrize("odd", [{"own_work": 9.0}, {"others": 1.0}])
def test_but_not_for_who_uses_the_cpu_or_where_the_others_are_quick(fleet: Fleet, odd: dict[str, float]) -> None:
    assert "quarantined" in fleet.play(20, lambda: _slow(fleet, **odd))


def test_who_begins_to_use_the_cpu_of_a_host_that_is_slow_for_long_is_isolated(fleet: Fleet) -> None:
    """What it uses is of half a minute. Before, it was spread over the whole trouble, and after some minutes no plugin could use enough."""
    assert fleet.play(60, lambda: _slow(fleet), step=1) == ["common_cause"]
    assert "quarantined" in fleet.play(60, lambda: _slow(fleet, own_work=9.0), step=1)


def test_a_busy_host_excuses_slowness_and_no_failures(fleet: Fleet) -> None:
    def both() -> None:
        _slow(fleet)
        fleet.arrive("csv", "1", 10, 10, slow=10)

    assert "quarantined" in fleet.play(20, both)


def test_what_slows_a_plugin_is_compared_with_before_its_own_trouble(fleet: Fleet) -> None:
    fleet.calls.known_from = fleet.at + timedelta(minutes=5)
    fleet.play(8, lambda: fleet.arrive("p9", "1", 10, 0, slow=10, on=["h2"]), step=1)
    fleet.at += timedelta(minutes=10)

    def both() -> None:
        fleet.arrive("p9", "1", 10, 0, slow=10, on=["h2"], obeyed=False)
        _slow(fleet)

    fleet.play(20, both)
    assert any(incident.cause == "host:h1" for incident in fleet.standing.incidents.values())
    assert Scope("csv", "1") not in fleet.told


def test_a_slow_downstream_does_not_excuse_a_plugins_own_failures(fleet: Fleet) -> None:
    fleet.calls.waited = [Waits("csv", "registry", 50, 25.0, 0, 500, 0.005, 26.0)]
    assert "quarantined" in fleet.play(10, lambda: fleet.arrive("csv", "1", 10, 10))
