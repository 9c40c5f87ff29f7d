"""OTLP's message types as the decoder needs them: what is not stored is not parsed.

The wire format is OTLP's own; only our view of it is narrower. Fields that nothing reads are taken out of the descriptors, so
that the parser skips them, and nested attribute values stay bytes, which cost nothing until somebody has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from .batch import Signal

__all__ = ["OLD_SCOPES", "REQUESTS", "narrow_request", "narrow_resource", "parser_gave_up"]

REQUESTS: Mapping[Signal, Any] = {
    Signal.TRACES: trace_service_pb2.ExportTraceServiceRequest,
    Signal.METRICS: metrics_service_pb2.ExportMetricsServiceRequest,
    Signal.LOGS: logs_service_pb2.ExportLogsServiceRequest,
}
"""OTLP's own types, for JSON and for tests."""

_UNREAD: Mapping[str, frozenset[str]] = {
    "AnyValue": frozenset({"string_value_strindex"}),
    "KeyValue": frozenset({"key_strindex"}),
    "InstrumentationScope": frozenset({"attributes", "dropped_attributes_count"}),
    "Resource": frozenset({"dropped_attributes_count", "entity_refs"}),
    "Span": frozenset({"flags"}),
    "Event": frozenset({"dropped_attributes_count"}),
    "Link": frozenset({"trace_state", "dropped_attributes_count", "flags"}),
    "LogRecord": frozenset({"dropped_attributes_count", "flags"}),
    "Metric": frozenset({"description", "metadata"}),
    "NumberDataPoint": frozenset({"flags"}),
    "HistogramDataPoint": frozenset({"flags"}),
    "ExponentialHistogramDataPoint": frozenset({"flags", "zero_threshold"}),
    "SummaryDataPoint": frozenset({"flags"}),
    "Exemplar": frozenset({"filtered_attributes", "time_unix_nano", "span_id"}),
}
_UNREAD_EVERYWHERE = frozenset({"schema_url"})
_AS_BYTES: Mapping[str, frozenset[str]] = {"AnyValue": frozenset({"array_value", "kvlist_value"})}
_FILES = (
    common_pb2, resource_pb2, trace_pb2, metrics_pb2, logs_pb2, trace_service_pb2, metrics_service_pb2, logs_service_pb2,
)  # fmt: skip
"""Files of the schema, in the order in which they import each other."""


OLD_SCOPES: Mapping[str, tuple[str, str]] = {
    "ResourceSpans": ("instrumentation_library_spans", "scope_spans"),
    "ResourceMetrics": ("instrumentation_library_metrics", "scope_metrics"),
    "ResourceLogs": ("instrumentation_library_logs", "scope_logs"),
}
"""Message -> what field 1000 of it was called before OTLP 0.15, when it held what is in the other field now."""
_OLD_SCOPES_NUMBER = 1000


def narrow_request(signal: Signal) -> Any:
    """The descriptor of a signal's export request, narrowed."""
    return _POOL.FindMessageTypeByName(REQUESTS[signal].DESCRIPTOR.full_name)


def narrow_resource() -> Any:
    """The descriptor of a resource, narrowed."""
    return _POOL.FindMessageTypeByName(resource_pb2.Resource.DESCRIPTOR.full_name)


def _narrowed() -> DescriptorPool:
    pool = DescriptorPool()
    for module in _FILES:
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        _narrow(file.message_type)
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _narrow(messages: Iterable[descriptor_pb2.DescriptorProto]) -> None:
    for message in messages:
        unread = _UNREAD.get(message.name, frozenset()) | _UNREAD_EVERYWHERE
        kept = [field for field in message.field if field.name not in unread]
        for field in kept:
            if field.name in _AS_BYTES.get(message.name, frozenset()):
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
                field.ClearField("type_name")
        del message.field[:]
        message.field.extend(kept)
        if (
            message.name in OLD_SCOPES
        ):  # only to see that it is there: unknown to the parser, it would be lost without a word
            old = message.field.add(name=OLD_SCOPES[message.name][0], number=_OLD_SCOPES_NUMBER)
            old.type, old.label = old.TYPE_BYTES, old.LABEL_REPEATED
            del message.reserved_range[:]
        _narrow(message.nested_type)


_POOL = _narrowed()


def parser_gave_up(error: BaseException) -> bool:
    """Whether ptars could not read something: lengths near 2^64 make it panic, which is no `Exception`."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
