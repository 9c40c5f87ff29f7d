"""Turns batches, invocations and log entries into the OpenTelemetry SDK's own objects, for its exporters."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs as api_logs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.sdk import _logs as sdk_logs
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from plugwarden.contract.histogram import SCALE
from plugwarden.invocation import Invocation, identify
from plugwarden.redaction import redactor_of_record

from .aggregate import MetricBatch
from .log_bytes import log_attributes
from .logs import LogEntry
from .points import OWN_SCOPE, SPECS, HistogramPoint, NumberPoint, gather, scope_of
from .redaction import Redact
from .sampling import Kept
from .spans import SpanEncoder

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["encode_logs", "encode_metrics", "encode_spans"]

_NO_BUCKETS = Buckets(0, [])
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_READABLE: Any = getattr(sdk_logs, "ReadableLogRecord", None)
"""The SDK's logs have no other home than `_logs`, while they are not declared stable."""


def encode_metrics(
    batch: MetricBatch, operations: Iterable[Operation], resource: Resource, *, gauges: bool
) -> MetricsData:
    """One interval as delta points, in one instrumentation scope per plugin version; gauges as of now if asked."""
    scope_metrics = [
        ScopeMetrics(InstrumentationScope(*scope), [_metric(name, found) for name, found in by_name.items()], "")
        for scope, by_name in gather(batch, operations, gauges=gauges).items()
    ]
    return MetricsData([ResourceMetrics(resource, scope_metrics, "")])


def encode_spans(kept: Sequence[Kept], resource: Resource, clock_offset_ns: int, redact: Redact) -> list[ReadableSpan]:
    """Kept spans as the SDK's; `clock_offset_ns` turns performance-counter times into wall-clock times.

    They are read back from our own encoding, so that a host's exporter is told the same as a collector is.
    """
    return [
        _span(item, resource, clock_offset_ns, redact) if isinstance(item.span, Invocation) else item.span
        for item in kept
    ]


def encode_logs(entries: Iterable[LogEntry], resource: Resource, redact: Redact) -> list[Any]:
    """Log entries for the log exporter: `ReadableLogRecord`, or `LogData` where the SDK is older than 1.39."""
    return [_log(entry, resource, redact) for entry in entries]


def _log(entry: LogEntry, resource: Resource, redact: Redact) -> Any:
    redact = redactor_of_record(redact)
    told: dict[str, Any] = {
        "timestamp": entry.at_ns,
        "observed_timestamp": entry.at_ns,
        "severity_text": entry.severity_text,
        "severity_number": api_logs.SeverityNumber(entry.severity_number),
        "body": redact(entry.body),
        "attributes": log_attributes(entry, redact),
    }
    scope = InstrumentationScope(*(OWN_SCOPE if entry.operation is None else scope_of(entry.operation)))
    context = SpanContext(entry.trace_id, entry.span_id, False, _SAMPLED) if entry.trace_id else None
    if _READABLE is not None:
        within = None if context is None else set_span_in_context(NonRecordingSpan(context))
        return _READABLE(api_logs.LogRecord(context=within, **told), resource, scope)
    # Before 1.39 the SDK had a record of its own, and said the span by its context (from 1.35) or by its ids.
    old: Any = sdk_logs
    if "context" in inspect.signature(old.LogRecord).parameters:
        told["context"] = None if context is None else set_span_in_context(NonRecordingSpan(context))
    else:
        told |= {
            "trace_id": entry.trace_id,
            "span_id": entry.span_id,
            "trace_flags": _SAMPLED if entry.trace_id else TraceFlags(TraceFlags.DEFAULT),
        }
    return old.LogData(old.LogRecord(resource=resource, **told), scope)


def _metric(name: str, points: Sequence[NumberPoint | HistogramPoint]) -> Metric:
    spec = SPECS[name]
    made: Any = [_histogram(point) if isinstance(point, HistogramPoint) else _number(point) for point in points]
    data: ExponentialHistogram | Sum | Gauge
    if spec.kind == "exponential_histogram":
        data = ExponentialHistogram(made, AggregationTemporality.DELTA)
    elif spec.kind == "sum":
        data = Sum(made, AggregationTemporality.DELTA, True)
    else:
        data = Gauge(made)
    return Metric(name, spec.description, spec.unit, data)


def _number(point: NumberPoint) -> NumberDataPoint:
    return NumberDataPoint(point.labels, point.start_ns, point.end_ns, point.value)


def _histogram(point: HistogramPoint) -> ExponentialHistogramDataPoint:
    cell = point.cell
    low, high = min(cell.buckets), max(cell.buckets)
    counts = [cell.buckets.get(index, 0) for index in range(low, high + 1)]
    exemplars = []
    if cell.exemplar is not None:
        seen = cell.exemplar
        exemplars.append(Exemplar({}, seen.seconds, seen.at_ns, seen.span_id, seen.trace_id))
    return ExponentialHistogramDataPoint(
        attributes=point.labels,
        start_time_unix_nano=point.start_ns,
        time_unix_nano=point.end_ns,
        count=cell.count,
        sum=cell.seconds_sum,
        scale=SCALE,
        zero_count=0,
        positive=Buckets(low, counts),
        negative=_NO_BUCKETS,
        flags=0,
        min=cell.seconds_min,
        max=cell.seconds_max,
        exemplars=exemplars,
    )


def _span(item: Kept, resource: Resource, clock_offset_ns: int, redact: Redact) -> ReadableSpan:
    if isinstance(item.span, Invocation):
        identify(item.span)
    request = ExportTraceServiceRequest.FromString(SpanEncoder({}, redact).encode([item], clock_offset_ns))
    scope_spans = request.resource_spans[0].scope_spans[0]
    span = scope_spans.spans[0]
    invocation = item.span
    assert isinstance(invocation, Invocation)  # noqa: S101 - the caller looked
    ids = identify(invocation)
    # It was chosen for export, whatever the host's own sampler says of its trace.
    context = SpanContext(ids.trace_id, ids.span_id, False, TraceFlags(TraceFlags.SAMPLED), ids.state)
    parent = None
    if span.parent_span_id:
        is_remote = bool(span.flags & 0x200)
        parent = SpanContext(
            context.trace_id, int.from_bytes(span.parent_span_id, "big"), is_remote, context.trace_flags
        )
    code = StatusCode.ERROR if span.status.code == 2 else StatusCode.UNSET
    return ReadableSpan(
        name=span.name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=_values(span.attributes),
        events=[Event(event.name, _values(event.attributes), event.time_unix_nano) for event in span.events],
        kind=SpanKind(span.kind - 1),
        status=Status(code, span.status.message or None),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        instrumentation_scope=InstrumentationScope(scope_spans.scope.name, scope_spans.scope.version),
    )


def _values(pairs: Iterable[KeyValue]) -> dict[str, AttributeValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> AttributeValue:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    found: AttributeValue = getattr(value, kind or "string_value")
    return found
