"""Probation: what is let through is judged by a sequential test, on every SLI, and by no single sender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.cycle.probes import probed
from plugwarden_collector.cycle.tick import Tick
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.quarantine import AUTOMATION, Probes, Quarantine
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.support.played_fleet import AT, Fleet, rules_with

ITEM = Quarantine(
    "q-1", Scope("csv", "1"), QuarantineState.PROBATION, "it failed", AUTOMATION, Enforcement.ENFORCE, AT, AT,
    share_ratio=0.1, evidence={"objective": "availability", "failed_ratio": 1.0, "mark": 0},
)  # fmt: skip


def probes(arrive: Callable[[Fleet], Any], **changes: Any) -> Probes:
    """Return what is said of calls that were let through."""
    fleet = Fleet()
    fleet.has_past("csv")
    arrive(fleet)
    tick = Tick(fleet.rules, fleet.standing, fleet.watch, fleet.seen(), fleet.calls, lambda: 0.0, Changes())
    return probed(tick, replace(ITEM, **changes))


def test_good_calls_are_well_once_there_are_enough() -> None:
    assert probes(lambda fleet: fleet.arrive("csv", "1", 80)).well
    few = probes(lambda fleet: fleet.arrive("csv", "1", 2))
    assert (few.total, few.well, few.unwell) == (4, False, False)


def test_bad_calls_are_not_well() -> None:
    found = probes(lambda fleet: fleet.arrive("csv", "1", 10, 10))
    assert (found.total, found.bad, found.well, found.unwell) == (20, 20, False, True)


def test_one_bad_call_says_little() -> None:
    found = probes(lambda fleet: fleet.arrive("csv", "1", 1, 1, on=("h1",)))
    assert (found.well, found.unwell) == (False, False)


def test_an_objective_that_left_the_rules_makes_nothing_look_well() -> None:
    assert not probes(lambda fleet: fleet.arrive("csv", "1", 3), evidence={**ITEM.evidence, "objective": "gone"}).well


def test_a_norm_is_well() -> None:
    assert probes(lambda fleet: fleet.arrive("csv", "1", 500, 5)).well


def test_a_fix_that_half_works_is_not_well() -> None:
    assert probes(lambda fleet: fleet.arrive("csv", "1", 50, 25)).unwell


def test_slow_calls_are_judged_too_though_none_of_them_fails() -> None:
    found = probes(lambda fleet: fleet.arrive("csv", "1", 40, 0, slow=40))
    assert (found.well, found.unwell) == (False, True)


def test_one_sender_alone_makes_nothing_look_well() -> None:
    def one_praises(fleet: Fleet) -> None:
        fleet.arrive("csv", "1", 3, 1, on=("h1", "h2"))
        fleet.arrive("csv", "1", 100_000, 0, on=("liar",))

    assert not probes(one_praises).well


def test_one_sender_alone_keeps_nothing_isolated() -> None:
    def one_complains(fleet: Fleet) -> None:
        fleet.arrive("csv", "1", 20, 0, on=("h1", "h2", "h3"))
        fleet.arrive("csv", "1", 100, 100, on=("liar",))

    assert not probes(one_complains).unwell


def test_what_only_one_process_runs_is_judged_by_its_word() -> None:
    assert probes(lambda fleet: fleet.arrive("csv", "1", 160, on=("h1",))).well
    assert probes(lambda fleet: fleet.arrive("csv", "1", 20, 20, on=("h1",))).unwell


@pytest.mark.parametrize("state", [QuarantineState.QUARANTINED, QuarantineState.DEGRADED])
def test_without_probation_there_are_no_probes(state: QuarantineState) -> None:
    assert probes(lambda fleet: fleet.arrive("csv", "1", 40), state=state) == Probes(0, 0)


def test_calls_from_before_the_probation_are_none() -> None:
    found = probes(lambda fleet: fleet.arrive("csv", "1", 40), evidence={**ITEM.evidence, "mark": 2})
    assert found.total == 0


def test_a_slow_plugin_in_probation_is_isolated_again_for_twice_as_long() -> None:
    fleet = Fleet(rules_with(hold_seconds=10, hold_jitter_ratio=0))
    fleet.has_past("csv")
    happened = fleet.play(60, lambda: fleet.arrive("csv", "1", 20, 0, slow=20))
    assert happened[:3] == ["quarantined", "probation", "requarantined"]
    assert "released" not in happened
