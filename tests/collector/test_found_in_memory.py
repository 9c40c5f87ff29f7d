"""Faults that a fresh reader found in what is kept in memory of the store, and around it, each held down by a test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.control.observe import observe
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.file import DEFAULT_RULES
from plugwarden_collector.store import statement
from plugwarden_collector.store.duckdb.calls import fleet
from plugwarden_collector.store.duckdb.calls import minute_cache as call_memory
from plugwarden_collector.store.duckdb.calls import resolutions as tiers
from plugwarden_collector.store.duckdb.calls.hour_cache import ClosedHours
from plugwarden_collector.store.duckdb.retention import archive
from plugwarden_collector.store.duckdb.retention.slices import Keep, RetentionStats, clean_up
from plugwarden_collector.store.duckdb.traces import index as trace_index
from plugwarden_collector.store.duckdb.traces.search import TraceFilter, find_trace, search_traces
from plugwarden_collector.web.time_range import TimeRange

from tests.collector.store.calls.test_rollup import Store, span

BEGIN = datetime(2026, 11, 20, 6, 0, 10)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


def send(store: Store, plugins: Sequence[str], at: datetime = BEGIN, came: datetime | None = None) -> None:
    """One call each, at a time of its own, that came in at another; and count it."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    for plugin in plugins:
        values = {"plugin.id": plugin, "plugin.outcome": "success", "plugin.version": "1"}
        span(message, 0.05, at, attributes=values)
    store.send(Signal.TRACES, message, came or at)
    store.roll(came or at)


