"""Why calls fail: the fewest factors that explain the excess, inside of plugins and across them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden.contract import OVERFLOW
from plugwarden_collector.judge.causes import Explanation, Sample, Scope, explain, kinds_apart
from plugwarden_collector.judge.causes import cells as cells_module
from plugwarden_collector.judge.causes.sample import ATTRIBUTES

AT = datetime(2026, 1, 1, 12)
Trouble = Callable[[Sample], tuple[float, str] | None]
"""What a cell fails with: the share of its calls, and the type of the errors; None for a cell that is well."""


def cells(
    plugin: str,
    trouble: Trouble = lambda cell: None,
    *,
    versions: Sequence[str] = ("1", "2"),
    operations: Sequence[str] = ("read", "write"),
    machines: Sequence[str] = ("m0", "m1", "m2"),
    instances: int = 1,
    tenants: Sequence[str] = ("", "acme"),
    services: Sequence[str] = ("orders",),
    calls: int = 50,
    since: datetime = AT,
    expected_ratio: float = 0.01,
) -> list[Sample]:
    """The cells of a plugin that runs everywhere, one for each of all combinations."""
    found = []
    for version in versions:
        for operation in operations:
            for machine in machines:
                for number in range(instances):
                    for tenant in tenants:
                        for service in services:
                            instance = f"{service}-{machine}-{number}"
                            well = Sample(
                                plugin, version, operation, calls, 0, expected_ratio, instance, machine, tenant, service
                            )
                            found.append(failing(well, trouble(well), since))
    return found


def failing(cell: Sample, trouble: tuple[float, str] | None, since: datetime = AT) -> Sample:
    if trouble is None:
        return cell
    bad = round(cell.total * trouble[0])
    return replace(cell, bad=bad, errors={trouble[1]: bad}, since=since)


def where(rate: float = 0.8, error: str = "KeyError", **values: str) -> Trouble:
    """A trouble of the cells that have all these values."""

    def trouble(cell: Sample) -> tuple[float, str] | None:
        return (rate, error) if all(getattr(cell, name) == value for name, value in values.items()) else None

    return trouble


def either(*troubles: Trouble) -> Trouble:
    """The first trouble that a cell has."""
    return lambda cell: next((found for trouble in troubles if (found := trouble(cell)) is not None), None)


def covers(scope: Scope, cell: Sample) -> bool:
    return all(getattr(cell, name) == value for name, value in scope.conditions)


def scopes(explanation: Explanation) -> list[str]:
    return sorted(str(fault.scope) for fault in explanation.faults)


def blamed(*fleet: list[Sample], running: int = 20) -> list[str]:
    """Scopes of what is to blame, when no cause is shared."""
    explanation = explain([cell for plugin in fleet for cell in plugin], running=running)
    assert explanation.shared == ()
    return scopes(explanation)


# Inside of one plugin


@pytest.mark.parametrize(
    ("trouble", "scope"),
    [
        (where(), "geo"),
        (where(version="2"), "geo version=2"),
        (where(operation="write"), "geo operation=write"),
        (where(instance="orders-m1-0"), "geo instance=orders-m1-0"),
        (where(tenant="acme"), "geo tenant=acme"),
        (where(version="2", operation="write"), "geo version=2 operation=write"),
        (where(version="2", tenant="acme"), "geo version=2 tenant=acme"),
        (where(version="2", instance="orders-m1-0"), "geo version=2 instance=orders-m1-0"),
        (where(operation="read", instance="orders-m1-0"), "geo operation=read instance=orders-m1-0"),
        (where(operation="read", tenant=""), "geo operation=read tenant="),
        (where(version="1", operation="read", tenant="acme"), "geo version=1 operation=read tenant=acme"),
    ],
)
@pytest.mark.parametrize("rate", [0.2, 0.5, 1.0])
def test_the_scope_is_what_fails_and_nothing_else(trouble: Trouble, scope: str, rate: float) -> None:
    def at_rate(cell: Sample) -> tuple[float, str] | None:
        return (rate, "KeyError") if trouble(cell) else None

    assert blamed(cells("geo", at_rate)) == [scope]


def test_a_machine_with_several_processes_that_all_fail_is_a_machine() -> None:
    assert blamed(cells("geo", where(machine="m1"), instances=3)) == ["geo machine=m1"]


def test_a_machine_on_which_one_operation_fails_is_a_machine_and_an_operation() -> None:
    trouble = where(machine="m1", operation="write")
    assert blamed(cells("geo", trouble, instances=3)) == ["geo operation=write machine=m1"]


def test_one_process_of_several_on_a_machine_is_that_process() -> None:
    assert blamed(cells("geo", where(instance="orders-m1-2"), instances=3)) == ["geo instance=orders-m1-2"]


def test_a_caller_for_which_it_fails_is_named() -> None:
    trouble = where(service="billing")
    assert blamed(cells("geo", trouble, services=("orders", "billing", "search"))) == ["geo service=billing"]


def test_all_running_versions_that_fail_alike_are_the_plugin() -> None:
    assert blamed(cells("geo", where(), versions=("1", "2", "3"))) == ["geo"]


def test_versions_that_fail_at_different_rates_are_the_plugin_too() -> None:
    trouble = either(where(0.9, version="1"), where(0.3, version="2"))
    assert blamed(cells("geo", trouble)) == ["geo"]


def test_the_only_version_that_runs_is_named_so_that_a_fix_begins_clean() -> None:
    assert blamed(cells("geo", where(), versions=("7",))) == ["geo version=7"]


def test_a_plugin_with_one_process_has_a_faulty_version_and_no_faulty_process() -> None:
    assert blamed(cells("geo", where(version="2"), machines=("m0",))) == ["geo version=2"]


def test_a_canary_in_one_process_is_a_version_as_nobody_else_runs_it() -> None:
    canary = cells("geo", where(), versions=("2",), machines=("m9",))
    assert blamed(cells("geo", versions=("1",)) + canary) == ["geo version=2"]


@pytest.mark.parametrize("stray", [1, 2])
def test_a_stray_failure_elsewhere_widens_nothing(stray: int) -> None:
    write = Sample("geo", "2", "write", 500, 450, 0.001, "i1", "m1", errors={"KeyError": 450}, since=AT)
    more = [replace(write, instance=name, machine=name) for name in ("i2", "i3")]
    read = Sample("geo", "2", "read", 10_000, stray, 0.001, "i1", "m1")
    assert blamed([write, *more, read]) == ["geo version=2 operation=write"]


def test_one_failure_of_one_call_in_another_version_does_not_make_it_the_plugin() -> None:
    stray = Sample("geo", "1", "write", 1, 1, 0.001, "orders-m0-0", "m0", "", "orders", {"KeyError": 1})
    assert blamed([*cells("geo", where(), versions=("2",)), stray]) == ["geo version=2"]


def test_a_version_that_is_well_again_widens_nothing() -> None:
    before = [replace(cell, ended=True) for cell in cells("geo", where(), versions=("1",))]
    assert blamed(before + cells("geo", where(), versions=("2",))) == ["geo version=2"]


def test_where_nothing_else_is_called_the_wider_scope_is_named() -> None:
    quiet = [replace(cell, total=0) for cell in cells("geo", operations=("read",))]
    assert blamed(cells("geo", where(), operations=("write",)) + quiet) == ["geo"]


def test_two_faults_in_one_plugin_are_two() -> None:
    trouble = either(where(version="2", operation="write"), where(version="1", tenant="acme"))
    assert blamed(cells("geo", trouble)) == ["geo version=1 tenant=acme", "geo version=2 operation=write"]


def test_faults_that_overlap_are_told_apart() -> None:
    trouble = either(where(operation="write"), where(instance="orders-m1-0"))
    assert blamed(cells("geo", trouble, operations=("read", "write", "list", "drop"))) == [
        "geo instance=orders-m1-0",
        "geo operation=write",
    ]


def few(**counts: tuple[int, int, str]) -> list[Sample]:
    """Cells of a plugin with one version, by operation and process, `operation_process`: calls, bad ones, and their errors."""
    found = []
    for name, (total, bad, error) in counts.items():
        operation, instance = name.split("_")
        well = Sample("geo", "1", operation, total, 0, 0.05, instance, f"m-{instance}", "", "orders")
        found.append(replace(well, bad=bad, errors={error: bad}, since=AT) if bad else well)
    return found


def test_faults_whose_errors_differ_are_told_apart_by_few_calls() -> None:
    """The seconds after the second fault began: 28 of 90 calls fail, and of what is well there are but eight."""
    fleet = few(
        list_h0=(23, 11, "RuntimeError"), list_h1=(22, 5, "csv.Error"), read_h0=(3, 0, ""), read_h1=(13, 4, "csv.Error"),
        write_h0=(3, 0, ""), write_h1=(10, 3, "csv.Error"), drop_h0=(2, 0, ""), drop_h1=(14, 5, "csv.Error"),
    )  # fmt: skip
    assert blamed(fleet) == ["geo instance=h1", "geo operation=list instance=h0"]


def test_few_errors_of_another_type_outside_of_a_fault_leave_it_open_whether_it_is_one() -> None:
    """Before, two failures elsewhere widened it to the version, and that was acted on at once."""

    def fleet(error: str) -> list[Sample]:
        everywhere = cells("csv", versions=("1",), tenants=("",), machines=("m0", "m1"), calls=1, expected_ratio=0.05)
        write = [
            failing(replace(cell, total=4), (1.0, "RuntimeError")) for cell in everywhere if cell.operation == "write"
        ]
        return [*write, *(failing(cell, (1.0, error)) for cell in everywhere if cell.operation == "read")]

    (alike,), (unlike,) = (explain(fleet(error), running=9).faults for error in ("RuntimeError", "KeyError"))
    assert str(alike.scope) == str(unlike.scope) == "csv version=1"
    assert alike.apart < -3.0 < unlike.apart
    assert unlike.margin < alike.margin


def test_where_error_types_lie_everywhere_no_two_faults_are_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that names thirty types made a search take nine times as long."""
    searches: list[str] = []
    found = kinds_apart.suspect
    monkeypatch.setattr(
        kinds_apart, "suspect", lambda plugin, samples: searches.append(plugin) or found(plugin, samples)
    )
    chance = random.Random(5)
    fleet = [failing(cell, (0.5, "")) for cell in cells("csv", calls=40)]
    fleet = [replace(cell, errors=Counter(chance.choices("abcdefgh", k=cell.bad))) for cell in fleet]
    assert explain(fleet, running=9).faults
    assert searches == []


