"""A store that is fed request by request, and counts when it is told to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import Database, Writer, telemetry_of
from plugwarden_collector.store.duckdb.calls.fleet import FleetPages
from plugwarden_collector.store.duckdb.calls.hour_cache import ClosedHours
from plugwarden_collector.store.duckdb.calls.resolutions import Tiers

AT = datetime(2026, 11, 20, 12, 0, 30)
BEGIN = datetime(2026, 11, 20, 6, 0, 10)


def ns(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1)).total_seconds() * 1e9)


class Store:
    def __init__(self, folder: Path) -> None:
        self.database = Database(folder)
        self.writer = Writer(self.database)
        self.telemetry = telemetry_of(self.database, self.writer)
        self.fleet, self.hours = FleetPages(self.database), ClosedHours(self.database)
        """As telemetry has them for itself."""
        self.sent = int.from_bytes(os.urandom(4))

    def send(self, signal: Signal, message: Any, at: datetime = AT) -> None:
        batch = read(signal, message.SerializeToString(), now_ns=ns(at))
        self.sent += 1
        self.writer.submit(self.sent, batch.tables, batch.nbytes).result(10)

    def roll(self, at: datetime = AT) -> Tiers:
        tiers: Tiers = self.writer.roll_up(at).result(10)
        return tiers

    def calls(self) -> dict[tuple[str, str, str], int]:
        rows = self.database.cursor().execute(
            "select plugin_id, plugin_operation, outcome, sum(calls) from plugin_calls group by all"
        )
        return {(plugin, operation, outcome): int(calls) for plugin, operation, outcome, calls in rows.fetchall()}

    def close(self) -> None:
        self.writer.close(10)
        self.database.close()


def span(
    message: trace_service_pb2.ExportTraceServiceRequest, seconds: float = 0.01, at: datetime = AT, **fields: Any
) -> Any:
    if not message.resource_spans:
        message.resource_spans.add().scope_spans.add()
    attributes = fields.pop("attributes", {"gen_ai.tool.name": "search"})
    made = message.resource_spans[0].scope_spans[0].spans.add(
        trace_id=os.urandom(16), span_id=os.urandom(8), start_time_unix_nano=ns(at),
        end_time_unix_nano=ns(at) + int(seconds * 1e9), **{"name": "run", "kind": 1, **fields},
    )  # fmt: skip
    for key, value in attributes.items():
        made.attributes.add(key=key).value.string_value = value
    return made


def duration(message: metrics_service_pb2.ExportMetricsServiceRequest, *, cumulative: bool, explicit: bool) -> Any:
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="plugin.invocation.duration", unit="s")
    data = metric.histogram if explicit else metric.exponential_histogram
    data.aggregation_temporality = 2 if cumulative else 1
    point = data.data_points.add(start_time_unix_nano=ns(AT - timedelta(seconds=50)))
    point.attributes.add(key="plugin.id").value.string_value = "csv"
    return point


def call_each(store: Store, plugins: Sequence[str], at: datetime = BEGIN, came: datetime | None = None) -> None:
    """One call each, at a time of its own, that came in at another; and count it."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    for plugin in plugins:
        values = {"plugin.id": plugin, "plugin.outcome": "success", "plugin.version": "1"}
        span(message, 0.05, at, attributes=values)
    store.send(Signal.TRACES, message, came or at)
    store.roll(came or at)
