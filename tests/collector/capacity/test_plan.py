"""Limits, what would be, who uses what, and our own store: sums that are known by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.capacity.ceiling import Bend, Ceiling
from plugwarden_collector.capacity.demand import Demand, PluginDemand, demands
from plugwarden_collector.capacity.forecast import Confidence
from plugwarden_collector.capacity.growth import TableSize, store_growth
from plugwarden_collector.capacity.held import Held, Machine, held_by
from plugwarden_collector.capacity.limit import LimitKind, machine_utilisation, plugin_utilisation, tightest
from plugwarden_collector.capacity.load import HOUR, Load
from plugwarden_collector.capacity.outlook import curve_of, outlooks
from plugwarden_collector.capacity.resource import Resource
from plugwarden_collector.capacity.showback import Usage, showback
from plugwarden_collector.capacity.whatif import Change, ChangeKind, WhatIf, change_of, what_if
from plugwarden_collector.errors import CapacityError

UNTIL = datetime(2026, 11, 20, 12)
ROW = PluginDemand("csv", "run", None, 3600, 3600.0, 1.0, 10.0, 60.0, 0.5, 4.0, 0.25, 2.0)
HELD = Held("csv", "run", 2, "team-a", 6.0, 8.0, 40.0, None, 700, 1000.0, 5)
MACHINES = [Machine("m1", 1, 4.0, 0.2, 3.0), Machine("m2", 1, 4.0, 0.05, 1.0), Machine("m3", 1, None, None, None)]


SURENESS = list(Confidence)
NOT_BENT = Ceiling(Bend.NOT_SEEN, None, None, None, None, 10.0, 0.1, "")


def rows(*operations: PluginDemand) -> list[Demand]:
    return demands(operations or [ROW], [HELD], MACHINES)


def asked(*changes: str, held: Held = HELD, ceilings: dict[str, Ceiling] | None = None) -> WhatIf:
    limits = plugin_utilisation(rows(), [held], ceilings) + machine_utilisation(MACHINES)
    return what_if([change_of(text) for text in changes], limits, rows(), MACHINES[:2], ceilings)


def test_demand_is_told_with_what_hosts_tell() -> None:
    (found,) = rows()
    assert (found.cpu_seconds_per_call, found.host_share_ratio) == (0.25, 0.25 / 8)
    assert (found.most_running, found.memory_bytes, found.owner, found.output_bytes) == (5, 700, "team-a", None)
    (tenant,) = rows(replace(ROW, tenant_id="big", cpu_cores=None))
    assert (tenant.cpu_seconds_per_call, tenant.host_share_ratio, tenant.memory_bytes) == (None, None, None)


def test_a_limit_of_a_plugin_is_unknown_where_one_operation_has_none() -> None:
    free = replace(HELD, plugin_operation="load", concurrency=None, calls_per_second=5.0, memory_bytes=None)
    both = held_by([HELD, free], "csv")
    assert both is not None
    assert (both.concurrency, both.calls_per_second, both.memory_bytes, both.most_running) == (None, 45.0, 700, 10)
    assert held_by([HELD], "geo") is None


def test_the_fullest_limit_comes_first_and_what_has_none_is_left_out() -> None:
    found = plugin_utilisation(rows(), [HELD])
    assert [(item.resource, item.kind, item.ratio) for item in found] == [
        (Resource.MEMORY, LimitKind.ENFORCED, 0.7),
        (Resource.CONCURRENCY, LimitKind.DECLARED, pytest.approx(4 / 6)),
        (Resource.CONCURRENCY, LimitKind.ENFORCED, 0.5),
        (Resource.CALLS, LimitKind.ENFORCED, 0.25),
    ]
    assert tightest(found)["csv", Resource.CONCURRENCY].kind is LimitKind.ENFORCED
    assert [(item.host_name, item.ratio) for item in machine_utilisation(MACHINES)] == [("m1", 0.75), ("m2", 0.25)]


def test_what_is_full_first_is_named() -> None:
    now = asked(held=replace(HELD, memory_limit_bytes=None))
    assert now.bottleneck is not None
    assert (now.bottleneck.host_name, now.bottleneck.ratio) == ("m1", 0.75)
    assert now.times_left == pytest.approx(4 / 3)
    cheaper = asked("cost=-60%", "traffic=1.1", held=replace(HELD, memory_limit_bytes=None))
    assert cheaper.bottleneck is not None
    # Of four calls at once two are on a processor, and take 0.6 of that time less.
    assert (cheaper.bottleneck.plugin_id, cheaper.bottleneck.used) == ("csv", pytest.approx((4 - 0.6 * 2) * 1.1))
    more = asked("traffic=2", "hosts=+2", held=replace(HELD, memory_limit_bytes=None))
    assert more.bottleneck is not None
    assert more.bottleneck.ratio == pytest.approx(0.75), "twice the calls on twice the hosts"


def test_a_plugin_is_removed_or_joined_by_another_like_it() -> None:
    gone, another = asked("remove=csv"), asked("add=csv")
    assert gone.bottleneck is not None
    assert (gone.bottleneck.ratio, gone.times_left) == (0.0, None)
    machine = next(item.after for item in another.outcomes if item.after.host_name == "m1")
    assert machine.ratio == pytest.approx(1.5)


def test_an_observed_ceiling_is_held_against_the_peak_of_the_plugin_and_not_the_sum_of_its_operations_peaks() -> None:
    """Its operations are busiest at different moments: 10 and 8 calls a second are never 18."""
    operations = rows(ROW, replace(ROW, plugin_operation="load", peak_calls_per_second=8.0))
    (whole,) = rows(replace(ROW, plugin_operation=None, calls_per_second=2.0, peak_calls_per_second=11.0))
    bent = {"csv": Ceiling(Bend.SEEN, 20.0, 18.0, 22.0, 2.0, 12.0, 0.1, ""), "geo": NOT_BENT}
    found = [item for item in plugin_utilisation(operations, [], bent, [whole]) if item.kind is LimitKind.OBSERVED]
    assert [(item.used, item.usual, item.ratio) for item in found] == [(11.0, 2.0, 0.55)]


def test_machines_together_are_as_busy_as_in_the_busiest_hour_of_all() -> None:
    """Ever more of one plugin's calls are made by day and of the other's by night; together they grow by a hundredth of the first day."""
    hours = np.arange(30 * 24)
    by_day = 2 + np.where(hours % 24 < 12, 1, -1) * hours / 480
    both = Load(("csv", "geo"), UNTIL, {item: np.stack([by_day, 4 - by_day]) * (1 + hours / 2400) for item in Resource})
    (found,) = outlooks(both, machine_utilisation(MACHINES)[:1], [ROW])
    assert found.limit.ratio == 0.75
    assert found.until.median_days == pytest.approx(130 / 0.75 - 130, abs=2)


def test_an_answer_says_how_sure_it_is() -> None:
    plain = replace(HELD, memory_limit_bytes=None)
    assert (asked(held=plain).confidence, asked(held=plain).reasons) == (Confidence.HIGH, [])
    assert asked("traffic=1.5", held=plain).confidence is Confidence.MEDIUM
    far = asked("traffic=3", held=plain)
    assert (far.confidence, far.reasons) == (
        Confidence.LOW, ["load on a host is 3 times what was seen; calls are taken to last as long as now"],
    )  # fmt: skip
    bent = Ceiling(Bend.SEEN, 12.0, 11.0, 13.0, 2.0, 10.0, 0.1, "")
    beyond = asked("traffic:csv=1.15", held=plain, ceilings={"csv": bent})
    assert (beyond.confidence, beyond.reasons) == (Confidence.LOW, ["'csv' would be beyond where its latency doubles"])
    assert asked("traffic:csv=0.9", held=plain, ceilings={"csv": bent}).confidence is Confidence.HIGH, "seen already"
    assert asked("traffic:csv=2", "hosts=+2", held=plain, ceilings={"csv": bent}).reasons == [], "a host has as much"
    assert asked("hosts=-1", held=plain, ceilings={"csv": bent}).confidence is Confidence.LOW
    assert asked("add=csv", "add=csv", held=plain).confidence is Confidence.LOW, "three times the load of a machine"
    assert asked("cost=3", held=plain).confidence is Confidence.LOW
    nothing = what_if([], [], [], [])
    assert (nothing.bottleneck, nothing.confidence) == (None, Confidence.NONE)


def test_who_is_far_from_every_limit_makes_no_answer_less_sure() -> None:
    tiny = replace(ROW, plugin_id="tiny", peak_concurrency=0.01, peak_calls_per_second=0.01, cpu_cores=0.001)
    both = rows(ROW, tiny)
    held = [replace(HELD, memory_limit_bytes=None), replace(HELD, plugin_id="tiny", memory_limit_bytes=None)]
    limits = plugin_utilisation(both, held) + machine_utilisation(MACHINES)
    found = what_if([change_of("traffic:tiny=3")], limits, both, MACHINES[:2])
    assert (found.confidence, found.reasons) == (Confidence.HIGH, [])
    assert found.bottleneck is not None
    assert found.bottleneck.host_name == "m1"


CHANGES = st.fixed_dictionaries(
    {
        "traffic": st.sampled_from([0.5, 1.0, 1.5, 4.0]),
        "cost": st.sampled_from([0.5, 1.0, 2.0]),
        "hosts": st.integers(-1, 4),
        "again": st.integers(0, 2),
    }
)


@given(CHANGES, st.sampled_from([1.1, 2.0, 5.0]))
def test_more_load_fills_and_more_hosts_empty(asked_for: dict[str, float], more: float) -> None:
    def answer(times: float, hosts: float) -> WhatIf:
        texts = [f"traffic={asked_for['traffic'] * times}", f"cost={asked_for['cost']}", f"hosts={hosts:+.0f}"]
        return asked(*texts, *["add=csv"] * int(asked_for["again"]))

    few, many = answer(1, asked_for["hosts"]), answer(more, asked_for["hosts"])
    by_limit = {item.before: item.after for item in many.outcomes}
    for item in few.outcomes:
        assert by_limit[item.before].ratio >= item.after.ratio
    assert many.times_left is not None
    assert few.times_left is not None
    assert many.times_left == pytest.approx(few.times_left / more)
    assert SURENESS.index(many.confidence) <= SURENESS.index(few.confidence), "load that was never seen is no surer"
    doubled = answer(1, asked_for["hosts"] + (2 + asked_for["hosts"]))
    by_limit = {item.before: item.after for item in doubled.outcomes}
    for item in few.outcomes:
        memory = item.before.resource is Resource.MEMORY
        assert by_limit[item.before].ratio == pytest.approx(item.after.ratio / (1 if memory else 2))
        if memory:
            assert by_limit[item.before].used == pytest.approx(2 * item.after.used), "each process has its workers"


def test_memory_of_workers_leaves_room_for_load() -> None:
    found = asked(held=replace(HELD, memory_limit_bytes=710.0))
    assert found.bottleneck is not None
    assert found.bottleneck.resource is Resource.MEMORY
    assert found.times_left == pytest.approx(4 / 3), "until the machine is full; memory does not grow with load"


def test_a_plugin_that_is_removed_and_added_is_as_it_was() -> None:
    assert asked("remove=csv", "add=csv").outcomes == asked().outcomes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("traffic", "is no change; write traffic=1.5"), ("traffic:=2", "is no change; write"), ("cost:=2", "is no change; write"),
        ("Traffic=2", "is no change"), ("traffic=nan", "take a factor from 0 to 1000"),
        ("traffic=1e9", "take a factor from 0 to 1000"), ("traffic=-150%", "take a factor"), ("hosts=1.5", "hosts take a whole number"),
        ("hosts:csv=1", "hosts take a whole number"), ("add:csv=1", "write add=PLUGIN"), ("remove:a=b", "write remove=PLUGIN"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(CapacityError, match=r"^what_if: ") as caught:
        change_of(text)
    assert said in str(caught.value)
    assert caught.value.field == "what_if"


@pytest.mark.parametrize("name", ["a=b", "a:b", " a ", "=", "a%", "näme"])
def test_any_name_can_be_changed(name: str) -> None:
    assert change_of(f"traffic:{name}=2") == Change(ChangeKind.TRAFFIC, name, 2.0)
    assert change_of(f"remove={name}") == Change(ChangeKind.REMOVE, name, 1.0)


@given(st.text(max_size=40) | st.text("traficosremvd:=+-%.0123456789e", max_size=20))
def test_whatever_is_asked_is_a_change_or_refused(text: str) -> None:
    try:
        change = change_of(text)
    except CapacityError:
        return
    assert change.amount == change.amount


def test_plugins_and_hosts_that_are_not_there_are_named() -> None:
    with pytest.raises(CapacityError, match="no plugin 'geo' has made a call"):
        asked("traffic:geo=2")
    with pytest.raises(CapacityError, match="2 run plugins, and one at least must be left"):
        asked("hosts=-2")


USAGE = st.builds(
    Usage,
    who=st.sampled_from([None, "", "a", "b", "nobody"]),
    plugin_id=st.sampled_from(["csv", "geo", None]),
    calls=st.integers(0, 1000),
    cpu_seconds=st.none() | st.integers(0, 1000).map(float),
    stored_bytes=st.none() | st.integers(0, 1000).map(float),
)


@given(st.lists(USAGE, max_size=20))
def test_parts_add_up_to_the_whole(used: list[Usage]) -> None:
    found = showback(used)
    assert sum(item.calls for item in found) == sum(item.calls for item in used)
    for name in ("cpu_seconds", "stored_bytes"):
        whole = sum(getattr(item, name) or 0 for item in used)
        assert sum(getattr(item, name) or 0 for item in found) == whole
    shares = [item.cpu_share_ratio for item in found if item.cpu_share_ratio is not None]
    assert not shares or sum(shares) == pytest.approx(1)
    assert len({(item.name, item.named) for item in found}) == len(found), "a tenant may call itself nobody"
    unknown = {item.who or None for item in used} - {item.who or None for item in used if item.cpu_seconds is not None}
    for item in found:
        assert (item.cpu_seconds is None) == ((item.name if item.named else None) in unknown), "missing is none, not 0"


def test_a_store_settles_at_what_is_kept_or_fills_its_disk() -> None:
    kept = {"raw": 7.0, "hours": 400.0}
    young = TableSize("spans", "raw", 1000, 10_000_000, 1000, 1.0)
    found = store_growth([young], kept, 1_000_000_000, 0)
    assert (found.bytes_per_day, found.settled_bytes, found.full_in_days, found.early_in_days) == (1e7, 7e7, None, None)
    assert store_growth([young], kept, 35_000_000, None).full_in_days == 4
    bound = store_growth([young], kept, 35_000_000, 30_000_000)
    assert (bound.full_in_days, bound.early_in_days) == (None, 3)
    assert store_growth([young], kept, None, None).full_in_days is None
    settled = store_growth([replace(young, rows=7000, bytes=70_000_000, held_days=7.0)], kept, 1_000, None)
    assert settled.full_in_days is None, "as much is let go as comes"


def test_a_small_table_does_not_say_what_a_row_takes() -> None:
    small = TableSize("spans", "raw", 10, 262_144, 10, 1.0)
    found = store_growth([small], {"raw": 7.0}, 0, None)
    assert (found.bytes_per_day, found.settled_bytes, found.full_in_days) == (None, None, None)
    assert (found.tables[0].bytes, found.tables[0].bytes_per_day) == (262_144, None)


def load(days: int, growth: float) -> Load:
    hours = np.arange(days * 24)
    values = (10 + growth * hours / 24) * (1 + 0.3 * np.sin(hours / 24 * 2 * np.pi))
    return Load(
        ("csv",),
        UNTIL,
        {
            Resource.CALLS: values[None, :],
            Resource.CONCURRENCY: values[None, :],
            Resource.CPU: np.full((1, days * 24), np.nan),
        },
    )


def test_when_a_limit_is_reached_is_ranked_with_its_record() -> None:
    whole = replace(ROW, plugin_operation=None, peak_calls_per_second=24.5, peak_concurrency=24.5)
    operations = rows(replace(whole, plugin_operation="run"))
    limits = plugin_utilisation(
        operations, [replace(HELD, calls_per_second=32.5, concurrency=100.0, memory_limit_bytes=None)]
    )
    first, second = outlooks(load(30, 0.3), limits, [whole])
    assert (first.limit.resource, first.record.confidence) == (Resource.CALLS, Confidence.HIGH)
    assert first.until.median_days == pytest.approx(20, abs=3)
    assert second.until.median_days is None or second.until.median_days > 100
    (full, *_) = outlooks(
        load(30, 0.0), plugin_utilisation(operations, [replace(HELD, calls_per_second=20.0)]), [whole]
    )
    assert full.until.soonest_days == 0


def test_what_was_never_called_for_an_hour_has_no_outlook_and_says_so() -> None:
    limits = plugin_utilisation(rows(), [HELD])
    for empty in (Load((), UNTIL, {item: np.empty((0, 0)) for item in Resource}), Load.nothing("csv", UNTIL)):
        found = outlooks(empty, [*limits, *machine_utilisation(MACHINES)], [ROW])
        assert {item.record.confidence for item in found} == {Confidence.NONE}
        assert {item.until.median_days for item in found} == {None}
    curve = curve_of(Load.nothing("csv", UNTIL), "csv", Resource.CALLS, limits, 7)
    assert (curve.past, curve.ahead, curve.record.reason) == ([], [], "no day of data; a forecast needs 3")


def test_a_curve_goes_on_where_the_past_ends() -> None:
    curve = curve_of(load(30, 0.0), "csv", Resource.CALLS, [], 7)
    assert curve.past[-1].time + HOUR == curve.ahead[0].time == UNTIL
    assert len(curve.ahead) == 7 * 24
    assert curve.ahead[-1].time == UNTIL + timedelta(days=7) - HOUR
    for point in curve.ahead:
        assert point.low_95 <= point.low_80 <= point.expected <= point.high_80 <= point.high_95
