"""Counting calls: from spans alone with sampling put right, from any client's histograms, in tiers that always agree."""

from __future__ import annotations

import math
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract.histogram import bucket_index, quantile_seconds
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store import statement
from plugwarden_collector.store.duckdb.calls.buckets import at_contract_scale
from plugwarden_collector.store.duckdb.calls.other_histograms import Streams, to_calls
from plugwarden_collector.store.duckdb.calls.rollup import CALLS

from tests.collector.support.foreign_rows import table
from tests.collector.support.rolled_store import AT, Store, duration, ns, span
from tests.share import repetitions


def test_spans_of_any_client_are_calls(store: Store) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for seconds in (0.010, 0.020, 0.040):
        span(message, seconds)
    failed = span(message, 1.0)
    failed.status.code = 2
    span(message, kind=3)  # waits for somebody else's call
    span(message, attributes={"other": "x"})  # nobody's plugin
    store.send(Signal.TRACES, message)
    store.roll()
    assert store.calls() == {("search", "run", "success"): 3, ("search", "run", "error"): 1}
    row = store.database.cursor().execute(
        "select error_source, error_type, duration_seconds_sum, bucket_index, bucket_count from plugin_calls where outcome = 'error'"
    ).fetchall()[0]  # fmt: skip
    assert row == ("plugin", "_OTHER", 1.0, [bucket_index(1.0)], [1])


def test_spans_of_a_sidecar_are_not_counted_again(store: Store) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message)
    message.resource_spans[0].resource.attributes.add(key="telemetry.distro.name").value.string_value = "plugwarden"
    store.send(Signal.TRACES, message)
    store.roll()
    assert store.calls() == {}


@pytest.mark.parametrize(
    ("trace_state", "low", "high"),
    [
        ("ot=th:0", 400, 400),
        ("ot=th:8", 800, 800),  # half of all: T = 2^55
        ("vendor=x,ot=rv:abc;th:c", 1600, 1600),  # a quarter
        ("ot=th:b33333", 1180, 1490),  # 0.3 of all: each stands for 3.33, rounded up or down by its id (± 5 σ)
        ("ot=th:ffffffffffffff", 400 * 10**6, 400 * 10**6),  # nobody samples more thinly than one in a million
        ("ot=th:zz", 400, 400),
        ("nothing", 400, 400),
    ],
)
def test_sampled_spans_stand_for_the_calls_that_were_not_kept(
    store: Store, trace_state: str, low: int, high: int
) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for _ in range(400):
        span(message, trace_state=trace_state)
    store.send(Signal.TRACES, message)
    store.roll()
    assert low <= store.calls()["search", "run", "success"] <= high


@pytest.mark.parametrize("explicit", [True, False])
def test_cumulative_histograms_count_what_they_gain_over_resets_and_restarts(tmp_path: Path, explicit: bool) -> None:
    def send(store: Store, second: int, count: int, started: int = 0) -> None:
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        point = duration(message, cumulative=True, explicit=explicit)
        point.time_unix_nano = ns(AT + timedelta(seconds=second))
        point.start_time_unix_nano += started * 10**9
        point.count, point.sum = count, count * 0.5
        if explicit:
            point.explicit_bounds.extend([0.1, 1.0])
            point.bucket_counts.extend([0, count, 0])
        else:
            point.scale = 20  # finer than ours
            point.positive.offset = -(2**20) - 1
            point.positive.bucket_counts.extend([count])
        store.send(Signal.METRICS, message)
        store.roll()

    store = Store(tmp_path)
    send(store, 0, 10)  # a young process: all of it
    send(store, 5, 25)
    send(store, 5, 25)  # the same again
    send(store, 3, 20)  # late
    assert store.calls() == {("csv", "", "success"): 25}
    store.close()
    store = Store(tmp_path)
    send(store, 10, 40)
    assert store.calls() == {("csv", "", "success"): 40}
    send(store, 20, 4, started=15)  # the process began again
    assert store.calls() == {("csv", "", "success"): 44}
    rows = store.database.cursor().execute(
        "select sum(duration_seconds_sum), sum(list_sum(bucket_count)), min(bucket_index[1]) from plugin_calls"
    ).fetchall()  # fmt: skip
    assert rows == [(22.0, 44, bucket_index(1.0 if explicit else 0.5))]
    store.close()


def test_an_old_process_seen_for_the_first_time_is_counted_from_now_on() -> None:
    known = Streams()
    old = {"started_at": AT - timedelta(hours=1), "time": AT, "count": 1000, "sum": 10.0, **point(4, [5], [1000])}
    assert len(to_calls(table([old]), known, CALLS)) == 0
    later = {**old, "time": AT + timedelta(seconds=5), "count": 1003, "sum": 10.5, **point(4, [5, 6], [1002, 1])}
    (row,) = to_calls(table([later]), known, CALLS).to_pylist()
    assert [row[name] for name in ("calls", "duration_seconds_sum", "bucket_index", "bucket_count")] == [
        3,
        0.5,
        [5, 6],
        [2, 1],
    ]


