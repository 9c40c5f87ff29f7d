"""A backtest: the same decisions as live, on seconds and on minutes, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden_collector.control.backtest import backtest
from plugwarden_collector.control.backtest.past import UsualAt
from plugwarden_collector.control.backtest.sieve import Sieve
from plugwarden_collector.control.backtest.tape import Names, Tape, moment, second_of
from plugwarden_collector.control.backtest.windows import SlidingWindows
from plugwarden_collector.errors import RulesError
from plugwarden_collector.judge.arrivals import Arrivals, StreamCounts
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import Watch, look
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule
from plugwarden_collector.rules.file import DEFAULT_RULES, Rules, load_rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.period import Calendar, CalendarUnit
from plugwarden_collector.rules.saturation import LimitedResource, Saturation
from plugwarden_collector.rules.slices import Slices
from plugwarden_collector.rules.tiers import PAGE, TICKET
from plugwarden_collector.store import Database, stored_telemetry

from tests.collector.support.told_seconds import BEGIN, Calls, live

World = Callable[[int], Sequence[Calls]]
RULES = """
[[slo]]
name = "availability"
objective = 0.99
[[slo]]
name = "latency"
sli = "latency"
threshold = "250ms"
objective = 0.95
[policy]
enforcement = "enforce"
hold = "1h"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return load_rules(file)


def world(fault: Callable[[Calls, int], Calls]) -> World:
    """Three plugins with two operations in three processes for two tenants, each part twice a second; one of a hundred fails by
    itself."""
    parts = [
        Calls(plugin, "1", operation, instance, tenant, good=2)
        for plugin in ("csv", "geo", "pdf")
        for operation in ("read", "write")
        for instance in ("h1", "h2", "h3")
        for tenant in ("a", "b")
    ]

    def calls(second: int) -> Sequence[Calls]:
        found = []
        for place, part in enumerate(parts):
            one = failing(part, 1) if (second * 7 + place * 13) % 50 == 0 else part
            found.append(fault(one, second))
        return found

    return calls


def failing(part: Calls, failed: int, *, slow: int = 0) -> Calls:
    return replace(part, good=2 - failed - slow, failed=failed, slow=slow)


def nothing(part: Calls, second: int) -> Calls:
    return part


def one_after_the_other(part: Calls, second: int) -> Calls:
    """An operation, then a process, then a slow operation, each of another plugin."""
    if second >= 14 and (part.plugin, part.operation) == ("csv", "read"):
        return failing(part, 2)
    if second >= 20 and (part.plugin, part.instance) == ("geo", "h2"):
        return failing(part, 2)
    if second >= 26 and (part.plugin, part.operation) == ("pdf", "write"):
        return failing(part, 0, slow=2)
    return part


def a_tenant(part: Calls, second: int) -> Calls:
    return failing(part, 2) if second >= 14 and (part.plugin, part.tenant) == ("csv", "b") else part


def a_host(part: Calls, second: int) -> Calls:
    return failing(part, 2) if second >= 14 and part.instance == "h3" else part


@pytest.mark.parametrize("fault", [one_after_the_other, a_tenant, a_host, nothing], ids=lambda fault: fault.__name__)
def test_what_live_judging_decided_is_decided_again_from_the_stored_seconds(
    tmp_path: Path, rules: Rules, fault: Callable[[Calls, int], Calls]
) -> None:
    judge = live(tmp_path / "data", rules, 40, world(fault), obey=True)
    report = backtest(tmp_path / "data", rules).as_dict()
    assert report["complete"]
    was = [(item.kind, item.scope) for item in judge.decisions]
    assert [(item["kind"], item["scope"]) for item in report["decisions"]] == was
    assert bool(was) == (fault is not nothing)


# -- a store of minutes, put together faster than time passes


def minutes(folder: Path, hours: int, fault: str = "false") -> Path:
    """Fill a store with three plugins, two operations and three processes; `fault` is a condition on what fails."""
    database = Database(folder)
    connection = database.cursor()
    connection.execute(MINUTES.format(fault=fault), {"begin": BEGIN, "hours": hours})
    end = BEGIN + timedelta(hours=hours)
    for name, time in (("seconds", end), ("minutes", end), ("hours", BEGIN)):
        connection.execute("insert or replace into progress values (?, null, ?)", [name, time])
    connection.close()
    database.close()
    return folder


