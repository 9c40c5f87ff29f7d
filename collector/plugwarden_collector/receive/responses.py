"""Export responses: empty on full success, `partial_success` where something was refused."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from .decode import Signal
from .intake import Receipt

__all__ = ["response_for"]

_RESPONSES: dict[Signal, tuple[Any, str]] = {
    Signal.TRACES: (trace_service_pb2.ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (metrics_service_pb2.ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (logs_service_pb2.ExportLogsServiceResponse, "rejected_log_records"),
}


def response_for(signal: Signal, receipt: Receipt) -> Any:
    """The response message for a receipt."""
    kind, counter = _RESPONSES[signal]
    message = kind()
    if receipt.rejected:
        setattr(message.partial_success, counter, receipt.rejected)
        message.partial_success.error_message = receipt.reason
    return message