@pytest.mark.parametrize("minute", [10, 50])
def test_windows_of_less_than_six_hours_are_counted_to_the_minute(store: Store, minute: int) -> None:
    at, time = BEGIN.replace(hour=16, minute=minute, second=0), BEGIN.replace(minute=0, second=0)
    while time <= at:
        send(store, ["geo"], time)
        time += 5 * MINUTE
    counted = observe(store.database, DEFAULT_RULES, at, since=BEGIN - timedelta(days=1), budgets=False).windows
    found = {size: counts.total for size, counts in counted["availability"]["geo", "1"].items()}
    exact = {size: size // 300 for size in found if size <= 21_600}
    assert {3_600.0, 21_600.0} <= set(exact)
    assert {size: found[size] for size in exact} == exact


def test_a_plugin_that_is_new_while_a_page_is_made_gives_its_name_to_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = BEGIN + 10 * MINUTE
    send(store, ["b"] * 3 + ["c"] * 5, BEGIN, at)
    since = BEGIN - MINUTE
    store.database.fleet.series(since, at, 10.0)
    joined, judges = fleet.Cells.joined, list[threading.Thread]()

    def and_a_tick(parts: Any) -> Any:
        if not judges:
            send(store, ["a"], at)
            judges.append(threading.Thread(target=store.database.fleet.memory.follow))
            judges[0].start()
            judges[0].join(10)
        return joined(parts)

    send(store, ["b"], BEGIN, at)  # so that the text is made anew
    monkeypatch.setattr(fleet.Cells, "joined", staticmethod(and_a_tick))
    store.database.fleet.series(since, at, 10.0)
    assert judges
    cut = {**store.database.tiers.span(since, at, finest=True), "step": 10.0}
    exact = json.loads(store.database.fetch(statement("fleet_series"), cut)[0]["calls"])
    assert json.loads(store.database.fleet.series(since, at, 10.0)) == exact


@pytest.mark.parametrize("failing", [1, 2])
def test_no_call_is_counted_twice_or_not_at_all_after_memory_ran_out(
    store: Store, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(store, ["a"])
    since, until = BEGIN - MINUTE, BEGIN + MINUTE
    if failing == 2:  # while it follows; else while it begins
        assert store.database.fleet.plugins(since, until)[0]["calls"] == 1
    send(store, ["a"])
    send(store, ["a"])
    read, times = call_memory.Cells.read, list[int]()

    def fail_once(table: Any, keys: Any) -> Any:
        times.append(1)
        if len(times) == failing:
            raise MemoryError
        return read(table, keys)

    monkeypatch.setattr(call_memory.Cells, "read", staticmethod(fail_once))
    with pytest.raises(MemoryError):
        store.database.fleet.plugins(since, until)
    assert [row["calls"] for row in store.database.fleet.plugins(since, until)] == [3]


@pytest.mark.parametrize("lost", [0, 1], ids=["first", "between"])
def test_spans_of_a_block_that_was_lost_are_found(store: Store, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_index, "BLOCK_SPANS", 1)
    for plugin in "abc":
        send(store, [plugin])
    cursor = store.database.cursor()
    rows = cursor.execute("select trace_hi, trace_lo from span_rows").fetchall()
    cursor.execute(
        "delete from trace_blocks where first_batch = "
        f"(select first_batch from trace_blocks order by first_batch limit 1 offset {lost})"
    )
    index = trace_index.TraceIndex(cursor)
    assert [len(find_trace(store.database, index, hi << 64 | lo)[0]) for hi, lo in rows] == [1, 1, 1]
    assert len(search_traces(store.database, index, TraceFilter(), BEGIN - MINUTE, BEGIN + MINUTE, 10)) == 3
    assert len(search_traces(store.database, index, TraceFilter(text="run"), BEGIN - MINUTE, BEGIN + MINUTE, 10)) == 3


def test_a_block_whose_texts_cannot_be_read_is_closed_without(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_index, "BLOCK_SPANS", 1)

    def fail(*_: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(trace_index, "_store_texts", fail)
        send(store, ["a"])
    blocks = store.database.cursor().execute("select count(*) from trace_blocks").fetchall()
    assert blocks == [(1,)]
    assert store.writer.traces.unread(), "they are read later"


def test_texts_of_many_long_errors_do_not_have_to_fit_into_memory(store: Store) -> None:
    cursor = store.database.cursor()
    send(store, ["a"])
    cursor.execute(
        "insert into span_rows by name select s.* replace (repeat(md5(i::varchar), 100) as status_message) "
        "from span_rows as s, range(5_000) t(i)"
    )
    row = cursor.execute(statement("block_texts").sql, {"first": 0, "last": 2**40, "most": 1_000_000}).fetchall()[0]
    assert row[2] is None
    assert row[0]


def test_an_archive_that_fails_keeps_no_seconds_from_going(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.write_text("in the way")
    for days in range(0, 40, 10):
        send(store, ["a"], BEGIN + timedelta(days=days))
        at = BEGIN + timedelta(days=days, hours=3)
        store.roll(at)
        for _ in range(2):  # the mark moves in one round, the rows go in the next
            try:
                clean_up(store.database, store.writer, Keep(archive=folder), RetentionStats(), at)
            except OSError:
                pass
    assert store.database.cursor().execute("select count(*) from call_seconds").fetchall() == [(0,)]
    assert store.database.cursor().execute("select count(*) from span_rows").fetchall() == [(4,)]


def test_an_archive_that_fails_half_way_leaves_nothing_to_be_archived_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(store, ["a"])
    send(store, ["a"], BEGIN - timedelta(days=1))
    settle, times = archive._settle, list[Path]()

    def fail_at_second(path: Path) -> Path:
        times.append(path)
        if len(times) == 2:
            raise OSError(28, "No space left on device")
        return settle(path)

    monkeypatch.setattr(archive, "_settle", fail_at_second)
    before = BEGIN + timedelta(hours=1)
    with pytest.raises(OSError, match="No space"):
        archive.archive_slice(store.database, tmp_path / "kept", "spans", before, 99)
    assert [file for file in (tmp_path / "kept").rglob("*") if file.is_file()] == []
    assert archive.archive_slice(store.database, tmp_path / "kept", "spans", before, 99) == 2
    assert len([file for file in (tmp_path / "kept").rglob("*") if file.is_file()]) == 2


def test_a_long_rollup_leaves_what_is_known_of_full_hours(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "MAX_FRESH_ROWS", 2)
    start = BEGIN.replace(minute=0, second=0)
    for hour in range(10):
        send(store, ["geo"], start + timedelta(hours=hour))
    hours = ClosedHours(store.database)
    at = start + timedelta(hours=9, minutes=30)
    cut = store.database.tiers.span(start - timedelta(hours=1), at)
    assert hours.counts(cut) == {("geo", "1"): (10, 0)}
    kept = hours.memory_bytes()
    send(store, ["geo", "csv", "pdf", "xml"], at)
    hours.follow()
    assert hours.memory_bytes() == kept
    send(store, ["geo"], start + timedelta(hours=2), at)  # a late one still counts
    assert hours.counts(store.database.tiers.span(start - timedelta(hours=1), at))["geo", "1"] == (12, 0)  # type: ignore[index]


@pytest.mark.parametrize("since", ["1600-01-01", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59", "500000h"])
def test_times_that_cannot_be_meant_are_refused(since: str) -> None:
    with pytest.raises(ValueError, match="1970"):
        TimeRange.parse(since, None, BEGIN)
