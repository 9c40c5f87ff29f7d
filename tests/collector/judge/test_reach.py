"""How far a fault reaches while its calls leave that open: what is not known to fail is left alone."""

from __future__ import annotations

from dataclasses import replace

from plugwarden_collector.judge.causes import CLEAR_NATS, ONE_FAULT_NATS, Fault, Sample, explain

from tests.collector.support.cells import AT, blamed, cells, either, outage, shared, where


def cell(operation: str, instance: str, tenant: str, total: int, *, shut: int = 0, **errors: int) -> Sample:
    """One cell of a plugin with one version; all calls that a breaker stands for are bad ones."""
    bad = sum(errors.values()) + shut
    return Sample(
        "geo", "1", operation, total, bad, 0.05, instance, f"m-{instance}", tenant, "orders", errors,
        AT if bad else None, shut=shut,
    )  # fmt: skip


def told(fleet: list[Sample]) -> dict[str, Fault]:
    return {str(fault.scope): fault for fault in explain(fleet, running=9).faults}


def test_one_failure_of_another_type_does_not_take_the_other_operations_of_a_tenant_along() -> None:
    """Before, the tenant was isolated for 18 of 29 calls, one of which was a stray failure elsewhere."""
    everybody = [cell("write", "h0", "b", 60), cell("read", "h0", "b", 60), cell("read", "h1", "b", 30)]
    fault = [cell("write", "h0", "a", 14, KeyError=9), cell("write", "h1", "a", 14, KeyError=8)]
    (found,) = told([*everybody, *fault, cell("read", "h1", "a", 1, ValueError=1)]).values()
    assert str(found.scope) == "geo version=1 operation=write tenant=a"
    assert found.weight > 0
    assert "geo tenant=a" in {str(item.scope) for item in found.alternatives}


def test_what_fails_everywhere_is_the_wider_one_as_soon_as_that_is_clear() -> None:
    everybody = [cell("write", "h0", "b", 60), cell("read", "h0", "b", 60)]
    (found,) = told(
        [*everybody, cell("write", "h0", "a", 28, KeyError=17), cell("read", "h1", "a", 9, KeyError=6)]
    ).values()
    assert str(found.scope) == "geo version=1 tenant=a"
    assert found.margin > 2


def test_what_a_breaker_refuses_counts_for_the_fault_that_opened_it() -> None:
    """Before, it counted for whichever fault was left: the operation was isolated for what one tenant did to its breaker."""
    fleet = [
        cell("list", "h0", "t1", 14, shut=7, RuntimeError=7), cell("list", "h0", "t2", 24, shut=12, PluginError=12),
        cell("list", "h0", "t3", 6), cell("list", "h1", "t3", 6), cell("list", "h1", "t2", 8, PluginError=8),
        cell("read", "h0", "t2", 11, PluginError=11), cell("read", "h1", "t2", 12, PluginError=12),
        cell("read", "h0", "t1", 20), cell("read", "h1", "t1", 20), cell("read", "h1", "t3", 20),
    ]  # fmt: skip
    assert blamed(fleet) == ["geo version=1 operation=list instance=h0 tenant=t1", "geo version=1 tenant=t2"]


def test_a_plugin_whose_breaker_is_open_fails_no_more_than_the_others_of_its_outage() -> None:
    """Before, what its breaker refused made it fail in 59 of 64 calls, where a third of all plugins' failed."""
    open_breaker = [
        replace(item, total=item.total + 200, bad=item.bad + 200, shut=200) for item in outage("d", rate=0.3)
    ]
    assert shared(outage("a", "b", "c", "e", rate=0.3) + open_breaker) == (
        [("simultaneous", "", ("a", "b", "c", "d", "e"))],
        [],
    )


def test_a_process_in_doubt_is_told_by_its_name_alone() -> None:
    """The machine may fail by its other process, too, for another reason: until that is clear nothing is said of the machine."""
    well = [cell(name, host, "", 30) for name in ("read", "write") for host in ("h2", "h3", "h4")]
    fleet = [
        cell("read", "h0", "", 5, ValueError=3), cell("write", "h0", "", 3),
        cell("read", "h1", "", 12, KeyError=10), cell("write", "h1", "", 5),
    ]  # fmt: skip
    (found,) = told([*well, *(replace(item, machine="m0") for item in fleet)]).values()
    assert found.scope.conditions == (("operation", "read"), ("instance", "h1"))
    assert "geo operation=read machine=m0" in {str(item.scope) for item in found.alternatives}


def test_a_scope_that_another_fault_explains_does_not_stand_for_a_second_fault() -> None:
    """Before, the second fault was told as the `write` of its version, which the first had explained, and was never acted on."""

    def trouble(item: Sample) -> tuple[float, str] | None:
        if item.operation == "write":
            return 1.0, "KeyError"
        return (0.4, "CsvError") if item.version == "2" else None

    fleet = cells("geo", trouble, operations=("read", "list", "write"), tenants=("",), calls=10, expected_ratio=0.05)
    found = told(fleet)
    assert set(found) == {"geo operation=write", "geo version=2"}
    second = found["geo version=2"]
    assert second.weight > 24
    assert second.apart < -5


def test_two_faults_with_errors_of_one_type_leave_it_open_whether_they_are_one() -> None:
    """Before, the version was isolated at once: all that tells of two are three calls that went well."""

    def fleet(*bad: int) -> list[Sample]:
        read, write, other_read, other_write = ({"KeyError": calls} if calls else {} for calls in bad)
        return [
            cell("read", "h0", "", 6, **read), cell("write", "h0", "", 7, **write),
            cell("read", "h1", "", 3, **other_read), cell("write", "h1", "", 8, **other_write),
        ]  # fmt: skip

    (two,), (one,) = told(fleet(6, 3, 0, 8)).values(), told(fleet(5, 5, 2, 6)).values()
    assert str(two.scope) == str(one.scope) == "geo version=1"
    assert two.weight > 24
    assert -two.apart < ONE_FAULT_NATS < -one.apart


def test_a_scope_that_was_narrowed_in_doubt_waits_for_no_wider_one() -> None:
    """Before, one stray failure of another type in another operation of the tenant delayed its isolation by ten seconds."""
    everybody = [cell(name, host, "b", 60) for name in ("write", "read") for host in ("h0", "h1")]
    fault = [cell("write", host, "a", 14, KeyError=14) for host in ("h0", "h1")]
    (found,) = told([*everybody, *fault, cell("read", "h1", "a", 1, ValueError=1)]).values()
    assert str(found.scope) == "geo version=1 operation=write tenant=a"
    assert found.margin > CLEAR_NATS
    assert -found.apart > ONE_FAULT_NATS


def test_a_fault_whose_parts_fail_at_rates_of_their_own_is_one_where_nothing_of_it_is_well() -> None:
    """A version that fails for both of its tenants, not quite alike: no call would be spared by telling them apart."""
    fleet = cells("geo", either(where(1.0, version="2", tenant="acme"), where(0.96, version="2")))
    (found,) = told(fleet).values()
    assert str(found.scope) == "geo version=2"
    assert -found.apart > ONE_FAULT_NATS