def test_a_series_that_goes_to_a_coarser_scale_gains_no_calls() -> None:
    fine = {"started_at": AT - timedelta(seconds=1), "count": 4, "sum": 1.0, **point(4, [1, 2, 3, 4])}
    coarse = {**fine, "time": AT + timedelta(seconds=1), "count": 5, "sum": 1.1, **point(2, [0, 1], [3, 2])}
    rows = to_calls(table([fine, coarse]), Streams(), CALLS).to_pylist()
    assert [row["calls"] for row in rows] == [4, 1]
    assert sum(rows[1]["bucket_count"]) <= 1


def point(scale: int, index: list[int], count: list[int] | None = None) -> dict[str, Any]:
    return {
        "kind": "exponential_histogram", "scale": scale, "zero_count": 0, "bucket_index": index,
        "bucket_count": count or [1] * len(index), "explicit_bounds": [],
    }  # fmt: skip


@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=50), st.integers(0, 4))
def test_a_coarser_scale_keeps_quantiles_within_its_own_error(values: list[float], scale: int) -> None:
    counts: dict[int, int] = {}
    for value in values:
        index = bucket_index(value) >> (4 - scale)
        counts[index] = counts.get(index, 0) + 1
    indexes = sorted(counts)
    made = table([point(scale, indexes, [counts[index] for index in indexes])])
    ours = at_contract_scale(made, np.ones(1))[0]
    middle = quantile_seconds(ours.places.tolist(), ours.counts.tolist(), 0.5)
    exact = sorted(values)[(len(values) + 1) // 2 - 1]
    assert middle is not None
    # Half of one bucket of the sender's, half of one of ours, in powers of the base.
    assert abs(math.log2(middle / exact)) <= 0.5 * 2.0**-scale + 2.0**-4


def test_calls_are_counted_once_when_the_collector_is_killed_between_commit_and_rollup(tmp_path: Path) -> None:
    first = Store(tmp_path)
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message)
    first.send(Signal.TRACES, message)
    first.roll()
    span(message)
    first.send(Signal.TRACES, message)  # stored, never counted
    first.close()
    second = Store(tmp_path)
    second.roll()
    second.roll()
    assert second.calls() == {("search", "run", "success"): 3}
    second.close()


@given(st.data())
@settings(max_examples=repetitions(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_span_of_time_counts_the_same_from_any_tiers(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Calls early, late and in between, rolled up at any moments: whole hours from the fewest rows are the seconds' sum."""
    store = Store(tmp_path_factory.mktemp("tiers"))
    sent: list[tuple[datetime, int]] = []
    now = AT
    for _ in range(data.draw(st.integers(1, 6))):
        now += timedelta(seconds=data.draw(st.integers(1, 9_000)))
        message = trace_service_pb2.ExportTraceServiceRequest()
        for _ in range(data.draw(st.integers(1, 4))):
            at = now - timedelta(seconds=data.draw(st.sampled_from([0, 1, 50, 200, 4_000, 30_000])))
            span(message, at=at)
            sent.append((at, 1))
        store.send(Signal.TRACES, message, now)
        store.roll(now)
    now += timedelta(seconds=data.draw(st.sampled_from([0, 130, 4_000])))
    tiers = store.roll(now)
    for hours in (1, 5, 7, 30):
        for finest in (True, False):
            # A span that begins on a full hour is exact in every tier.
            since = (now - timedelta(hours=hours)).replace(minute=0, second=0) - timedelta(microseconds=1)
            span_ = tiers.span(since, now, finest=finest)
            seconds = (now - since).total_seconds()
            found = store.database.fetch(
                statement("window_counts"), {**span_, "at": now, "windows": [seconds], "operations": None}
            )
            expected = sum(count for at, count in sent if since < at.replace(microsecond=0) <= now)
            assert sum(row["total"] for row in found) == expected
    store.close()


def test_one_plugin_on_a_thousand_hosts_does_not_fill_the_rollups(store: Store) -> None:
    for host in range(30):
        message = trace_service_pb2.ExportTraceServiceRequest()
        for operation in range(5):
            span(message, name=f"operation {operation}")
        attributes = message.resource_spans[0].resource.attributes
        attributes.add(key="service.instance.id").value.string_value = f"host {host}"
        store.send(Signal.TRACES, message)
    store.roll(AT + timedelta(minutes=5))
    rows = store.database.cursor().execute("select instance_id, sum(calls) from call_minutes group by all").fetchall()
    assert rows == [("", 150)]
    assert store.database.cursor().execute("select count(*) from call_minutes").fetchall() == [(5,)]


def test_names_that_never_repeat_become_one_operation(store: Store) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for number in range(150):
        span(message, name=f"GET /user/{number}")
        span(message, name="GET /user/0")
    store.send(Signal.TRACES, message)
    store.roll(AT + timedelta(minutes=5))
    rows = dict(
        store.database.cursor().execute("select plugin_operation, sum(calls) from call_minutes group by all").fetchall()
    )
    assert len(rows) == 101
    assert rows["GET /user/0"] == 151
    assert rows["_OTHER"] == 50
    assert sum(rows.values()) == 300


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
