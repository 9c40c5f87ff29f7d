"""OTLP request bytes to Arrow tables, a column at a time.

`ptars` parses the protobuf wire format straight into nested Arrow; flattening is done with Arrow and numpy. No Python
code runs per span, point or record, save for nested attribute values. Each `read_*` function takes the bytes of one
export request and answers the rows to store, with a count of those that had to be refused and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract import attributes
from ptars import HandlerPool

from plugwarden_collector.errors import MalformedTelemetryError

from .attributes import AttributeColumn, text_of
from .resources import ResourceColumns, read_resources

__all__ = ["REQUESTS", "Batch", "Signal", "flatten", "hot_columns", "parse", "read"]

MAX_NS = 2**63 - 1
"""Timestamps are unsigned on the wire and signed in Arrow; later than the year 2262 cannot be stored."""


class Signal(StrEnum):
    """The three kinds of telemetry."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


REQUESTS: Mapping[Signal, Any] = {
    Signal.TRACES: trace_service_pb2.ExportTraceServiceRequest,
    Signal.METRICS: metrics_service_pb2.ExportMetricsServiceRequest,
    Signal.LOGS: logs_service_pb2.ExportLogsServiceRequest,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one request, ready to insert."""

    signal: Signal
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """Staging table name -> rows."""
    accepted: int = 0
    """Spans, points or records to be stored."""
    rejected: int = 0
    """Those that cannot be."""
    reason: str = ""
    """Why, for the sender's log."""
    nbytes: int = 0
    """Size in memory, for the queue's bound."""


_POOLS = {signal: HandlerPool([request.DESCRIPTOR.file]) for signal, request in REQUESTS.items()}
_HANDLERS = {signal: _POOLS[signal].get_for_message(request.DESCRIPTOR) for signal, request in REQUESTS.items()}

_HOT = (
    ("plugin_id", attributes.PLUGIN_ID),
    ("plugin_version", attributes.PLUGIN_VERSION),
    ("plugin_operation", attributes.PLUGIN_OPERATION),
    ("outcome", attributes.PLUGIN_OUTCOME),
    ("error_source", attributes.PLUGIN_ERROR_SOURCE),
    ("error_type", attributes.ERROR_TYPE),
    ("tenant_id", attributes.TENANT_ID),
    ("downstream", attributes.PLUGIN_DOWNSTREAM),
)


def read(signal: Signal, body: bytes) -> Batch:
    """The rows of one export request; raises `MalformedTelemetryError` when the bytes are not one."""
    from .logs import read_logs
    from .metrics import read_metrics
    from .spans import read_spans

    readers = {Signal.TRACES: read_spans, Signal.METRICS: read_metrics, Signal.LOGS: read_logs}
    if not body:
        return Batch(signal)
    return readers[signal](parse(signal, body))


def parse(signal: Signal, body: bytes) -> pa.RecordBatch:
    """The request as one nested Arrow row."""
    try:
        return _HANDLERS[signal].list_to_record_batch([body])
    except Exception as error:
        raise MalformedTelemetryError(f"not a valid {signal} export request: {error}") from error


def flatten(batch: pa.RecordBatch, outer: str, scoped: str, inner: str) -> tuple[pa.Array, _Origin]:
    """The leaf elements of resource -> scope -> leaf, and what each came from."""
    groups = batch.column(outer).flatten()
    resources = read_resources(pc.struct_field(groups, "resource"))
    scope_lists = pc.struct_field(groups, scoped)
    scopes = scope_lists.flatten()
    group_of_scope = pc.list_parent_indices(scope_lists)
    leaf_lists = pc.struct_field(scopes, inner)
    leaves = leaf_lists.flatten()
    scope_of_leaf = pc.list_parent_indices(leaf_lists)
    group_of_leaf = group_of_scope.take(scope_of_leaf)
    return leaves, _Origin(resources, pc.struct_field(scopes, "scope"), scope_of_leaf, group_of_leaf)


@dataclass(frozen=True, slots=True)
class _Origin:
    resources: ResourceColumns
    scopes: pa.StructArray
    scope_of_leaf: pa.Array
    group_of_leaf: pa.Array

    def columns(self) -> dict[str, pa.Array]:
        """Resource id, service, instance and scope of each leaf."""
        resources, group, scope = self.resources, self.group_of_leaf, self.scope_of_leaf
        return {
            "resource_id": resources.ids.take(group),
            "service_name": resources.service.take(group),
            "instance_id": resources.instance.take(group),
            "scope_name": pc.struct_field(self.scopes, "name").take(scope).fill_null(""),
            "scope_version": pc.struct_field(self.scopes, "version").take(scope).fill_null(""),
        }

    def take(self, rows: pa.Array) -> _Origin:
        """The origin of a selection of leaves."""
        return _Origin(self.resources, self.scopes, self.scope_of_leaf.take(rows), self.group_of_leaf.take(rows))


def hot_columns(column: AttributeColumn) -> dict[str, pa.Array]:
    """The contract's attributes as columns, everything else in `attributes`."""
    columns = {name: column.take(key) for name, key in _HOT}
    columns["attributes"] = column.rest()
    return columns


def timestamps(nanoseconds: pa.Array) -> pa.Array:
    """uint64 nanoseconds since 1970 as timestamp[us]; what no clock can mean is clipped, never refused."""
    clipped = np.minimum(nanoseconds.to_numpy(zero_copy_only=False), np.uint64(MAX_NS)).astype(np.int64)
    return pa.array(clipped // 1000).cast(pa.timestamp("us"))


def ids(column: pa.Array, width: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Binary ids of `width` bytes as big-endian uint64 columns, shape (rows, width / 8). All must have that width."""
    fixed = column.cast(pa.binary(width)) if len(column) else pa.array([], pa.binary(width))
    data = np.frombuffer(fixed.buffers()[1] or b"", dtype=np.uint8)
    data = data[fixed.offset * width : (fixed.offset + len(fixed)) * width]
    return data.reshape(-1, width).view(">u8").astype(np.uint64)


def optional_ids(column: pa.Array, width: int) -> tuple[np.ndarray[Any, np.dtype[np.uint64]], Any]:
    """As `ids`, for columns where an id may be missing: values (zero where missing) and the mask of the missing."""
    present = pc.equal(pc.binary_length(column), width).to_numpy(zero_copy_only=False)
    values = np.zeros((len(column), width // 8), dtype=np.uint64)
    if present.any():
        values[present] = ids(column.filter(pa.array(present)), width)
    return values, ~present


def body_text(values: pa.StructArray) -> pa.Array:
    """A log record's body as text."""
    return text_of(values)
