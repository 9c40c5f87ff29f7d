"""Requests that a test stores, and what it asks of the store afterwards."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract.histogram import threshold_index
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import Telemetry
from plugwarden_collector.store.calls import Measure
from plugwarden_collector.store.telemetry import Query

from tests.collector.support.rolled_store import AT, ns, span

__all__ = [
    "AT",
    "DAY",
    "FAILS",
    "HOUR",
    "ID",
    "NOTE",
    "SLOW",
    "answer",
    "append",
    "bad",
    "call",
    "catch_up",
    "counted",
    "points",
]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FAILS = Measure("fails", lambda plugin: True)
SLOW = Measure("slow", lambda plugin: plugin == "geo", threshold_index(0.1))
NOTE = Draft(AT, "noted", "a test", "store", "because")
ID = int.from_bytes(bytes(range(1, 17)), "big")


def append(telemetry: Telemetry, signal: Signal, body: bytes, at: datetime = AT) -> bool:
    """Store a request as the receiver does, with the hash of its bytes for its token."""
    batch = read(signal, body, now_ns=ns(at))
    token = int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big")
    return telemetry.ingest.append(token, batch.tables, batch.nbytes).result(30)


def catch_up(telemetry: Telemetry, at: datetime = AT) -> None:
    telemetry.ingest.catch_up(at).result(30)
    assert telemetry.ingest.caught_up


def call(
    telemetry: Telemetry,
    plugin: str = "csv",
    at: datetime = AT,
    *,
    seconds: float = 0.01,
    came: datetime = AT,
    **told: Any,
) -> bytes:
    """Store one call, and return the request."""
    said = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "run", "plugin.outcome": "success"}
    said |= {f"plugin.{name.replace('_', '.')}": value for name, value in told.items()}
    if said["plugin.outcome"] != "success":
        said = {"error.type": "ValueError", "plugin.error.source": "plugin"} | said
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message, seconds, at, attributes=said)
    body: bytes = message.SerializeToString()
    assert append(telemetry, Signal.TRACES, body, came)
    return body


def points(*plugins: str, outcome: str = "success", begins: datetime = AT - timedelta(seconds=1)) -> bytes:
    """Ten calls of each plugin as a sidecar counts them."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "host"
    metric = resource.scope_metrics.add().metrics.add(name="plugin.invocation.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1
    for plugin in plugins:
        point = metric.exponential_histogram.data_points.add(
            count=10, sum=0.1, max=0.02, scale=4, time_unix_nano=ns(AT), start_time_unix_nano=ns(begins)
        )
        point.positive.offset = -100
        point.positive.bucket_counts.extend([10])
        said = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "run", "plugin.outcome": outcome}
        if outcome != "success":
            said |= {"error.type": "ValueError", "plugin.error.source": "plugin"}
        for key, text in said.items():
            point.attributes.add(key=key).value.string_value = text
    return message.SerializeToString()


def bad(total: int, failed: int = 0) -> CallCounts:
    return CallCounts(total, failed=failed)


def counted(telemetry: Telemetry, *sizes: float, measure: Measure = FAILS, at: datetime = AT) -> dict[str, list[Any]]:
    """Return plugin -> counts of its version 1 in each window."""
    found = telemetry.judging.windows([measure], sizes, at, at).get(measure.name, {})
    return {plugin: [windows.get(size) for size in sizes] for (plugin, _), windows in found.items()}


def answer(telemetry: Telemetry, sql: str, **options: Any) -> pa.Table:
    stream = telemetry.queries.start(Query(sql, **options))
    try:
        stream.open()
        whole = b"".join([stream.begin, *(piece.data for piece in stream)])
        return pa.ipc.open_stream(pa.py_buffer(whole)).read_all()
    finally:
        stream.close()
