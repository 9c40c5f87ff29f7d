"""What is kept in memory of the calls answers as the tiers do: late calls, folding, retention, restarts and falling behind."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract.histogram import threshold_index
from plugwarden_collector.control.observe import observe
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.file import DEFAULT_RULES, Rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.store import statement
from plugwarden_collector.store.calls import PluginCalls
from plugwarden_collector.store.duckdb.calls import (
    hour_cache,
    minute_cache,
    resolutions,
)
from plugwarden_collector.store.duckdb.calls.cells import Cells
from plugwarden_collector.store.duckdb.calls.fleet import FleetPages
from plugwarden_collector.store.duckdb.calls.kind import Kind
from plugwarden_collector.store.duckdb.retention.slices import Keep, RetentionStats, clean_up

from tests.collector.support.rolled_store import Store, call_each, span
from tests.share import repetitions

MINUTE = timedelta(minutes=1)

BEGIN = datetime(2026, 11, 20, 6, 0, 10)
FAST = threshold_index(0.1)
SPANS = (timedelta(seconds=40), timedelta(minutes=15), timedelta(hours=2), timedelta(hours=5), timedelta(hours=24))


def send(store: Store, at: datetime, times: list[datetime], chance: random.Random) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for time in times:
        outcome = chance.choice(("success", "success", "error", "timeout", "rejected", "cancelled"))
        attributes = {
            "plugin.id": chance.choice(("geo", "csv-export", 'a "quoted" näme')), "plugin.outcome": outcome,
            "plugin.version": chance.choice(("1.0", "1.1")), "plugin.operation": chance.choice("ab"),
        }  # fmt: skip
        if outcome not in ("success", "cancelled"):
            attributes["plugin.error.source"] = chance.choice(("plugin", "downstream", "quota"))
        span(message, chance.lognormvariate(-3, 2), time, attributes=attributes)
    store.send(Signal.TRACES, message, at)


def rounded(rows: Sequence[PluginCalls]) -> list[dict[str, Any]]:
    return [
        {key: round(value, 9) if isinstance(value, float) else value for key, value in asdict(row).items()}
        for row in rows
    ]


def check(store: Store, at: datetime) -> int:
    """Every answer is what SQL says; answers how many came from memory."""
    database, remembered = store.database, 0
    for length in SPANS:
        for until in (at, at - timedelta(seconds=65)):
            since = until - length
            cut = database.tiers.span(since, until)
            by_sql = database.values(PluginCalls, "fleet", {**cut, "seconds": length.total_seconds(), "plugin": None})
            assert rounded(store.fleet.plugins(since, until)) == rounded(by_sql), (length, until)
            remembered += store.fleet.memory.calls(since, until) is not None
            for step in (1.0, 10.0, 900.0):
                finest = {**database.tiers.span(since, until, finest=step < 60), "step": step}
                steps = database.fetch(statement("fleet_series"), finest)[0]["calls"]
                assert json.loads(store.fleet.series(since, until, step)) == json.loads(steps), (length, until, step)
    for length in (timedelta(hours=7), timedelta(days=30)):
        cut = database.tiers.span(at - length, at)
        asked = {**cut, "at": at, "windows": [length.total_seconds()], "operations": None}
        assert store.hours.counts(cut) == counted(store, "window_counts", asked)
        plugins = sorted({row["plugin_id"] for row in database.fetch(statement("window_counts"), asked)})
        slow = {"slos": ["x"] * len(plugins), "plugins": plugins, "indexes": [FAST] * len(plugins)}
        assert store.hours.counts(cut, Kind(FAST)) == counted(store, "window_slow", {**asked, **slow})
    return remembered


def counted(store: Store, name: str, asked: dict[str, Any]) -> hour_cache.Counted:
    rows = store.database.fetch(statement(name), asked)
    return {(row["plugin_id"], row["plugin_version"]): (row["total"], row["bad"]) for row in rows}


@pytest.mark.parametrize("seed", range(repetitions(4)))
def test_memory_answers_what_the_tiers_hold(store: Store, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(resolutions, "MAX_FRESH_ROLLUPS", 5)
    at, remembered = BEGIN, 0
    for _ in range(25):
        at += timedelta(seconds=chance.choice((1, 4, 20, 61, 130, 1500, 4000)))
        late = chance.choice((2, 20, 200, 10_000))
        send(
            store, at, [at - timedelta(seconds=chance.uniform(-20, late)) for _ in range(chance.randint(1, 12))], chance
        )
        for _ in range(chance.choice((1, 1, 8))):  # eight: more than are told of, and memory has to begin anew
            store.roll(at)
            if chance.random() < 0.5:
                send(store, at, [at - timedelta(seconds=chance.uniform(0, late))], chance)
        if chance.random() < 0.1:
            keep = Keep(minutes=timedelta(hours=30), hours=timedelta(days=9))
            monkeypatch.setattr(
                "plugwarden_collector.store.duckdb.retention.slices.SECONDS_KEPT",
                timedelta(minutes=chance.randint(5, 90)),
            )
            clean_up(store.database, store.writer, keep, RetentionStats(), at)
        if chance.random() < 0.1:
            store.fleet = FleetPages(store.database)  # as after a restart
        store.fleet.memory.follow()
        store.hours.follow()
        if chance.random() < 0.6:
            remembered += check(store, at)
    assert remembered > 10


def test_a_late_call_is_in_an_hour_that_was_asked_for(store: Store) -> None:
    chance = random.Random(1)
    late = BEGIN + timedelta(minutes=20)
    at = BEGIN + timedelta(hours=8)
    send(store, BEGIN, [BEGIN], chance)
    store.roll(BEGIN)
    send(store, at, [at], chance)
    store.roll(at)
    cut = store.database.tiers.span(at - timedelta(hours=9), at)
    assert cut["first_hour"] <= late < cut["hours_end"]
    before = check(store, at), sum(row.calls for row in store.fleet.plugins(at - timedelta(hours=9), at))
    send(store, at, [late] * 5, chance)
    store.roll(at)
    assert sum(row.calls for row in store.fleet.plugins(at - timedelta(hours=9), at)) == before[1] + 5
    check(store, at)


def test_what_is_too_much_to_keep_is_left_to_sql(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(2)
    for hour in range(9):
        at = BEGIN + timedelta(hours=hour)
        send(store, at, [at] * 5, chance)
        store.roll(at)
    monkeypatch.setattr(minute_cache, "MAX_BYTES", 0)
    check(store, at)
    assert not store.fleet.memory._pieces
    monkeypatch.setattr(minute_cache, "MAX_MINUTES", 1)
    monkeypatch.setattr(minute_cache, "MAX_KEYS", 1)
    assert check(store, at) < 6
    monkeypatch.setattr(hour_cache, "MAX_ROWS", 8)
    cut = store.database.tiers.span(at - timedelta(hours=8), at)
    store.hours = hour_cache.ClosedHours(store.database)
    assert store.hours.counts(cut)  # how many there are is known after that
    assert store.hours.counts(cut) is None
    rules = Rules(
        (*DEFAULT_RULES.objectives, Objective("slow", Sli.LATENCY, 0.9, 7 * 3600.0, threshold_seconds=0.1)),
        DEFAULT_RULES.policy,
    )
    by_sql = observe(store.telemetry.judging, rules, at, since=BEGIN, budgets=True)
    monkeypatch.setattr(hour_cache, "MAX_ROWS", 10**6)
    from_memory = observe(store.telemetry.judging, rules, at, since=BEGIN, budgets=True)
    assert from_memory == by_sql
    assert from_memory.periods is not None
    assert from_memory.periods["slow"]


def test_a_piece_that_was_dropped_and_read_again_is_another_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(4)
    at = BEGIN + timedelta(minutes=10)
    send(store, BEGIN, [BEGIN], chance)
    store.roll(at)
    check(store, at)
    send(store, at, [BEGIN] * 3, chance)  # late
    store.roll(at)
    store.fleet.memory.follow()
    store.fleet.memory._pieces.clear()
    check(store, at)


def test_nobody_asks_and_nothing_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    send(store, BEGIN, [BEGIN], chance)
    store.roll(BEGIN)
    memory = store.fleet.memory
    memory.follow()
    assert memory.memory_bytes() == 0
    assert store.fleet.plugins(BEGIN - timedelta(minutes=1), BEGIN)
    assert memory.memory_bytes() > 0
    monkeypatch.setattr(minute_cache, "IDLE_SECONDS", -1.0)
    memory.follow()
    assert memory.memory_bytes() == 0
    check(store, BEGIN)


def test_what_numbers_the_keys_counts_into_the_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for number in range(60):
        attributes = {"plugin.id": f"{number:02}" + "x" * 190, "plugin.version": "y" * 200}
        span(message, 0.01, BEGIN, attributes=attributes)
    store.send(Signal.TRACES, message, BEGIN)
    store.writer.roll_up(BEGIN).result(10)
    memory = store.fleet.memory
    with memory.lock:
        memory.calls(BEGIN - timedelta(minutes=5), BEGIN)
    numbered = memory.keys
    assert len(numbered.rows) == 60
    assert numbered.nbytes > 60 * 390
    assert memory.memory_bytes() > numbered.nbytes
    monkeypatch.setattr(minute_cache, "MAX_BYTES", numbered.nbytes)
    with memory.lock:
        memory.calls(BEGIN - timedelta(minutes=5), BEGIN)
    assert memory.keys is not numbered, "more than half of the bound: begun anew"


@pytest.mark.parametrize("failing", [1, 2])
def test_no_call_is_counted_twice_or_not_at_all_after_memory_ran_out(
    store: Store, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_each(store, ["a"])
    since, until = BEGIN - MINUTE, BEGIN + MINUTE
    if failing == 2:  # while it follows; else while it begins
        assert store.fleet.plugins(since, until)[0].calls == 1
    call_each(store, ["a"])
    call_each(store, ["a"])
    read, times = Cells.read, list[int]()

    def fail_once(table: Any, keys: Any) -> Any:
        times.append(1)
        if len(times) == failing:
            raise MemoryError
        return read(table, keys)

    monkeypatch.setattr(Cells, "read", staticmethod(fail_once))
    with pytest.raises(MemoryError):
        store.fleet.plugins(since, until)
    assert [row.calls for row in store.fleet.plugins(since, until)] == [3]