def test_errors_of_several_types_in_one_place_are_one_fault() -> None:
    fleet = [
        replace(cell, errors={"KeyError": cell.bad // 2, "TypeError": cell.bad - cell.bad // 2}) if cell.bad else cell
        for cell in cells("geo", where(operation="write"), calls=20)
    ]
    assert blamed(fleet) == ["geo operation=write"]


def test_more_cells_than_can_be_searched_become_fewer_and_the_fault_is_found() -> None:
    tenants = tuple(f"t{number}" for number in range(400))
    fleet = cells("csv", where(0.9, tenant="t7", operation="write"), tenants=tenants, calls=4)
    assert len(fleet) > cells_module.MOST_CELLS
    found = cells_module.cells_of(fleet)
    assert len(found.samples) <= cells_module.MOST_CELLS
    # What was put together goes by no name of its own: a search by error types counts the same samples once more.
    tenants_of = [sample.tenant for sample in found.samples]
    assert tenants_of == list(found.table.columns[ATTRIBUTES.index("tenant")])
    assert OVERFLOW in tenants_of
    assert blamed(fleet) == ["csv operation=write tenant=t7"]


def test_two_operations_of_five_are_two_faults_and_not_the_version() -> None:
    trouble = either(where(0.9, version="2", operation="a"), where(0.9, version="2", operation="b"))
    assert blamed(cells("geo", trouble, operations=("a", "b", "c", "d", "e"))) == [
        "geo version=2 operation=a",
        "geo version=2 operation=b",
    ]


def test_a_small_operation_that_is_wholly_broken_is_found() -> None:
    small = [
        replace(cell, total=6, bad=5, errors={"KeyError": 5}) for cell in cells("geo", where(), operations=("rare",))
    ]
    assert blamed(cells("geo", calls=200) + small) == ["geo operation=rare"]


def test_what_is_a_trifle_above_the_tolerated_is_no_fault() -> None:
    trifle = [
        replace(cell, total=10**6, bad=11_000, errors={"Stray": 11_000}, since=AT) if cell.operation == "read" else cell
        for cell in cells("geo", where(operation="write"))
    ]
    assert blamed(trifle) == ["geo operation=write"]


def test_faults_in_two_plugins_are_two() -> None:
    geo = cells("geo", where(version="2"))
    pdf = cells("pdf", where(0.5, "ValueError", operation="read"))
    assert blamed(geo, pdf) == ["geo version=2", "pdf operation=read"]


def test_names_that_are_not_told_apart_are_no_scope() -> None:
    trouble = where(tenant=OVERFLOW)
    assert blamed(cells("geo", trouble, tenants=("acme", OVERFLOW))) == ["geo"]


def test_a_fault_says_what_it_explains_and_what_else_was_considered() -> None:
    (fault,) = explain(cells("geo", where(0.5, version="2", operation="write")), running=20).faults
    assert (fault.total, fault.bad, fault.errors) == (300, 150, (("KeyError", 150),))
    assert fault.expected == pytest.approx(3.0)
    assert fault.since == AT
    assert len(fault.instances) == 3
    assert 3 <= len(fault.alternatives) <= 8
    weights = [item.weight for item in fault.alternatives]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] < fault.weight
    assert {"geo", "geo version=2", "geo operation=write"} <= {str(item.scope) for item in fault.alternatives}


def test_a_scope_is_the_surer_the_more_it_explains_than_the_next() -> None:
    few = [
        replace(cell, total=2, bad=min(cell.bad, 2))
        for cell in cells("geo", where(1.0, operation="write"), tenants=("",))
    ]
    (unsure,) = explain(few, running=20).faults
    (sure,) = explain(cells("geo", where(1.0, operation="write")), running=20).faults
    assert 0 < unsure.margin < 20 < sure.margin


# Across plugins


def shared(fleet: Iterable[Sample], running: int = 20) -> tuple[list[tuple[str, str, tuple[str, ...]]], list[str]]:
    explanation = explain(fleet, running=running)
    causes = [(cause.kind, cause.name, cause.plugins) for cause in explanation.shared]
    return causes, scopes(explanation)


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


def outage(*names: str, rate: float = 0.6, error: str = "ConnectionError", apart: float = 2.0) -> list[Sample]:
    """Plugins that begin to fail one after the other."""
    found = []
    for number, name in enumerate(names):
        found += cells(name, where(rate, error), since=AT + timedelta(seconds=apart * number))
    return found


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


# Whose word


def test_what_one_process_alone_says_is_at_most_its_own_fault() -> None:
    quiet = [replace(cell, total=0) for cell in cells("geo", versions=("2",))]
    forged = Sample("geo", "2", "write", 5000, 5000, 0.01, "evil", "m7", errors={"KeyError": 5000}, since=AT)
    (fault,) = explain([*quiet, forged], running=20).faults
    assert str(fault.scope) == "geo version=2 instance=evil"
    assert fault.sender == "evil"


def test_forged_failures_among_healthy_calls_stay_with_their_sender() -> None:
    forged = Sample("geo", "2", "write", 10**6, 10**6, 0.01, "evil", "m7", errors={"KeyError": 10**6}, since=AT)
    assert blamed([*cells("geo"), forged]) == ["geo instance=evil"]


def test_ghosts_excuse_nobody() -> None:
    ghosts = [replace(cell, known=False) for cell in outage(*(f"ghost{number}" for number in range(8)))]
    causes, faults = shared(outage("geo") + ghosts)
    assert causes == []
    assert "geo" in faults


def test_failures_that_one_process_forges_for_real_plugins_excuse_nobody() -> None:
    fleet = outage("geo", error="ConnectionError")
    for number in range(8):
        forged = failing(
            Sample(f"p{number}", "2", "write", 500, 0, 0.01, "evil", "m7", "", "evil"), (1.0, "ConnectionError")
        )
        fleet += [*cells(f"p{number}"), forged]
    causes, faults = shared(fleet)
    assert faults == ["geo"]
    assert [(kind, name) for kind, name, _ in causes] == [("machine", "m7")]


def test_one_process_that_is_well_does_not_split_what_all_others_say_together() -> None:
    """Before, each of twenty processes was a fault of its own with too little evidence, as long as one sent enough good calls."""
    fleet = [
        failing(cell, (0.4, "KeyError"))
        for cell in cells(
            "csv", versions=("1",), operations=("x",), tenants=("",), machines=("m0",), instances=20, calls=5
        )
    ]
    (fault,) = explain([*fleet, replace(fleet[0], instance="evil", total=5000, bad=0, errors={})], running=9).faults
    assert (str(fault.scope), fault.without) == ("csv version=1", "evil")
    assert fault.weight > 24
    assert set(fault.instances) == {cell.instance for cell in fleet}


def test_two_processes_that_fail_beside_one_that_is_well_are_two_faults() -> None:
    fleet = cells("csv", either(where(machine="m0"), where(machine="m1")), versions=("1",), calls=20)
    assert {fault.without for fault in explain(fleet, running=9).faults} == {""}


def test_healthy_calls_that_one_process_forges_hide_no_failures_of_others() -> None:
    machines = [f"m{number}" for number in range(20)]
    flood = Sample("geo", "2", "write", 10**6, 0, 0.01, "evil", "m7", "", "orders")
    real = cells("geo", where(), versions=("2",), machines=machines)
    faults = explain([*real, flood], running=20).faults
    covered = [any(covers(fault.scope, cell) for fault in faults) for cell in (*real, flood)]
    assert covered == [True] * len(real) + [False]


# Properties

VALUES = {
    "version": ("1", "2", "3"),
    "operation": ("a", "b", "c"),
    "machine": ("m0", "m1", "m2"),
    "tenant": ("", "acme"),
}


@st.composite
def planted(draw: st.DrawFn) -> tuple[dict[str, str], float]:
    """Conditions of one fault, and its rate."""
    names = draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=2))
    return {name: draw(st.sampled_from(VALUES[name])) for name in sorted(names)}, draw(
        st.sampled_from([0.15, 0.4, 0.9, 1.0])
    )


