"""What both transports answer: the export responses, and one table of what each fault means to a client."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from plugwarden_collector.errors import (
    BusyError,
    MalformedTelemetryError,
    PayloadTooLargeError,
    StoreError,
    UnreadableTelemetryError,
    UnstorableError,
)
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.web.auth import Principal

from .intake import Receipt

__all__ = ["STRANGERS", "Refusal", "refusal_of", "response_for", "status_of", "stranger"]

STORE_RETRY_SECONDS = 5
MAX_TEXT = 1000
"""Characters of a message: gRPC's trailers have 8 KiB for everything, and above them the client would see another error."""
_RESPONSES: dict[Signal, tuple[Any, str]] = {
    Signal.TRACES: (trace_service_pb2.ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (metrics_service_pb2.ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (logs_service_pb2.ExportLogsServiceResponse, "rejected_log_records"),
}
STRANGERS = {"unauthenticated": "no token, or an unknown one", "forbidden": "lacks the scope ingest"}
"""Results of `stranger`, in words."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was not taken, in the terms of both transports."""

    http: int
    """HTTP status."""
    code: int
    """google.rpc.Code."""
    message: str
    """For the client's log."""
    result: str
    """Label under which it is counted."""
    retry_seconds: int | None = None
    """Seconds after which to send it again; None: never, for the same bytes would be refused again."""
    field: str = ""
    """Path of the field that is wrong."""
    hint: tuple[str, str] | None = None
    """An HTTP header that says what would have been right."""


def response_for(signal: Signal, receipt: Receipt) -> Any:
    """The response message for a receipt: empty on full success, `partial_success` where something was refused."""
    kind, counter = _RESPONSES[signal]
    message = kind()
    if receipt.rejected:
        setattr(message.partial_success, counter, receipt.rejected)
        message.partial_success.error_message = receipt.reason
    return message


def refusal_of(error: Exception) -> Refusal:
    """What a client is told about an error. What nobody foresaw is logged, and worth another try."""
    told = str(error)[:MAX_TEXT]
    match error:
        case PayloadTooLargeError():
            return Refusal(413, code_pb2.RESOURCE_EXHAUSTED, told, "too_large")
        case UnreadableTelemetryError():
            return Refusal(400, code_pb2.INVALID_ARGUMENT, told, "unreadable")
        case MalformedTelemetryError():
            return Refusal(400, code_pb2.INVALID_ARGUMENT, told, "malformed", field=error.field[:MAX_TEXT])
        case UnstorableError():
            return Refusal(400, code_pb2.INVALID_ARGUMENT, told, "unstorable")
        case BusyError():
            return Refusal(503, code_pb2.UNAVAILABLE, told, "busy", error.retry_after_seconds)
    if isinstance(error, TimeoutError):
        _log.error("a request could not be stored: it took too long")
        text = "it was not on disk in time; send it again"
        return Refusal(503, code_pb2.UNAVAILABLE, text, "late", STORE_RETRY_SECONDS)
    if isinstance(error, StoreError):
        _log.error("a request could not be stored: %s", error)
    else:
        _log.error("a request failed", exc_info=error)
    text = "the store did not take it; send it again"
    return Refusal(503, code_pb2.UNAVAILABLE, text, "store_failed", STORE_RETRY_SECONDS)


def stranger(principal: Principal | None) -> Refusal | None:
    """What somebody without the right token is told; None for those who may send telemetry."""
    if principal is None:
        hint = ("www-authenticate", "Bearer")
        return Refusal(401, code_pb2.UNAUTHENTICATED, "a bearer token is needed", "unauthenticated", hint=hint)
    if not principal.may("ingest"):
        return Refusal(403, code_pb2.PERMISSION_DENIED, "this token may not send telemetry", "forbidden")
    return None


def status_of(refusal: Refusal) -> status_pb2.Status:
    """The refusal as OTLP has it in bodies and trailers, with RetryInfo or BadRequest as its detail."""
    status = status_pb2.Status(code=refusal.code, message=refusal.message)
    if refusal.retry_seconds is not None:
        delay = duration_pb2.Duration(seconds=refusal.retry_seconds)
        status.details.append(_any(error_details_pb2.RetryInfo(retry_delay=delay)))
    elif refusal.code == code_pb2.INVALID_ARGUMENT:
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=refusal.field, description=refusal.message)
        status.details.append(_any(bad))
    return status


def _any(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
