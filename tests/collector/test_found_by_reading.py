"""Faults that a fresh reader found in the store and the receiver, each held down by a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.control.observe import LongWindows, observe
from plugwarden_collector.errors import StoreError
from plugwarden_collector.receive.decode.bad_records import salvage
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.rules.file import DEFAULT_RULES
from plugwarden_collector.store import statement
from plugwarden_collector.store.duckdb.retention.slices import Keep, RetentionStats, clean_up
from plugwarden_collector.store.duckdb.traces.search import find_trace
from plugwarden_collector.store.duckdb.write.commit import Committer

from tests.collector.store.calls.test_rollup import AT, Store, duration, ns, span
from tests.collector.store.retention.test_retention import hear


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("metric", ["plugin.invocation.duration", "plugin.downstream.duration"])
@pytest.mark.parametrize("count", [2**32 - 1, 2**53 - 1])
def test_the_largest_counts_that_are_taken_stop_neither_counting_nor_judging(
    store: Store, metric: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As an earlier version stored them, which let in what is refused now.
    monkeypatch.setattr("plugwarden_collector.receive.decode.requests.read_plain", lambda *_: None)
    monkeypatch.setattr(
        "plugwarden_collector.receive.decode.metrics.faults",
        lambda kind, points, *_: np.zeros(len(points), np.int8),
    )
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    made = message.resource_metrics.add().scope_metrics.add().metrics.add(name=metric, unit="s")
    made.exponential_histogram.aggregation_temporality = 1
    for _ in range(2_100):
        point = made.exponential_histogram.data_points.add(time_unix_nano=ns(AT), count=count, sum=1e14, scale=4)
        point.positive.offset = 2**31 - 1
        point.positive.bucket_counts.append(count)
        for key, value in (("plugin.id", "evil"), ("plugin.downstream", "db")):
            point.attributes.add(key=key).value.string_value = value
    store.send(Signal.METRICS, message)
    store.roll()
    store.roll(AT + timedelta(minutes=5))
    store.roll(AT + timedelta(hours=2))
    observe(store.database, DEFAULT_RULES, AT + timedelta(hours=2), since=AT - timedelta(days=35), budgets=True)
    span_of_time = store.database.tiers.span(AT - timedelta(hours=1), AT + timedelta(hours=1))
    for row in store.database.fetch(statement("fleet"), {**span_of_time, "seconds": 7200.0, "plugin": None}):
        assert row["p99_seconds"] < 200_000  # 36 hours, the contract's last bucket


def test_what_a_rollup_knows_is_true_before_anything_else_is_done(store: Store) -> None:
    """However late the callers are, a rollup begins where the one before it ended."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    for _ in range(10):
        span(message)
    done = []

    def work() -> None:
        for _ in range(20):
            done.append(store.writer.roll_up(AT))
            time.sleep(0.001)

    callers = [threading.Thread(target=work) for _ in range(3)]
    for caller in callers:
        caller.start()
    for _ in range(10):
        store.send(Signal.TRACES, message)
    for caller in callers:
        caller.join()
    for rolled in done:
        rolled.result(10)
    store.roll()
    assert store.calls() == {("search", "run", "success"): 100}


