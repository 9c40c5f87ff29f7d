"""Causes that plugins share: what each of them excuses, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.cycle.excuses import Excuse, Excuses
from plugwarden_collector.judge.pace import Pace

from tests.collector.support.played_fleet import Fleet

pytestmark = pytest.mark.usefixtures("comes_out_again")


@pytest.fixture
def fleet() -> Fleet:
    found = Fleet()
    for plugin in "abcxyz":
        found.has_past(plugin)
    return found


def test_what_several_are_slow_for_excuses_no_failures_of_one_of_them(fleet: Fleet) -> None:
    """Before, what began at one moment excused whatever was bad: a fault beside a slow downstream was never acted on."""

    def slow(*names: str, bad: int = 0) -> None:
        for name in names:
            fleet.arrive(name, "1", 10, slow=6)
        fleet.arrive("a", "1", 10, bad, slow=5, error="KeyError")

    assert "quarantined" not in fleet.play(20, lambda: slow("b", "c", "x"))
    assert "quarantined" in fleet.play(40, lambda: slow("b", "c", "x", bad=5))
    assert fleet.told == {Scope("a", "1")}


def test_some_that_fail_and_others_that_get_slow_meanwhile_are_two_incidents(fleet: Fleet) -> None:
    """Before, they were one, which stayed open for those that were slow long after the others were well."""
    turn = 0

    def each() -> None:
        nonlocal turn
        turn += 1
        for name in "abc":
            fleet.arrive(name, "1", 10, 6 if turn <= 70 else 0, error="ConnectionError")
        for name in "xyz":
            fleet.arrive(name, "1", 10, slow=6 if turn > 40 else 0)

    fleet.play(35, each)
    assert {incident.plugins for incident in fleet.standing.incidents.values()} == {tuple("abc"), tuple("xyz")}
    fleet.play(65, each)
    assert {incident.plugins for incident in fleet.standing.incidents.values()} == {tuple("xyz")}
    assert fleet.told == set()


STARVED = tuple(f"p{number}" for number in range(9))


def _starved(*, hung: str = "") -> Fleet:
    """In both processes every call takes eight times as long as before; of what hangs by itself, five hundred times."""
    fleet = Fleet(running=60)
    for name in STARVED:
        fleet.has_past(name)
    fleet.calls.paced = [
        Pace(name, "web", instance, 50, 25.0 if name == hung else 0.4, 0.01, 500, 0.05, 0.01)
        for name in STARVED
        for instance in ("h1", "h2")
    ]
    return fleet


def test_plugins_of_a_starved_host_whose_deadlines_pass_one_after_the_other_are_not_to_blame() -> None:
    """A deadline that passed is a slow call. Before, all of them were isolated: hardly two of them were visible at once."""
    fleet = _starved()
    turn = 0

    def each() -> None:
        nonlocal turn
        turn += 1
        for number, name in enumerate(STARVED):
            passes = number < 5 and turn > 18 * number
            fleet.arrive(name, "1", 5, 3 if passes else 0, error="timeout")

    assert "quarantined" not in fleet.play(60, each)
    told = [draft.reason for draft in fleet.made if draft.kind == "common_cause"]
    assert any(reason.startswith("host h1 hurts p0: everything there takes 8.0 times as long") for reason in told)


def test_a_plugin_of_a_starved_host_that_hangs_by_itself_is_isolated() -> None:
    fleet = _starved(hung="p0")

    def each() -> None:
        for name in STARVED:
            fleet.arrive(name, "1", 5, 3 if name == "p0" else 0, error="timeout")

    assert "quarantined" in fleet.play(20, each)
    assert fleet.told == {Scope("p0", "1")}


def test_a_starved_host_excuses_no_failures_but_deadlines() -> None:
    fleet = _starved()

    def each() -> None:
        for name in STARVED:
            fleet.arrive(name, "1", 5, 3 if name == "p0" else 0, error="ConnectionError")

    assert "quarantined" in fleet.play(20, each)
    assert fleet.told == {Scope("p0", "1")}


@pytest.mark.parametrize("gap", [8, 15, 30])
@pytest.mark.parametrize("running", [20, 60])
def test_an_outage_that_plugins_show_one_after_the_other_takes_back_who_showed_it_first(gap: int, running: int) -> None:
    """Before, each of them was isolated in its turn: what is isolated fails no more, so that two of them were never seen together."""
    fleet = Fleet(running=running)
    for name in STARVED[:5]:
        fleet.has_past(name)
    turn = 0

    def each() -> None:
        nonlocal turn
        turn += 1
        for number, name in enumerate(STARVED[:5]):
            fleet.arrive(name, "1", 5, 4 if turn > 2 * gap * number else 0, error="ConnectionError")

    made = [kind for kind in fleet.play(5 * gap + 10, each) if kind in {"quarantined", "taken_back"}]
    assert made == ["quarantined", "taken_back"]
    assert fleet.told == set()
    (incident,) = fleet.standing.incidents.values()
    assert incident.plugins == STARVED[:5]


@pytest.mark.parametrize("ghost_first", [False, True])
def test_a_plugin_that_one_sender_made_up_takes_nobody_back_and_excuses_nobody(*, ghost_first: bool) -> None:
    """Before, who could send telemetry of one process undid the isolation of a plugin that fails everywhere."""
    fleet = Fleet()
    fleet.has_past("p0")
    turn = 0

    def each() -> None:
        nonlocal turn
        turn += 1
        if turn > (20 if ghost_first else 0):
            fleet.arrive("p0", "1", 10, 10, error="ConnectionError")
        if turn > (0 if ghost_first else 20):
            fleet.arrive("ghost", "1", 10, 10, on=("evil",), error="ConnectionError")

    fleet.play(60, each)
    assert Scope("p0", "1") in fleet.told
    assert "taken_back" not in [item.kind for item in fleet.made]
    assert fleet.standing.incidents == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"error": "ConnectionError"}, {"error": "KeyError"}),
        ({"error": "KeyError"}, {"error": "ConnectionError"}),
        ({"error": "ConnectionError", "version": "2"}, {"error": "ConnectionError"}),
        ({"error": "ConnectionError"}, {"error": "ConnectionError", "version": "2"}),
        ({"error": "ConnectionError", "on": ("h1",)}, {"error": "ConnectionError"}),
    ],
)
def test_nobody_is_taken_back_for_another_that_fails_otherwise_or_where_others_are_well(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    fleet = Fleet()
    for name in STARVED[:2]:
        fleet.has_past(name)
    turn = 0

    def each() -> None:
        nonlocal turn
        turn += 1
        for name, how, after in ((STARVED[0], first, 0), (STARVED[1], second, 20)):
            fleet.arrive(name, "1", 5)
            if turn > after:
                fleet.arrive(name, **{"version": "1", "on": ("h1", "h2"), "total": 10, "bad": 10} | how)

    fleet.play(30, each)
    assert "taken_back" not in [draft.kind for draft in fleet.made]
    assert {scope.plugin for scope in fleet.told} == set(STARVED[:2])


def test_one_failure_of_another_takes_nobody_back() -> None:
    fleet = Fleet()
    for name in STARVED[:2]:
        fleet.has_past(name)
    fleet.play(10, lambda: fleet.arrive("p0", "1", 5, 4, error="ConnectionError"))
    assert fleet.told == {Scope("p0", "1")}
    fleet.arrive("p1", "1", 3, 2, error="ConnectionError")
    assert fleet.play(15, lambda: fleet.arrive("p1", "1", 2)) == []


def test_what_excuses_slow_calls_excuses_no_others_and_never_what_is_beside_it() -> None:
    slow, failing = Excuse("host h1", slow=True, why="a busy host"), Excuse("simultaneous", slow=False, why="an outage")
    excuses = Excuses()
    excuses.by_plugin["a"] += [slow, failing]
    assert list(excuses.of("a", "", slow=True)) == [failing, slow]
    assert list(excuses.of("a", "", slow=False)) == [failing]
    assert list(excuses.of("a", "everything", slow=True)) == [slow]
    assert list(excuses.of("a", "host h1", slow=False)) == [failing]
    assert list(excuses.of("b", "", slow=True)) == []
