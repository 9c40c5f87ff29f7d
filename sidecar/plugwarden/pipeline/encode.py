"""Turns batches, invocations and log entries into the OpenTelemetry SDK's own objects, for its exporters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics._internal.exemplar import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics._internal.point import Buckets
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
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

from plugwarden.contract import attributes, metrics
from plugwarden.contract.histogram import SCALE
from plugwarden.invocation import Invocation

from .aggregate import Cell, CellKey, MetricBatch
from .logs import LogEntry
from .redaction import Redact, redact_attribute
from .sampling import Kept
from .spans import SpanEncoder
from .stack import exception_attributes, short_path

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["encode_logs", "encode_metrics", "encode_spans"]

GAUGES_AGAIN_NS = 60_000_000_000
"""Gauges of an operation that are as they were are told again this often: most operations are idle most of the time."""
_OWN_SCOPE = InstrumentationScope("plugwarden")
_NO_BUCKETS = Buckets(0, [])
_BY_NAME = {spec.name: spec for spec in metrics.ALL}


def encode_metrics(
    batch: MetricBatch, operations: Iterable[Operation], resource: Resource, *, gauges: bool
) -> MetricsData:
    """One interval as delta points, in one instrumentation scope per plugin version; gauges as of now if asked."""
    start, end = batch.start_ns, batch.end_ns
    scopes: dict[InstrumentationScope, dict[str, list[object]]] = {}

    def put(scope: InstrumentationScope, metric: str, point: object) -> None:
        scopes.setdefault(scope, {}).setdefault(metric, []).append(point)

    caller_overhead = 0.0
    for key, cell in batch.cells.items():
        scope = _scope(key.operation)
        labels = _cell_attributes(key)
        if key.downstream is not None:
            put(scope, metrics.DOWNSTREAM_DURATION.name, _histogram_point(labels, cell, start, end))
            continue
        put(scope, metrics.INVOCATION_DURATION.name, _histogram_point(labels, cell, start, end))
        if cell.cpu_calls or cell.cpu_settled_ns:
            point = NumberDataPoint(labels, start, end, cell.cpu_seconds_estimate)
            put(scope, metrics.CPU_TIME.name, point)
        if key.rejection is not None:
            put(scope, metrics.REJECTIONS.name, NumberDataPoint(labels, start, end, cell.count))
        caller_overhead += cell.overhead_seconds_estimate
    for (operation, answer), count in batch.fallbacks.items():
        labels = {**operation_attributes(operation), attributes.PLUGIN_FALLBACK_ANSWER: answer}
        put(_scope(operation), metrics.FALLBACKS.name, NumberDataPoint(labels, start, end, count))
    for (operation, metric, label), value in batch.sums.items():
        labels = {**operation_attributes(operation), **({attributes.PLUGIN_WORKER_END: label} if label else {})}
        put(_scope(operation), metric, NumberDataPoint(labels, start, end, value))
    if gauges:
        for operation in operations:
            found = tuple(operation_gauges(operation))
            if found == operation.told and end - operation.told_ns < GAUGES_AGAIN_NS:
                continue
            operation.told, operation.told_ns = found, end
            scope, labels = _scope(operation), operation_attributes(operation)
            for name, more, value in found:
                put(scope, name, NumberDataPoint({**labels, **more} if more else labels, 0, end, value))
    for (signal, reason), count in batch.dropped.items():
        labels = {attributes.PLUGIN_SIGNAL: signal, attributes.PLUGIN_DROP_REASON: reason}
        put(_OWN_SCOPE, metrics.TELEMETRY_DROPPED.name, NumberDataPoint(labels, start, end, count))
    for part, seconds in (("background", batch.overhead_seconds), ("caller", caller_overhead)):
        if seconds:
            labels = {attributes.PLUGIN_OVERHEAD_PART: part}
            put(_OWN_SCOPE, metrics.OVERHEAD.name, NumberDataPoint(labels, start, end, seconds))
    scope_metrics = [
        ScopeMetrics(scope, [_metric(name, points) for name, points in by_name.items()], "")
        for scope, by_name in scopes.items()
    ]
    return MetricsData([ResourceMetrics(resource, scope_metrics, "")])


def operation_gauges(operation: Operation) -> Iterator[tuple[str, dict[str, AttributeValue], float]]:
    """(metric, further attributes, value) of what an operation is like now; what has nothing to say is left out."""
    running = tuple(operation.running)
    yield metrics.INVOCATION_ACTIVE.name, {}, len(running)
    yield metrics.QUARANTINE_STATE.name, {}, operation.quarantine_state.number
    if operation.breaker is not None:
        yield metrics.BREAKER_STATE.name, {}, operation.breaker.state.number
    declaration = operation.declaration
    if operation.bulkhead is not None:
        yield metrics.INVOCATION_WAITING.name, {}, len(operation.waiting)
    if declaration.runner == "thread":
        yield metrics.INVOCATION_ABANDONED.name, {}, sum(type(entry) is not Invocation for entry in running)
    used: Counter[str] = Counter()
    for runner in tuple(operation.runners):
        used.update(runner.stats())
    for name, value in used.items():
        yield name, {}, value
    about: dict[str, AttributeValue] = {attributes.PLUGIN_CRITICALITY: declaration.criticality.value}
    if declaration.owner:
        about[attributes.PLUGIN_OWNER] = declaration.owner
    objective = declaration.objective
    if objective is not None:
        for term, promised in (("availability", objective.availability), ("latency", objective.latency_seconds)):
            if promised is not None:
                yield metrics.TERMS_DECLARED.name, {**about, attributes.PLUGIN_TERM: term}, promised
    for term, declared, observed in (
        ("timeout", declaration.timeout_seconds, operation.longest_ns / 1e9),
        ("concurrency", declaration.expected_concurrency, operation.peak_running),
    ):
        if declared is not None:
            yield metrics.TERMS_DECLARED.name, {**about, attributes.PLUGIN_TERM: term}, declared
            yield metrics.TERMS_OBSERVED.name, {**about, attributes.PLUGIN_TERM: term}, observed


def encode_spans(kept: Sequence[Kept], resource: Resource, clock_offset_ns: int, redact: Redact) -> list[ReadableSpan]:
    """Kept spans as the SDK's; `clock_offset_ns` turns performance-counter times into wall-clock times.

    They are read back from our own encoding, so that a host's exporter is told the same as a collector is.
    """
    return [
        _span(item, resource, clock_offset_ns, redact) if isinstance(item.span, Invocation) else item.span
        for item in kept
    ]


def encode_logs(entries: Iterable[LogEntry], resource: Resource, redact: Redact) -> list[ReadableLogRecord]:
    """Log entries for the log exporter."""
    records = []
    for entry in entries:
        labels: dict[str, AttributeValue] = {}
        if entry.operation is not None:
            labels.update(operation_attributes(entry.operation))
        if entry.place is not None:
            file, line, function = entry.place
            labels[attributes.CODE_FILE], labels[attributes.CODE_LINE] = short_path(file), line
            labels[attributes.CODE_FUNCTION] = function
        if entry.failure is not None:
            for key, value in exception_attributes(entry.failure).items():
                labels[key] = redact_attribute(key, value, redact)  # type: ignore[arg-type]  # texts, all of them
        context = None
        if entry.trace_id:
            span = SpanContext(entry.trace_id, entry.span_id, False, TraceFlags(TraceFlags.SAMPLED))
            context = set_span_in_context(NonRecordingSpan(span))
        record = LogRecord(
            timestamp=entry.at_ns,
            observed_timestamp=entry.at_ns,
            context=context,
            severity_text=entry.severity_text,
            severity_number=SeverityNumber(entry.severity_number),
            body=redact(entry.body),
            attributes=labels,
        )
        scope = _OWN_SCOPE if entry.operation is None else _scope(entry.operation)
        records.append(ReadableLogRecord(record, resource, scope))
    return records


def operation_attributes(operation: Operation) -> dict[str, AttributeValue]:
    """The three attributes that name an operation on every signal."""
    scope = operation.scope
    return {
        attributes.PLUGIN_ID: scope.plugin,
        attributes.PLUGIN_VERSION: scope.version or "",
        attributes.PLUGIN_OPERATION: scope.operation or "",
    }


def _scope(operation: Operation) -> InstrumentationScope:
    return InstrumentationScope(operation.scope.plugin, operation.scope.version)


def _cell_attributes(key: CellKey) -> dict[str, AttributeValue]:
    labels = operation_attributes(key.operation)
    labels[attributes.PLUGIN_OUTCOME] = key.outcome
    for name, value in (
        (attributes.PLUGIN_ERROR_SOURCE, key.source),
        (attributes.ERROR_TYPE, key.error_type),
        (attributes.PLUGIN_REJECTION_REASON, key.rejection),
        (attributes.TENANT_ID, key.tenant),
        (attributes.PLUGIN_DOWNSTREAM, key.downstream),
    ):
        if value is not None:
            labels[name] = value
    return labels


def _histogram_point(
    labels: Mapping[str, AttributeValue], cell: Cell, start: int, end: int
) -> ExponentialHistogramDataPoint:
    low, high = min(cell.buckets), max(cell.buckets)
    counts = [cell.buckets.get(index, 0) for index in range(low, high + 1)]
    exemplars = []
    if cell.exemplar is not None:
        seen = cell.exemplar
        exemplars.append(SdkExemplar({}, seen.seconds, seen.at_ns, seen.span_id, seen.trace_id))
    return ExponentialHistogramDataPoint(
        attributes=labels,
        start_time_unix_nano=start,
        time_unix_nano=end,
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


def _metric(name: str, points: list[object]) -> Metric:
    spec = _BY_NAME[name]
    data: object
    if spec.kind == "exponential_histogram":
        data = ExponentialHistogram(points, AggregationTemporality.DELTA)  # type: ignore[arg-type]
    elif spec.kind == "sum":
        data = Sum(points, AggregationTemporality.DELTA, True)  # type: ignore[arg-type]
    else:
        data = Gauge(points)  # type: ignore[arg-type]
    return Metric(name, spec.description, spec.unit, data)


def _span(item: Kept, resource: Resource, clock_offset_ns: int, redact: Redact) -> ReadableSpan:
    request = ExportTraceServiceRequest.FromString(SpanEncoder(Resource({}), redact).encode([item], clock_offset_ns))
    scope_spans = request.resource_spans[0].scope_spans[0]
    span = scope_spans.spans[0]
    invocation = item.span
    assert isinstance(invocation, Invocation)  # noqa: S101 - the caller looked
    context = invocation.get_span_context()
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
