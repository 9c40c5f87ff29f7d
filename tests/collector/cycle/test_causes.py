"""Causes that plugins share: what each of them excuses, and what it does not."""

from __future__ import annotations

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.cycle.excuses import Excuse, Excuses

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


def test_what_excuses_slow_calls_excuses_no_others_and_never_what_is_beside_it() -> None:
    slow, failing = Excuse("host h1", slow=True, why="a busy host"), Excuse("simultaneous", slow=False, why="an outage")
    excuses = Excuses()
    excuses.by_plugin["a"] += [slow, failing]
    assert list(excuses.of("a", "", slow=True)) == [failing, slow]
    assert list(excuses.of("a", "", slow=False)) == [failing]
    assert list(excuses.of("a", "everything", slow=True)) == [slow]
    assert list(excuses.of("a", "host h1", slow=False)) == [failing]
    assert list(excuses.of("b", "", slow=True)) == []
