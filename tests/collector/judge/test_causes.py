"""Why the calls of a plugin fail: the fewest factors that explain the excess inside of it, and on whose word."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from plugwarden.contract import OVERFLOW
from plugwarden_collector.judge.causes import Sample, explain, kinds_apart
from plugwarden_collector.judge.causes import cells as cells_module
from plugwarden_collector.judge.causes.sample import ATTRIBUTES
from plugwarden_collector.judge.causes.suspect import suspect

from tests.collector.support.cells import (
    AT,
    Trouble,
    blamed,
    cells,
    covers,
    either,
    failing,
    outage,
    shared,
    where,
)


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


def test_where_error_types_lie_everywhere_no_two_faults_are_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that names thirty types made a search take nine times as long."""
    searches: list[str] = []
    found = suspect
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


def test_a_process_that_is_well_does_not_make_two_faults_of_others_the_version() -> None:
    """Before, the version was blamed in all processes but h2: for h0, h1, and one operation of h3, whose other calls all went well."""
    fleet = few(
        read_h0=(4, 2, "KeyError"), write_h0=(5, 4, "KeyError"), list_h0=(2, 2, "KeyError"),
        read_h1=(1, 0, ""), write_h1=(3, 3, "KeyError"), list_h1=(5, 4, "KeyError"),
        read_h2=(3, 0, ""), write_h2=(5, 0, ""), list_h2=(3, 0, ""),
        read_h3=(4, 0, ""), write_h3=(4, 4, "KeyError"), list_h3=(5, 0, ""),
    )  # fmt: skip
    machines = {"h0": "m0", "h1": "m0", "h2": "m1", "h3": "m1"}
    assert blamed([replace(cell, machine=machines[cell.instance]) for cell in fleet]) == [
        "geo machine=m0",
        "geo operation=write instance=h3",
    ]


def test_healthy_calls_that_one_process_forges_hide_no_failures_of_others() -> None:
    machines = [f"m{number}" for number in range(20)]
    flood = Sample("geo", "2", "write", 10**6, 0, 0.01, "evil", "m7", "", "orders")
    real = cells("geo", where(), versions=("2",), machines=machines)
    faults = explain([*real, flood], running=20).faults
    covered = [any(covers(fault.scope, cell) for fault in faults) for cell in (*real, flood)]
    assert covered == [True] * len(real) + [False]
