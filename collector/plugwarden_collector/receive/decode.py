"""OTLP request bytes to Arrow tables, a column at a time.

`ptars` parses the protobuf wire format straight into nested Arrow; flattening is done with Arrow and numpy. No Python
code runs per span, point or record, save for nested attribute values. `read` takes the bytes of one export request and
answers the rows to store, with a count of those that had to be refused and why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from ptars import HandlerPool

from plugwarden_collector.errors import MalformedTelemetryError

from .batch import Batch, Signal
from .identity import DEFAULT_IDENTITY, Identity
from .logs import read_logs
from .metrics import read_metrics
from .poison import salvage
from .spans import read_spans

__all__ = ["REQUESTS", "Batch", "Signal", "parse", "read"]

REQUESTS: Mapping[Signal, Any] = {
    Signal.TRACES: trace_service_pb2.ExportTraceServiceRequest,
    Signal.METRICS: metrics_service_pb2.ExportMetricsServiceRequest,
    Signal.LOGS: logs_service_pb2.ExportLogsServiceRequest,
}

_POOLS = {signal: HandlerPool([request.DESCRIPTOR.file]) for signal, request in REQUESTS.items()}
_HANDLERS = {signal: _POOLS[signal].get_for_message(request.DESCRIPTOR) for signal, request in REQUESTS.items()}
_READERS: Mapping[Signal, Callable[[pa.RecordBatch, Identity, int], Batch]] = {
    Signal.TRACES: read_spans,
    Signal.METRICS: read_metrics,
    Signal.LOGS: read_logs,
}


def read(signal: Signal, body: bytes, *, identity: Identity = DEFAULT_IDENTITY, now_ns: int | None = None) -> Batch:
    """The rows of one export request that arrived at `now_ns`; raises `MalformedTelemetryError` when it is not one."""
    if not body:
        return Batch(signal)
    at = time.time_ns() if now_ns is None else now_ns
    try:
        return _READERS[signal](parse(signal, body), identity, at)
    except MalformedTelemetryError as error:
        saved = salvage(body, lambda part: _parses(signal, part))
        if saved is None or not saved.body:
            raise
        batch = _READERS[signal](parse(signal, saved.body), identity, at)
        reason = "; ".join(filter(None, (batch.reason, f"{saved.refused}: {error}")))
        return replace(batch, rejected=batch.rejected + saved.refused, reason=reason)


def _parses(signal: Signal, body: bytes) -> bool:
    try:
        parse(signal, body)
    except MalformedTelemetryError:
        return False
    return True


def parse(signal: Signal, body: bytes) -> pa.RecordBatch:
    """The request as one nested Arrow row."""
    try:
        return _HANDLERS[signal].list_to_record_batch([body])
    except BaseException as error:
        # Lengths near 2^64 make ptars panic, which is no `Exception`; what people and the system raise passes through.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise MalformedTelemetryError(f"not a valid {signal} export request: {error}") from error
