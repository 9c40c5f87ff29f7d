"""The OTLP/gRPC receiver: three services, taken as raw bytes so that no protobuf objects are built."""

from __future__ import annotations

import logging
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from plugwarden_collector.api.auth import TokenBook
from plugwarden_collector.errors import BusyError, MalformedTelemetryError, StoreError

from .decode import Signal
from .intake import MAX_BODY_BYTES, Intake
from .responses import response_for

__all__ = ["start_grpc"]

_SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": Signal.TRACES,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": Signal.METRICS,
    "opentelemetry.proto.collector.logs.v1.LogsService": Signal.LOGS,
}
_log = logging.getLogger(__name__)


async def start_grpc(intake: Intake, tokens: TokenBook, address: str) -> tuple[Any, int]:
    """Start the server; answers it and the port in use."""
    options = [
        ("grpc.max_receive_message_length", MAX_BODY_BYTES),
        ("grpc.so_reuseport", 0),  # two collectors on one port must not share it silently
        ("grpc.http2.max_ping_strikes", 0),
    ]
    server = grpc.aio.server(options=options)
    handlers = []
    for name, signal in _SERVICES.items():
        method = grpc.unary_unary_rpc_method_handler(_export(intake, tokens, signal))
        handlers.append(grpc.method_handlers_generic_handler(name, {"Export": method}))
    server.add_generic_rpc_handlers(tuple(handlers))
    port = server.add_insecure_port(address)
    await server.start()
    return server, port


def _export(intake: Intake, tokens: TokenBook, signal: Signal) -> Any:
    async def export(body: bytes, context: Any) -> bytes:
        principal = tokens.principal(dict(context.invocation_metadata() or ()).get("authorization"))
        if principal is None or not principal.may("ingest"):
            intake.requests[signal.value, "grpc", "unauthenticated"] += 1
            code = grpc.StatusCode.UNAUTHENTICATED if principal is None else grpc.StatusCode.PERMISSION_DENIED
            await context.abort(code, "a bearer token that may send telemetry is needed")
        result = "stored"
        try:
            receipt = await intake.take(signal, body)
            result = "repeated" if receipt.repeated else "stored"
            return bytes(response_for(signal, receipt).SerializeToString())
        except MalformedTelemetryError as error:
            result = "malformed"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except BusyError as error:
            result = "busy"
            await _unavailable(context, str(error), error.retry_after_seconds)
        except (StoreError, TimeoutError) as error:
            result = "store_failed"
            _log.error("a request could not be stored: %s", error)
            await _unavailable(context, "the store did not take it; send it again", 5)
        finally:
            intake.requests[signal.value, "grpc", result] += 1
        raise AssertionError("abort always raises")

    return export


async def _unavailable(context: Any, text: str, retry_seconds: int) -> None:
    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry_seconds))
    detail = any_pb2.Any()
    detail.Pack(retry)
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message=text, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(grpc.StatusCode.UNAVAILABLE, text)