MINUTES = """
insert into call_minutes
with calls as (
    select minute, plugin, operation, instance, '1' as version, hash(minute, plugin, operation, instance) % 50 = 0 as dull, {fault} as wrong
    from range($begin::timestamp, $begin::timestamp + to_hours($hours), interval 1 minute) t(minute)
    cross join (select unnest(['csv', 'geo', 'pdf']) as plugin) cross join (select unnest(['read', 'write']) as operation)
    cross join (select unnest(['h1', 'h2', 'h3']) as instance)
)
select minute, 'host', instance, plugin, version, operation, outcome, if(outcome = 'error', 'plugin', ''),
    if(outcome = 'error', 'ValueError', ''), count, 0.01 * count, 0.01, 0, [-110], [count]
from (select *, unnest(['success', 'error']) as outcome,
    unnest([if(wrong, 0, if(dull, 29, 30)), if(wrong, 30, if(dull, 1, 0))]) as count from calls) where count > 0
"""


def test_minutes_tell_what_was_isolated_and_what_that_would_have_spared(tmp_path: Path, rules: Rules) -> None:
    fault = "plugin = 'csv' and operation = 'read' and minute >= $begin::timestamp + interval 2 hours"
    found = backtest(
        minutes(tmp_path, 3, f"{fault} and minute < $begin::timestamp + interval 150 minutes"), rules
    ).as_dict()
    (trouble,) = found["troubles"]
    assert (trouble["kind"], trouble["scope"]) == ("quarantined", "csv@1 operation=read")
    begin = BEGIN + timedelta(hours=2)
    assert begin <= trouble["began"] <= trouble["isolated"] <= begin + timedelta(minutes=3)
    refused = trouble["refused"]
    assert refused["failures_avoided"] > 0.9 * 27 * 90
    assert refused["calls"] == refused["failures_avoided"] + refused["refused_wrongly"]
    assert refused["hosts"] == ["h1", "h2", "h3"]
    assert trouble["happened"] == {"isolated": False, "says": "it was never isolated"}
    assert any("csv" in item["summary"] for item in found["told"])


def test_where_nothing_is_wrong_nothing_is_found_and_next_to_nothing_is_evaluated(tmp_path: Path, rules: Rules) -> None:
    report = backtest(minutes(tmp_path, 24), rules)
    assert report.as_dict()["decisions"] == report.as_dict()["told"] == []
    assert report.looks == 24 * 60
    assert report.turns < report.looks / 100


def test_alerts_of_the_rules_are_not_replayed_and_named(tmp_path: Path, rules: Rules) -> None:
    missed = AlertRule("backup is missed", AlertKind.ABSENCE, plugins="backup", silence_seconds=3600.0)
    report = backtest(minutes(tmp_path, 1), replace(rules, alerts=(missed,)))
    assert report.as_dict()["not_replayed"] == ["backup is missed"]


def test_objectives_that_isolate_nothing_are_not_replayed_and_named(tmp_path: Path, rules: Rules) -> None:
    parts = (
        replace(OBJECTIVES[0], name="reads", operations="read*"),
        replace(OBJECTIVES[0], name="minutes", slices=Slices(60, 0.95)),
        replace(OBJECTIVES[0], name="room", sli=Sli.SATURATION, saturation=Saturation(LimitedResource.RATE, 0.8)),
    )
    folder = minutes(tmp_path, 1)
    alone, beside = backtest(folder, rules), backtest(folder, replace(rules, objectives=(*rules.objectives, *parts)))
    assert beside.as_dict() == {**alone.as_dict(), "not_replayed": ["reads", "minutes", "room"]}
    with pytest.raises(RulesError, match="a backtest replays no others"):
        backtest(folder, replace(rules, objectives=parts))


def test_over_says_how_far_back_it_begins(tmp_path: Path, rules: Rules) -> None:
    report = backtest(minutes(tmp_path, 30), rules, over="2h")
    assert report.until - report.since == timedelta(hours=2)


def test_who_stops_it_gets_what_was_found_so_far(tmp_path: Path, rules: Rules) -> None:
    folder = minutes(tmp_path, 12, "plugin = 'geo' and minute >= $begin::timestamp + interval 1 hours")
    turns = iter(range(1_000_000))
    report = backtest(folder, rules, stop=lambda: next(turns) > 12)
    assert not report.complete
    assert report.until < BEGIN + timedelta(hours=4)
    assert next(item["scope"] for item in report.as_dict()["troubles"]).startswith("geo")


def test_a_tape_holds_no_more_than_four_hours_at_a_time(tmp_path: Path) -> None:
    minutes(tmp_path, 30)
    with stored_telemetry(tmp_path) as (telemetry, _):
        recorded = telemetry.replaying.recorded()
        assert recorded is not None
        tape = Tape(telemetry.replaying, recorded, ())
        chunks = list(tape.chunks(second_of(BEGIN), second_of(BEGIN + timedelta(hours=30))))
    assert max(chunk.before - chunk.begin for chunk in chunks) == 4 * 3600
    assert max(len(chunk.second) for chunk in chunks) == 4 * 60 * 6


# -- what is skipped is what would have done nothing

