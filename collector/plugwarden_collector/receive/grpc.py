"""The OTLP/gRPC receiver: three services, taken as raw bytes so that no protobuf objects are built."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from urllib.parse import unquote

import grpc
from google.rpc import code_pb2

from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.web.auth import TokenBook
from plugwarden_collector.web.encoding import MAX_BODY_BYTES, inflate, sniff

from .intake import Intake
from .responses import STRANGERS, Refusal, refusal_of, response_for, status_of, stranger

__all__ = ["start_grpc"]

_SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": Signal.TRACES,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": Signal.METRICS,
    "opentelemetry.proto.collector.logs.v1.LogsService": Signal.LOGS,
}
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_BODY_BYTES),
    # Messages are inflated by us: gRPC would do it in its own thread instead of a decode thread, and would answer
    # INTERNAL to a broken one, which tells a client nothing.
    ("grpc.per_message_decompression", 0),
    ("grpc.so_reuseport", 0),  # two collectors on one port must not share it silently
    ("grpc.http2.max_ping_strikes", 0),
]
# `maximum_concurrent_rpcs` is left alone: gRPC answers RESOURCE_EXHAUSTED without RetryInfo above it, and clients
# take that for permanent. The intake's allowance bounds what is in hand.

_CODES = {code.value[0]: code for code in grpc.StatusCode}


async def start_grpc(intake: Intake, tokens: TokenBook, address: str) -> tuple[Any, int]:
    """Start the server; return it and the port in use."""
    server = grpc.aio.server(options=_OPTIONS)
    handlers = []
    for name, signal in _SERVICES.items():
        method = grpc.unary_unary_rpc_method_handler(_export(intake, tokens, signal))
        handlers.append(grpc.method_handlers_generic_handler(name, {"Export": method}))
    server.add_generic_rpc_handlers(tuple(handlers))
    port = server.add_insecure_port(address)
    await server.start()
    return server, port


def _export(intake: Intake, tokens: TokenBook, signal: Signal) -> Any:
    async def attempt(body: bytes, context: Any) -> bytes | Refusal:
        unwelcome = _unwelcome(tokens, context)
        if unwelcome is not None:
            return unwelcome
        encoding = sniff(body)
        unpack = None if encoding == "identity" else partial(inflate, encoding=encoding)
        try:
            with intake.allowance.holding(len(body)):
                receipt = await intake.take(signal, body, unpack)
            intake.count(signal, "grpc", "repeated" if receipt.repeated else "stored")
            return bytes(response_for(signal, receipt).SerializeToString())
        except Exception as error:  # noqa: BLE001 - each has its answer; none may end as UNKNOWN
            return refusal_of(error)

    async def export(body: bytes, context: Any) -> bytes:
        try:
            answer = await attempt(body, context)
        except asyncio.CancelledError:  # by the client; what the writer has by now is stored all the same
            intake.count(signal, "grpc", "abandoned")
            raise
        if isinstance(answer, bytes):
            return answer
        intake.count(signal, "grpc", answer.result)
        if answer.result in STRANGERS:
            # `ipv4:127.0.0.1:50000`, `ipv6:%5B::1%5D:50000`: without the port, which is another at each try
            peer = unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")
            intake.on_stranger(peer or "an unknown address", f"OTLP/gRPC {signal.value}", STRANGERS[answer.result])
        context.set_trailing_metadata((("grpc-status-details-bin", status_of(answer).SerializeToString()),))
        await context.abort(_CODES[answer.code], answer.message)
        raise AssertionError("abort always raises")

    return export


def _unwelcome(tokens: TokenBook, context: Any) -> Refusal | None:
    metadata = context.invocation_metadata() or ()
    if tokens:
        return stranger(tokens.principal(dict(metadata).get("authorization")))
    # Metadata whose name ends in -bin is bytes; no header that matters here has such a name.
    headers = ((name.encode(), value.encode()) for name, value in metadata if isinstance(value, str))
    outsider = tokens.outsider(headers, host_told=False)
    if outsider is None:
        return None
    code = code_pb2.UNAUTHENTICATED if outsider.status == 401 else code_pb2.PERMISSION_DENIED
    return Refusal(outsider.status, code, outsider.text, "foreign")
