"""Counting: the largest counts, series without a start, late calls of many operations."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.control.observe import observe
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.file import DEFAULT_RULES
from plugwarden_collector.store import statement

from tests.collector.support.rolled_store import AT, Store, duration, ns, span


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
    observe(
        store.telemetry.judging, DEFAULT_RULES, AT + timedelta(hours=2), since=AT - timedelta(days=35), budgets=True
    )
    span_of_time = store.database.tiers.span(AT - timedelta(hours=1), AT + timedelta(hours=1))
    for row in store.database.fetch(statement("fleet"), {**span_of_time, "seconds": 7200.0, "plugin": None}):
        assert row["p99_seconds"] < 200_000  # 36 hours, the contract's last bucket


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