OBJECTIVES = (
    Objective("fails", Sli.AVAILABILITY, 0.99, 86_400.0 * 30),
    Objective("slow", Sli.LATENCY, 0.95, 86_400.0 * 30, plugins="c*", threshold_seconds=0.25),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.integers(0, 9), min_size=6, max_size=6)), min_size=2, max_size=60
    ),
    st.integers(0, 59),
)
def test_windows_tell_ahead_what_they_hold_once_time_has_passed(
    slices: list[tuple[int, list[int]]], known: int
) -> None:
    lengths = (14_400.0, 864_000.0)
    objectives = tuple(replace(item, period_seconds=one) for item, one in zip(OBJECTIVES, lengths, strict=True))
    rules = replace(DEFAULT_RULES, objectives=objectives)
    names = Names()
    for version in ("1", "2"):
        names.number(("csv", version, "read"))
    windows, step = SlidingWindows(rules, names), SlidingWindows(rules, names)
    begins = np.cumsum([60 + gap * 600 for gap, _ in slices]).astype(np.int64)
    counts = np.array([np.reshape(row, (3, 2)) for _, row in slices], np.float64)
    before = min(known, len(slices) - 1)
    for place in range(before):
        for one in (windows, step):
            one.know()
            one.add(begins[place : place + 1], counts[place : place + 1])
            one.advance(int(begins[place]) + 60)
    for one in (windows, step):
        one.know()
    ahead = windows.ahead(begins[before:], begins[before:] + 60, counts[before:])
    for place in range(before, len(slices)):
        step.add(begins[place : place + 1], counts[place : place + 1])
        step.advance(int(begins[place]) + 60)
        for size, held in step.now.of_size.items():
            assert (ahead.of_size[size][place - before] == held[0]).all()
    for objective in objectives:
        for size in (*objective.windows, objective.period_seconds):
            pages, tickets = (ahead.of(objective, size, severity) for severity in (PAGE, TICKET))
            assert all((of.sum(axis=1) == over[:, 0]).all() for of, over in zip(pages, tickets, strict=True))
    windows.add(begins[before:], counts[before:])
    windows.advance(int(begins[-1]) + 60)
    assert all((windows.now.of_size[size] == held).all() for size, held in step.now.of_size.items())


ROWS = st.one_of(
    st.none(), st.tuples(st.integers(0, 60), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.integers(0, 3000), st.integers(0, 2), st.integers(0, 2)),
)  # fmt: skip
SLICES = st.lists(st.tuples(ROWS, ROWS, ROWS), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(SLICES)
def test_the_sieve_lets_pass_what_look_suspects_nobody_for_and_hands_over_the_same_watch(
    slices: list[tuple[tuple[int, int, int] | None, ...]],
) -> None:
    names = Names()
    for name in (("csv", "1", "read"), ("csv", "2", "read"), ("geo", "1", "write")):
        names.number(name)
    usual = UsualAt(names, np.array([1000.0, 0, 0]), np.array([[0.02, 0, 0], [0.1, 0, 0]]))
    sieve, watch = Sieve(OBJECTIVES, names), Watch()
    sieve.take_back(watch)
    for place, rows in enumerate(slices):
        at = 60 * (place + 1)
        told = [
            StreamCounts(*names.streams[number], CallCounts(sum(row), failed=row[1]), 0, (row[2],))
            for number, row in enumerate(rows)
            if row is not None
        ]
        stream = np.array([number for number, row in enumerate(rows) if row is not None], np.int64)
        counts = np.array([[sum(row), row[1], 0, row[2]] for row in rows if row is not None], np.int64).reshape(-1, 4).T
        watch, suspects = look(watch, Arrivals(at, told), OBJECTIVES, usual, moment(at), lambda *_: True)
        some = sieve.matters(stream, counts) | sieve.known[stream]
        assert sieve.passes(stream[some], counts[:, some], usual, at, at - 60) == (not suspects)
        if suspects:
            sieve.take_back(watch)
        handed = sieve.handed_over(watch)
        assert handed.streams.keys() == watch.streams.keys()
        for key, item in watch.streams.items():
            mine = handed.streams[key]
            assert (mine.bad_at, mine.well_since) == (item.bad_at, item.well_since)
            assert mine.well_nats == pytest.approx(item.well_nats, abs=1e-9)
            for one, other in zip(mine.lines, item.lines, strict=True):
                assert one.nats == pytest.approx(other.nats, abs=1e-9)
                if other.nats > 0.0:
                    assert (one.since, one.mark) == (other.since, other.mark)


def test_a_period_of_the_calendar_is_refused_by_its_objective(tmp_path: Path) -> None:
    objective = replace(OBJECTIVES[0], calendar=Calendar(CalendarUnit.MONTH, "Europe/Berlin"))
    with pytest.raises(RulesError, match=r"fails.period: a backtest knows no month of the calendar; write a length"):
        backtest(tmp_path, replace(DEFAULT_RULES, objectives=(objective,)))