def test_work_for_a_closed_writer_is_refused_and_not_kept_waiting(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.writer.close(10)
    with pytest.raises(StoreError, match="shutting down"):
        store.writer.run(lambda connection: None).result(1)
    store.database.close()


def test_what_is_not_counted_yet_does_not_go(store: Store) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for _ in range(10):
        span(message, at=AT - timedelta(days=8))
    store.send(Signal.TRACES, message)
    hear(store)
    clean_up(store.database, store.writer, Keep(), RetentionStats(), AT)
    assert store.calls() == {("search", "run", "success"): 10}
    assert store.database.cursor().execute("select count(*) from spans").fetchall() == [(0,)]


def test_a_commit_that_fails_and_is_complete_is_counted_and_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, failed = Committer._insert, []

    def fail_once(self: Committer, staging: str, *rest: Any) -> None:
        insert(self, staging, *rest)
        if staging == "incoming_requests" and not failed:
            failed.append(True)
            self._connection.execute("commit")
            raise duckdb.IOException("the log could not be written")

    monkeypatch.setattr(Committer, "_insert", fail_once)
    message = trace_service_pb2.ExportTraceServiceRequest()
    made = span(message)
    store.send(Signal.TRACES, message)
    store.roll()
    assert failed
    assert store.calls() == {("search", "run", "success"): 1}
    spans, _ = find_trace(store.database, store.writer.traces, int.from_bytes(made.trace_id, "big"))
    assert len(spans) == 1


def test_a_repeat_that_memory_has_forgotten_is_refused_by_the_database(store: Store) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message)
    store.send(Signal.TRACES, message)
    store.writer._recent._older.clear()
    store.writer._recent._newer.clear()
    store.sent -= 1
    store.send(Signal.TRACES, message)
    store.roll()
    assert store.calls() == {("search", "run", "success"): 1}


def test_a_series_that_never_says_when_it_started_is_counted_by_what_it_gains(store: Store) -> None:
    for export, count in enumerate((100, 200, 300, 400, 500)):
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        point = duration(message, cumulative=True, explicit=True)
        point.start_time_unix_nano = 0
        point.time_unix_nano = ns(AT + timedelta(seconds=export))
        point.count, point.sum = count, count * 0.1
        point.explicit_bounds.append(1.0)
        point.bucket_counts.extend([count, 0])
        store.send(Signal.METRICS, message)
        store.roll()
    assert store.calls() == {("csv", "", "success"): 400}


def test_late_calls_are_told_apart_no_finer_than_others(store: Store) -> None:
    store.roll(AT)
    for _ in range(3):
        message = trace_service_pb2.ExportTraceServiceRequest()
        for number in range(300):
            span(message, name=f"operation {number}", at=AT - timedelta(hours=3, minutes=1))
        store.send(Signal.TRACES, message)
        store.roll(AT)
    cursor = store.database.cursor()
    assert cursor.execute("select sum(calls), count(*) from call_hours").fetchall() == [(900, 303)]
    store.roll(AT + timedelta(hours=1, minutes=5))
    for tier in ("call_minutes", "call_hours"):
        assert cursor.execute(f"select sum(calls), count(*) from {tier}").fetchall() == [(900, 100)]


def test_windows_are_counted_again_when_the_clock_was_set_back(store: Store) -> None:
    long = LongWindows()
    observe(store.database, DEFAULT_RULES, AT, since=AT, budgets=False, long=long)
    before = AT - timedelta(hours=1)
    observe(store.database, DEFAULT_RULES, before, since=before, budgets=False, long=long)
    assert long.at == before


def test_saving_a_request_takes_no_more_than_the_request() -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="k").value.string_value = "x" * 50_000
    for number in range(200):
        group.scope_spans.add().spans.add(name=f"span {number}")
    body = message.SerializeToString().replace(b"span 77", b"\xff\xfean 77")
    largest = []

    def reads(part: bytes) -> bool:
        largest.append(len(part))
        return b"\xff\xfe" not in part

    saved = salvage(body, reads)
    assert saved is not None
    assert saved.refused == 1
    assert max(largest) <= len(body)


def test_a_resource_that_makes_the_parser_panic_costs_its_own_spans_alone() -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message)
    good = message.SerializeToString()
    inner = b"\x0a\x0b" + b"\x0a" + b"\xff" * 9 + b"\x01" + message.resource_spans[0].SerializeToString()
    batch = read(Signal.TRACES, good + b"\x0a" + bytes([len(inner)]) + inner, now_ns=ns(AT))
    assert (batch.accepted, batch.rejected) == (1, 1)
