"""Turns batches, invocations and log entries into the OpenTelemetry SDK's own objects, for its exporters."""

from __future__ import annotations

import functools
import linecache
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry._logs import LogRecord, SeverityNumber
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

from plugwarden import shim
from plugwarden.contract import Outcome, attributes, metrics
from plugwarden.contract.histogram import SCALE
from plugwarden.invocation import Failure, Invocation

from .aggregate import Cell, CellKey, MetricBatch
from .logs import LogEntry
from .sampling import Kept

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["encode_logs", "encode_metrics", "encode_spans"]

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

    for key, cell in batch.cells.items():
        scope = _scope(key.operation)
        labels = _cell_attributes(key)
        if key.downstream is not None:
            put(scope, metrics.DOWNSTREAM_DURATION.name, _histogram_point(labels, cell, start, end))
            continue
        put(scope, metrics.INVOCATION_DURATION.name, _histogram_point(labels, cell, start, end))
        if cell.cpu_calls:
            point = NumberDataPoint(labels, start, end, cell.cpu_seconds_estimate)
            put(scope, metrics.CPU_TIME.name, point)
        if key.rejection is not None:
            put(scope, metrics.REJECTIONS.name, NumberDataPoint(labels, start, end, cell.count))
    if gauges:
        for operation in operations:
            scope, labels = _scope(operation), operation_attributes(operation)
            values = [(metrics.INVOCATION_ACTIVE.name, len(operation.active))]
            values.append((metrics.QUARANTINE_STATE.name, operation.quarantine_state.number))
            if operation.breaker is not None:
                values.append((metrics.BREAKER_STATE.name, operation.breaker.state.number))
            for name, value in values:
                put(scope, name, NumberDataPoint(labels, 0, end, value))
    for (signal, reason), count in batch.dropped.items():
        labels = {attributes.PLUGIN_SIGNAL: signal, attributes.PLUGIN_DROP_REASON: reason}
        put(_OWN_SCOPE, metrics.TELEMETRY_DROPPED.name, NumberDataPoint(labels, start, end, count))
    if batch.overhead_seconds:
        put(_OWN_SCOPE, metrics.OVERHEAD.name, NumberDataPoint({}, start, end, batch.overhead_seconds))
    scope_metrics = [
        ScopeMetrics(scope, [_metric(name, points) for name, points in by_name.items()], "")
        for scope, by_name in scopes.items()
    ]
    return MetricsData([ResourceMetrics(resource, scope_metrics, "")])


def encode_spans(kept: Sequence[Kept], resource: Resource, clock_offset_ns: int) -> list[ReadableSpan]:
    """Kept spans for the span exporter; `clock_offset_ns` turns performance-counter times into wall-clock times."""
    spans = []
    for item in kept:
        if isinstance(item.span, Invocation):
            spans.append(_span(item.span, item.reason, resource, clock_offset_ns))
        else:
            spans.append(item.span)
    return spans


def encode_logs(entries: Iterable[LogEntry], resource: Resource) -> list[ReadableLogRecord]:
    """Log entries for the log exporter."""
    records = []
    for entry in entries:
        labels: dict[str, AttributeValue] = {}
        if entry.operation is not None:
            labels.update(operation_attributes(entry.operation))
        if entry.place is not None:
            file, line, function = entry.place
            labels[attributes.CODE_FILE], labels[attributes.CODE_LINE] = _short(file), line
            labels[attributes.CODE_FUNCTION] = function
        if entry.failure is not None:
            labels.update(_exception_attributes(entry.failure))
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
            body=entry.body,
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


def _span(invocation: Invocation, reason: str, resource: Resource, clock_offset_ns: int) -> ReadableSpan:
    operation = invocation.operation
    labels = {name: _sendable(value) for name, value in (invocation.attributes or {}).items()}
    labels.update(operation_attributes(operation))
    labels[attributes.PLUGIN_OUTCOME] = invocation.outcome.value
    labels[attributes.PLUGIN_SAMPLE_REASON] = reason
    labels[attributes.PLUGIN_RUNTIME] = "inline"
    optional = (
        (attributes.PLUGIN_ERROR_SOURCE, invocation.source and invocation.source.value),
        (attributes.ERROR_TYPE, invocation.error_type),
        (attributes.PLUGIN_REJECTION_REASON, invocation.rejection),
        (attributes.TENANT_ID, invocation.tenant),
        (attributes.PLUGIN_DOWNSTREAM, invocation.downstream),
        (attributes.PLUGIN_DIRECTIVE, invocation.admitted_by),
    )
    labels.update({name: value for name, value in optional if value is not None})
    if invocation.fallback:
        labels[attributes.PLUGIN_FALLBACK] = True
    started = invocation.started_ns + clock_offset_ns
    ended = started + invocation.duration_ns
    failed = invocation.outcome in {Outcome.ERROR, Outcome.TIMEOUT}
    failure = invocation.failure
    events = []
    if failure is not None and failed:
        events.append(Event("exception", _exception_attributes(failure), ended))
    return ReadableSpan(
        name=operation.name if invocation.downstream is None else f"downstream {invocation.downstream}",
        context=invocation.get_span_context(),
        parent=invocation.parent,
        resource=resource,
        attributes=labels,
        events=events,
        kind=SpanKind.INTERNAL if invocation.downstream is None else SpanKind.CLIENT,
        status=Status(StatusCode.ERROR, failure.message if failure else None) if failed else Status(StatusCode.UNSET),
        start_time=started,
        end_time=ended,
        instrumentation_scope=_scope(operation),
    )


def _sendable(value: AttributeValue) -> AttributeValue:
    """A plugin's own annotation, without what UTF-8 cannot say."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


@functools.lru_cache(maxsize=4096)
def _short(file: str) -> str:
    """A file's path below the folder it is imported from: where a host is installed is nobody's business."""
    roots = [root for root in sys.path if root and file.startswith(root.rstrip(os.sep) + os.sep)]
    return file[len(max(roots, key=len).rstrip(os.sep)) + 1 :] if roots else os.path.basename(file)  # noqa: PTH119


def _exception_attributes(failure: Failure) -> dict[str, AttributeValue]:
    lines = ["Traceback (most recent call last):"]
    for file, line, function in failure.frames:
        if file == shim.__file__:
            continue  # our own frame says nothing about the plugin
        lines.append(f'  File "{_short(file)}", line {line}, in {function}')
        source = linecache.getline(file, line).strip()
        if source:
            lines.append(f"    {source}")
    lines.append(f"{failure.type_name}: {failure.message}")
    return {
        attributes.EXCEPTION_TYPE: failure.type_name,
        attributes.EXCEPTION_MESSAGE: failure.message,
        attributes.EXCEPTION_STACKTRACE: "\n".join(lines),
    }