def noisy(trouble: Trouble, seed: int, *, ratio: float = 0.005, calls: int = 30) -> list[Sample]:
    """Cells whose calls fail by chance."""
    drawn = random.Random(seed)
    found = []
    for cell in cells(
        "geo",
        versions=VALUES["version"],
        operations=VALUES["operation"],
        machines=VALUES["machine"],
        tenants=VALUES["tenant"],
        instances=2,
        calls=calls,
    ):
        rate, error = trouble(cell) or (ratio, "Stray")
        bad = sum(drawn.random() < rate for _ in range(cell.total))
        found.append(replace(cell, bad=bad, errors={error: bad} if bad else {}, since=AT))
    return found


@settings(max_examples=40, deadline=None)
@given(planted(), st.integers(0, 2**32))
def test_a_planted_fault_with_clear_evidence_is_found_exactly(fault: tuple[dict[str, str], float], seed: int) -> None:
    values, rate = fault
    expected = " ".join(
        ["geo", *(f"{name}={values[name]}" for name in ("version", "operation", "machine", "tenant") if name in values)]
    )
    assert blamed(noisy(where(rate, **values), seed)) == [expected]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.002, 0.01]))
def test_a_healthy_plugin_explains_nothing(seed: int, ratio: float) -> None:
    assert blamed(noisy(lambda cell: None, seed, ratio=ratio)) == []


