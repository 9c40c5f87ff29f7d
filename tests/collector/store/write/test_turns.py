"""Counting much: in turns of bounded work, with what waits in between; what waits is bounded, and people's acts come first."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.errors import BusyError
from plugwarden_collector.receive.decode.numbers import MAX_BUCKETS
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import statement
from plugwarden_collector.store.duckdb.calls.counting import MAX_WORK
from plugwarden_collector.store.duckdb.write import writer
from plugwarden_collector.store.duckdb.write.backlog import buckets_of

from tests.collector.conftest import Running
from tests.collector.support.rolled_store import AT, Store, duration, ns


def test_an_act_waits_for_one_turn_of_counting_and_not_for_all_of_it(store: Store) -> None:
    for request in range(4):
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        for _ in range(8):
            point = duration(message, cumulative=False, explicit=False)
            point.time_unix_nano, point.scale, point.positive.offset = ns(AT), 5, -34_000
            point.positive.bucket_counts.extend([1] * 65_535)
            point.count, point.sum = 65_535, 1.0 + request
        store.send(Signal.METRICS, message)
    span = {"after": 0, "until": store.writer.batch}
    work = store.database.cursor().execute(statement("uncounted_work").sql, span).fetchall()
    assert sum(units for _, units in work) > MAX_WORK
    # All three are queued while the writer is at something else.
    store.writer.run_outside_transaction(lambda _: time.sleep(0.3))
    counted = store.writer.roll_up(AT)
    act = store.writer.run(lambda _: (store.database.tiers.rolled < store.writer.batch, counted.done()))
    assert act.result(30) == (True, False)
    counted.result(30)
    assert store.database.tiers.rolled == store.writer.batch
    assert sum(store.calls().values()) == 4 * 8 * 65_535


def heavy(number: int) -> metrics_service_pb2.ExportMetricsServiceRequest:
    """As many buckets as a request may have, in a few kilobytes when it is compressed."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    for _ in range(MAX_BUCKETS // 65_535):
        point = duration(message, cumulative=False, explicit=False)
        point.time_unix_nano, point.scale, point.positive.offset = ns(AT), 5, -34_000
        point.positive.bucket_counts.extend([1] * 65_535)
        point.count, point.sum = 65_535, 1.0 + number
    return message


def test_what_waits_to_be_counted_is_bounded_and_counting_makes_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = read(Signal.METRICS, heavy(0).SerializeToString(), now_ns=ns(AT))
    one = buckets_of(batch.tables)
    assert one > MAX_BUCKETS / 3  # brought to the contract's scale, two of them are one
    assert one < writer.MAX_UNCOUNTED_BUCKETS
    monkeypatch.setattr(writer, "MAX_UNCOUNTED_BUCKETS", 2 * one)
    store.send(Signal.METRICS, heavy(0))
    assert store.writer.submit(store.sent, batch.tables, batch.nbytes).result(60) is False  # a repeat keeps no room
    store.send(Signal.METRICS, heavy(1))
    with pytest.raises(BusyError, match="buckets of histograms are waiting to be counted"):
        store.send(Signal.METRICS, heavy(2))
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    message.resource_metrics.add().scope_metrics.add().metrics.add(name="a.gauge").gauge.data_points.add(
        time_unix_nano=ns(AT), as_int=1
    )
    store.send(Signal.METRICS, message)  # who sends no histograms goes on
    store.roll()
    store.send(Signal.METRICS, heavy(2))


def test_an_act_comes_before_what_was_queued(store: Store) -> None:
    done: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def busy(_: Any) -> None:
        begun.set()
        assert go_on.wait(30)

    blocked = store.writer.run_outside_transaction(busy)
    assert begun.wait(30)
    batch = read(Signal.METRICS, heavy(0).SerializeToString(), now_ns=ns(AT))
    sent = store.writer.submit(1, batch.tables, batch.nbytes)
    sent.add_done_callback(lambda _: done.append("request"))
    queued = store.writer.run(lambda _: done.append("queued"))
    act = store.writer.run(lambda _: done.append("act"), first=True)
    go_on.set()
    for future in (blocked, sent, queued, act):
        future.result(30)
    assert done[0] == "act"
    assert done.index("request") < done.index("queued")


def test_an_act_does_not_wait_for_the_judge_to_have_counted(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    count = collector.collector.writer.roll_up

    def long_counting(at: Any) -> Future[Any]:
        asked.set()
        assert go_on.wait(60)
        return count(at)

    monkeypatch.setattr(collector.collector.writer, "roll_up", long_counting)
    try:
        assert asked.wait(30)
        body = {"plugin": "p", "reason": "looks broken", "force": True}
        made = httpx2.post(f"{collector.url}/api/v1/quarantine", json=body, timeout=20)
        assert made.status_code in {200, 201}
    finally:
        go_on.set()
