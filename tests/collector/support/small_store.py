"""A small store for examples: two plugins over the last day, through the receiver, and what judging would have written."""

from __future__ import annotations

import os
import time
from typing import Any

import httpx2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tests.collector.conftest import Running

__all__ = ["fill"]

PROTOBUF = {"content-type": "application/x-protobuf"}
STEP_SECONDS = 600
STEPS = 140
VERSIONS = {"csv": ("1.4.0", "2.0.0"), "geo": ("2.0.1", "2.0.1")}
"""Until and since half an hour ago."""


def fill(collector: Running) -> None:
    """Send a day of calls and spans, and write an objective and a deployment."""
    for number in range(2):
        for body, path in ((_metrics(f"host-{number}", number), "metrics"), (_spans(f"host-{number}"), "traces")):
            answer = httpx2.post(
                f"{collector.http}/v1/{path}", content=body.SerializeToString(), headers=PROTOBUF, timeout=60
            )
            assert answer.status_code == 200, answer.text
    collector.collector.writer.run(_judged).result(timeout=30)


def _metrics(instance: str, number: int) -> Any:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    _label(resource.resource, **{"service.name": "order-flow", "service.instance.id": instance})
    scope = resource.scope_metrics.add()
    calls = scope.metrics.add(name="plugin.invocation.duration", unit="s").exponential_histogram
    cpu = scope.metrics.add(name="plugin.cpu.time", unit="s").sum
    calls.aggregation_temporality = cpu.aggregation_temporality = 1
    now = time.time_ns()
    for step in range(STEPS):
        at = now - (step * STEP_SECONDS + 30) * 10**9
        for plugin, versions in VERSIONS.items():
            version = versions[1] if step < 3 else versions[0]
            for outcome, count in (("success", 90 + step % 9 + number), ("error", 3)):
                labels = {
                    "plugin.id": plugin,
                    "plugin.version": version,
                    "plugin.operation": "run",
                    "plugin.outcome": outcome,
                }
                if outcome == "error":
                    labels |= {"plugin.error.source": "plugin", "error.type": "ValueError"}
                point = calls.data_points.add(time_unix_nano=at, start_time_unix_nano=at - 10**9, count=count, scale=4)
                point.sum, point.max = count * 0.1, 0.5
                point.positive.offset = -60
                point.positive.bucket_counts.extend([count - 2, *[0] * 44, 2])
                _label(point, **labels)
                spent = cpu.data_points.add(time_unix_nano=at, start_time_unix_nano=at - 10**9, as_double=count * 0.02)
                _label(spent, **labels)
    held = scope.metrics.add(name="plugin.terms.enforced", unit="1").gauge
    active = scope.metrics.add(name="plugin.invocation.active", unit="{invocation}").gauge
    for plugin, versions in VERSIONS.items():
        for term, value in (("concurrency", 8), ("processors", 2)):
            point = held.data_points.add(time_unix_nano=now - 30 * 10**9, as_double=value)
            said = {"plugin.id": plugin, "plugin.version": versions[1], "plugin.operation": "run"}
            _label(point, **said, **{"plugin.term": term, "plugin.owner": "team-a"})
        _label(active.data_points.add(time_unix_nano=now - 30 * 10**9, as_double=1), **said)
    return message


def _spans(instance: str) -> Any:
    message = trace_service_pb2.ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    _label(resource.resource, **{"service.name": "order-flow", "service.instance.id": instance})
    scope = resource.scope_spans.add()
    for step in range(30):
        span = scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name="geo.lookup", kind=3)
        span.start_time_unix_nano = time.time_ns() - step * 60 * 10**9
        span.end_time_unix_nano = span.start_time_unix_nano + (step + 1) * 10**6
        _label(span, **{"plugin.id": "geo", "plugin.version": "2.0.1", "plugin.downstream": "maps"})
    return message


def _label(holder: Any, **labels: str) -> None:
    for key, value in labels.items():
        holder.attributes.add(key=key).value.string_value = value


def _judged(connection: Any) -> None:
    # An objective that no rule has: the live judge writes over those of its own.
    connection.execute(
        "insert or replace into slo_status by name select 'promised' as slo, 'csv' as plugin_id, '2.0.0' as plugin_version, "
        "now()::timestamp as time, 'availability' as sli, 0.99 as objective, 21600 as period_seconds, 1000 as total, 30 as bad, "
        "0.97 as sli_value, 0.4 as budget_remaining_ratio, 3.0 as fast_burn_rate, 7200.0 as exhausted_in_seconds"
    )
    connection.execute(
        "insert or replace into plugin_budgets by name select 'promised' as slo, 'csv' as plugin_id, now()::timestamp as time, "
        "'availability' as sli, 0.99 as objective, 21600 as period_seconds, 2 as versions, 1500 as total, 33 as bad, "
        "0.978 as sli_value, 0.3 as budget_remaining_ratio, 3.0 as fast_burn_rate, 5400.0 as exhausted_in_seconds"
    )
    connection.execute(
        "insert into changes by name select now()::timestamp - interval 30 minute as time, 'deployment' as kind, "
        "'csv' as plugin_id, '2.0.0' as plugin_version, 'csv 2.0.0 was first called' as text"
    )