@settings(max_examples=25, deadline=None)
@given(planted(), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_the_cells_does_not_matter(
    fault: tuple[dict[str, str], float], seed: int, drawn: random.Random
) -> None:
    found = noisy(where(fault[1], **fault[0]), seed)
    shuffled = list(found)
    drawn.shuffle(shuffled)
    assert explain(found, running=20) == explain(shuffled, running=20)


@settings(max_examples=25, deadline=None)
@given(planted(), st.integers(0, 2**32), st.integers(1, 2000))
def test_healthy_calls_never_widen_a_scope(fault: tuple[dict[str, str], float], seed: int, more: int) -> None:
    values, rate = fault
    found = noisy(where(rate, **values), seed)
    well = [cell for cell in found if where(**values)(cell) is None]
    (before,) = explain(found, running=20).faults
    (after,) = explain([*found, *(replace(cell, total=more, bad=0, errors={}) for cell in well)], running=20).faults
    assert set(before.scope.conditions) <= set(after.scope.conditions)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_healthy_plugins_change_nothing(seed: int) -> None:
    trouble = cells("geo", where(version="2"))
    healthy = [replace(cell, plugin="pdf", since=None) for cell in noisy(lambda cell: None, seed)]
    assert explain([*trouble, *healthy], running=2) == explain(trouble, running=2)


def test_nothing_suspicious_is_nothing_to_explain() -> None:
    assert explain([], running=1000) == Explanation()
    assert explain(cells("geo"), running=1000) == Explanation()
