"""A version that comes while another one is isolated is on probation for what was isolated of that one, and for nothing else."""

from __future__ import annotations

from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.cycle.replay import replay
from plugwarden_collector.decide.acts import release

from tests.collector.support.logged import entry_of
from tests.collector.support.played_fleet import Fleet, rules_with

ANN = Actor("ann")
OPERATIONS = ("read", "write", "list")


def fleet_with(**policy: object) -> Fleet:
    found = Fleet(rules_with(**{"hold_seconds": 3_600, **policy}))
    for operation in OPERATIONS:
        found.has_past("csv", operation=operation)
    return found


def first(fleet: Fleet, *failing: str, calls: int = 10) -> None:
    for operation in OPERATIONS:
        fleet.arrive("csv", "1", calls, calls if operation in failing else 0, operation=operation)


def second(fleet: Fleet, *failing: str, version: str = "2", calls: int = 40) -> None:
    for operation in OPERATIONS:
        fleet.arrive("csv", version, calls, calls if operation in failing else 0, operation=operation)


def isolated(fleet: Fleet, *failing: str) -> None:
    for operation in failing:  # one after the other, so that each is a fault of its own
        fleet.play(8, lambda operation=operation: first(fleet, operation))  # type: ignore[misc]
    assert fleet.isolated == {Scope("csv", "1", operation) for operation in failing}


def on_probation(fleet: Fleet) -> set[Scope]:
    return {item.scope for item in fleet.standing.quarantines.values() if item.state is QuarantineState.PROBATION}


def let_through(fleet: Fleet, version: str = "2") -> dict[str, float]:
    return {operation: fleet.let_through(fleet.cell("csv", version, operation)) for operation in OPERATIONS}


def test_it_is_on_probation_for_the_operation_alone() -> None:
    fleet = fleet_with()
    isolated(fleet, "read")
    share = fleet.rules.policy.probation_steps[0]
    expected = {"read": share, "write": 1.0, "list": 1.0}
    assert let_through(fleet) == expected, "from its first call, before anybody judged it"
    assert fleet.play(0.5, lambda: second(fleet)) == ["probation"]
    assert on_probation(fleet) == {Scope("csv", "2", "read")}
    assert let_through(fleet) == expected


def test_it_is_on_probation_for_every_scope_that_was_isolated() -> None:
    fleet = fleet_with()
    isolated(fleet, "read", "write")
    assert fleet.play(0.5, lambda: second(fleet)) == ["probation", "probation"]
    assert on_probation(fleet) == {Scope("csv", "2", "read"), Scope("csv", "2", "write")}
    kinds = fleet.play(60, lambda: second(fleet))
    assert (kinds.count("released"), kinds.count("superseded")) == (2, 2)
    assert set(let_through(fleet).values()) == {1.0}
    assert fleet.isolated == {Scope("csv", "1", "read"), Scope("csv", "1", "write")}, "the faulty one stays isolated"


def test_what_passes_in_one_scope_is_on_probation_in_the_other() -> None:
    fleet = fleet_with()
    isolated(fleet, "read", "write")
    fleet.play(60, lambda: second(fleet, "write"))
    assert Scope("csv", "2", "read") not in fleet.told
    assert fleet.let_through(fleet.cell("csv", "2", "write")) < 1.0
    assert fleet.let_through(fleet.cell("csv", "2", "read")) == 1.0


def test_what_a_person_lets_in_stays_in() -> None:
    fleet = fleet_with()
    isolated(fleet, "read")
    fleet.play(0.5, lambda: second(fleet))
    (item,) = [item for item in fleet.standing.quarantines.values() if item.state is QuarantineState.PROBATION]
    fleet.act(release(fleet.standing, item.id, "we tested it", ANN, fleet.at))
    assert fleet.let_through(fleet.cell("csv", "2", "read")) == 1.0
    assert fleet.play(20, lambda: second(fleet)) == []
    assert fleet.isolated == {Scope("csv", "1", "read")}


def test_once_a_successor_has_passed_the_next_version_is_no_newcomer() -> None:
    fleet = fleet_with()
    isolated(fleet, "read")
    assert "superseded" in fleet.play(60, lambda: second(fleet))
    assert fleet.let_through(fleet.cell("csv", "3", "read")) == 1.0, "what it follows is well"
    assert fleet.play(20, lambda: second(fleet, version="3")) == []


def test_what_began_while_the_other_was_probed_is_no_newcomer_when_that_is_isolated_again() -> None:
    fleet = fleet_with(hold_seconds=10, hold_jitter_ratio=0)
    isolated(fleet, "read")
    fleet.play(10, lambda: first(fleet, "read", calls=0))
    assert Scope("csv", "1", "read") in on_probation(fleet)
    fleet.play(5, lambda: second(fleet))
    assert "requarantined" in fleet.play(30, lambda: (first(fleet, "read", calls=2_000), second(fleet)))
    assert let_through(fleet) == {"read": 1.0, "write": 1.0, "list": 1.0}
    assert on_probation(fleet) == set()


def test_its_first_entry_is_made_again() -> None:
    fleet = fleet_with()
    isolated(fleet, "read", "write")
    fleet.play(0.5, lambda: second(fleet))
    entries = [entry_of(draft) for draft in fleet.made if draft.kind == "probation"]
    assert [replay(entry).same for entry in entries] == [True, True]
    assert [entry["scope"] for entry in entries] == ["csv@2 operation=read", "csv@2 operation=write"]
