"""Why several plugins fail at once: what they share, and what of each it does not explain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from plugwarden_collector.judge.causes import Sample, explain

from tests.collector.support.cells import (
    AT,
    blamed,
    cells,
    either,
    failing,
    outage,
    shared,
    where,
)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_plugins_that_fail_on_one_machine_share_the_machine(count: int) -> None:
    fleet = [cell for number in range(count) for cell in cells(f"p{number}", where(machine="m1"), instances=2)]
    assert shared(fleet) == ([("machine", "m1", tuple(f"p{number}" for number in range(count)))], [])


def test_a_process_of_a_machine_is_named_when_its_others_are_well() -> None:
    fleet = [cell for name in ("a", "b", "c") for cell in cells(name, where(instance="orders-m1-0"), instances=2)]
    assert shared(fleet) == ([("instance", "orders-m1-0", ("a", "b", "c"))], [])


def test_a_tenant_for_whom_several_plugins_fail_is_shared() -> None:
    fleet = [cell for name in ("a", "b") for cell in cells(name, where(tenant="acme"))]
    assert shared(fleet) == ([("tenant", "acme", ("a", "b"))], [])


def test_a_plugin_that_one_process_tells_of_is_one_of_those_that_fail_for_a_tenant() -> None:
    """Before, its word was worth nothing for others, and nothing for its own excuse either: it was isolated in that process."""
    others = [cell for name in ("a", "b") for cell in cells(name, where(tenant="acme"))]
    told = cells("c", where(tenant="acme", machine="m1"), versions=("1",), calls=6)
    told = [cell for cell in told if cell.tenant != "acme" or cell.machine == "m1"]
    assert [fault.sender for fault in explain(told, running=9).faults] == ["orders-m1-0"]
    assert shared([*others, *told]) == ([("tenant", "acme", ("a", "b", "c"))], [])
    own = [replace(cell, errors={"csv.Error": cell.bad}) if cell.bad else cell for cell in told]
    causes, faults = shared([*others, *own])
    assert causes == [("tenant", "acme", ("a", "b"))]
    assert len(faults) == 1


def test_a_caller_for_which_several_plugins_fail_is_shared() -> None:
    services = ("orders", "billing")
    fleet = [cell for name in ("a", "b") for cell in cells(name, where(service="billing"), services=services)]
    assert shared(fleet) == ([("service", "billing", ("a", "b"))], [])


def test_different_plugins_that_fail_on_different_machines_are_to_blame() -> None:
    assert blamed(cells("a", where(machine="m0")), cells("b", where(machine="m1"))) == [
        "a instance=orders-m0-0",
        "b instance=orders-m1-0",
    ]


def test_a_plugin_that_fails_everywhere_is_to_blame_beside_a_machine() -> None:
    fleet = [cell for name in ("a", "b") for cell in cells(name, where(machine="m1"))] + cells("c", where(version="2"))
    assert shared(fleet) == ([("machine", "m1", ("a", "b"))], ["c version=2"])


def test_a_fault_elsewhere_in_a_plugin_that_a_machine_excuses_stands() -> None:
    trouble = either(where(0.5, machine="m1"), where(0.9, version="2", operation="write"))
    fleet = [*cells("a", trouble), *cells("b", where(0.5, machine="m1")), *cells("c", where(0.5, machine="m1"))]
    causes, faults = shared(fleet)
    assert causes == [("machine", "m1", ("a", "b", "c"))]
    assert faults == ["a version=2 operation=write"]


@pytest.mark.parametrize("apart", [0.0, 2.0, 15.0])
def test_plugins_that_begin_to_fail_together_share_a_cause(apart: float) -> None:
    assert shared(outage("a", "b", "c", "d", apart=apart)) == ([("simultaneous", "", ("a", "b", "c", "d"))], [])


@pytest.mark.parametrize("running", [12, 60, 300, 1000])
def test_three_at_once_are_no_accident_in_fleets_of_any_size(running: int) -> None:
    causes, faults = shared(outage("a", "b", "c"), running)
    assert (causes, faults) == ([("simultaneous", "", ("a", "b", "c"))], [])


def test_eight_of_sixty_in_the_same_seconds_are_shared() -> None:
    names = tuple(f"p{number}" for number in range(8))
    assert shared(outage(*names, apart=0.5), 60) == ([("simultaneous", "", names)], [])


def test_most_of_the_fleet_is_everything() -> None:
    names = tuple(f"p{number}" for number in range(8))
    assert shared(outage(*names), 12) == ([("everything", "", names)], [])


def test_plugins_that_begin_minutes_apart_are_each_to_blame() -> None:
    names = ("a", "b", "c")
    fleet = [
        cell
        for number, name in enumerate(names)
        for cell in cells(name, where(0.6, "KeyError"), since=AT + timedelta(minutes=4 * number))
    ]
    assert shared(fleet) == ([], ["a", "b", "c"])


def test_two_at_once_with_errors_of_the_world_outside_share_it() -> None:
    assert shared(outage("a", "b")) == ([("simultaneous", "", ("a", "b"))], [])


def test_two_at_once_whose_outward_errors_have_other_names_share_it() -> None:
    fleet = outage("a", error="TimeoutError") + outage("b", error="httpx.ConnectTimeout")
    assert shared(fleet) == ([("simultaneous", "", ("a", "b"))], [])


@pytest.mark.parametrize(("one", "other"), [("KeyError", "ConnectionError"), ("KeyError", "KeyError"), ("Odd", "Odd")])
def test_two_at_once_with_errors_of_their_own_are_two_faults(one: str, other: str) -> None:
    assert shared(outage("a", error=one) + outage("b", error=other)) == ([], ["a", "b"])


def test_a_plugin_with_errors_of_its_own_kind_is_to_blame_beside_an_outage() -> None:
    assert shared(outage("a", "b", "c") + outage("d", error="KeyError")) == (
        [("simultaneous", "", ("a", "b", "c"))],
        ["d"],
    )


def test_many_that_fail_by_the_same_error_of_code_share_it() -> None:
    assert shared(outage("a", "b", "c", "d", error="KeyError"))[0] == [("simultaneous", "", ("a", "b", "c", "d"))]


def test_a_plugin_that_fails_far_more_than_the_others_is_to_blame_for_the_rest() -> None:
    causes, faults = shared(outage("a", "b", "c", rate=0.2) + outage("d", rate=0.9))
    assert causes == [("simultaneous", "", ("a", "b", "c"))]
    assert faults == ["d"]


def test_beside_two_others_a_high_rate_alone_is_no_fault() -> None:
    causes, faults = shared(outage("a", "b", rate=0.2) + outage("c", rate=0.9))
    assert causes == [("simultaneous", "", ("a", "b", "c"))]
    assert faults == []


def test_a_plugin_that_uses_the_downstream_more_often_is_excused() -> None:
    causes, faults = shared(
        outage("a", rate=0.3) + outage("b", rate=0.6) + outage("c", rate=0.9) + outage("d", rate=1.0)
    )
    assert causes == [("simultaneous", "", ("a", "b", "c", "d"))]
    assert faults == []


def test_an_operation_that_fails_by_its_own_errors_during_an_outage_is_to_blame() -> None:
    own = [
        replace(cell, bad=45, errors={"KeyError": 30, "ConnectionError": 15}, since=AT)
        if cell.operation == "write"
        else failing(cell, (0.3, "ConnectionError"))
        for cell in cells("d")
    ]
    causes, faults = shared(outage("a", "b", "c", rate=0.3) + own)
    assert causes == [("simultaneous", "", ("a", "b", "c", "d"))]
    assert faults == ["d operation=write"]


def test_a_bad_release_during_an_outage_is_to_blame() -> None:
    release = cells("d", where(0.6, "TimeoutError", version="2"))
    assert shared(outage("a", "b", "c") + release) == ([("simultaneous", "", ("a", "b", "c"))], ["d version=2"])


def test_a_plugin_whose_errors_are_all_its_own_is_not_excused_beside_an_outage() -> None:
    """Before, it was to blame and excused at once: it waited for the outage to end."""
    explanation = explain(outage("a", "b", "c", rate=0.3) + outage("d", rate=0.9, error="csv.Error"), running=9)
    assert [cause.plugins for cause in explanation.shared] == [("a", "b", "c")]
    assert [fault.scope.plugin for fault in explanation.faults] == ["d"]


def test_a_plugin_of_an_outage_that_was_seen_to_fail_in_one_place_first_does_not_excuse_another_there() -> None:
    """Before, the place came first: what fails by itself on a machine shared it with whoever was seen to fail there."""
    everywhere = outage("a", "b", "c", "d")
    seldom = cells("e", where(0.6, "ConnectionError", machine="m1"), versions=("1",), calls=6)
    own = cells("f", where(0.9, "csv.Error", machine="m1"))
    causes, faults = shared(everywhere + seldom + own)
    assert causes == [("simultaneous", "", ("a", "b", "c", "d", "e"))]
    assert faults == ["f instance=orders-m1-0"]


def test_a_plugin_that_is_seldom_called_joins_an_outage_late() -> None:
    late = cells("d", where(0.6, "ConnectionError"), calls=10, since=AT + timedelta(minutes=3))
    assert shared(outage("a", "b", "c") + late) == ([("simultaneous", "", ("a", "b", "c", "d"))], [])


def test_plugins_with_three_failures_each_tell_an_outage() -> None:
    def seldom(name: str) -> list[Sample]:
        few = cells(name, where(0.6, "ConnectionError"), versions=("1",), operations=("read",), tenants=("",), calls=2)
        return [replace(cell, bad=1, errors={"ConnectionError": 1}) for cell in few]

    names = ("a", "b", "c", "d")
    assert shared([cell for name in names for cell in seldom(name)]) == ([("simultaneous", "", names)], [])


def test_a_shared_cause_says_how_likely_it_is_by_accident() -> None:
    (two,) = explain(outage("a", "b"), running=60).shared
    (eight,) = explain(outage(*"abcdefgh"), running=60).shared
    assert eight.chance < 1e-15 < two.chance < 0.01
    assert "8 of 60" in eight.why
