"""OTLP's JSON form of a request (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), for `http/json`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["to_json"]

_REQUESTS: dict[str, Any] = {
    "spans": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def to_json(signal: str) -> Callable[[bytes], bytes]:
    """What turns a request of this signal from protobuf into JSON; the same bytes give the same text."""
    request = _REQUESTS[signal]

    def convert(data: bytes) -> bytes:
        told = MessageToDict(request.FromString(data), use_integers_for_enums=True)
        return json.dumps(_with_hex_ids(told), separators=(",", ":")).encode()

    return convert


def _with_hex_ids(value: Any) -> Any:
    """Ids are hexadecimal in OTLP's JSON, where protobuf's own has base64."""
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in _IDS and isinstance(item, str) else _with_hex_ids(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    return value
