"""The OTLP/HTTP receiver: three routes, protobuf and JSON, gzip and none.

Errors carry a google.rpc.Status in the request's encoding. Pressure is answered with 503 and Retry-After, never with
429: Python's exporter takes 429 for permanent and drops the batch.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable

from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from plugwarden_collector.api.auth import TokenBook
from plugwarden_collector.errors import BusyError, MalformedTelemetryError, PayloadTooLargeError, StoreError

from .decode import Signal
from .intake import MAX_BODY_BYTES, Intake, Receipt, inflate
from .json_form import to_protobuf
from .responses import response_for

__all__ = ["otlp_app"]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_log = logging.getLogger(__name__)


def otlp_app(intake: Intake, tokens: TokenBook) -> Starlette:
    """The ASGI application for port 4318."""

    async def export(request: Request) -> Response:
        signal = Signal(request.path_params["signal"])
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        response, result = await _answer(request, signal, kind)
        intake.requests[signal.value, "http", result] += 1
        return response

    async def _answer(request: Request, signal: Signal, kind: str) -> tuple[Response, str]:
        if kind not in {PROTOBUF, JSON}:
            text = f"content-type must be {PROTOBUF} or {JSON}, not {kind or 'empty'}"
            return _error(JSON, 415, code_pb2.INVALID_ARGUMENT, text), "unsupported"
        principal = tokens.principal(request.headers.get("authorization"))
        if principal is None:
            return _error(kind, 401, code_pb2.UNAUTHENTICATED, "a bearer token is needed"), "unauthenticated"
        if not principal.may("ingest"):
            return _error(kind, 403, code_pb2.PERMISSION_DENIED, "this token may not send telemetry"), "forbidden"
        try:
            body = inflate(await _body(request), request.headers.get("content-encoding", "").strip().lower())
            if kind == JSON:
                body = to_protobuf(signal, body or b"{}")
            receipt = await intake.take(signal, body)
        except PayloadTooLargeError as error:
            return _error(kind, 413, code_pb2.RESOURCE_EXHAUSTED, str(error)), "too_large"
        except MalformedTelemetryError as error:
            return _error(kind, 400, code_pb2.INVALID_ARGUMENT, str(error)), "malformed"
        except BusyError as error:
            busy = _error(kind, 503, code_pb2.UNAVAILABLE, str(error))
            busy.headers["retry-after"] = str(error.retry_after_seconds)
            return busy, "busy"
        except ClientDisconnect:
            return Response(status_code=400), "disconnected"
        except (StoreError, TimeoutError) as error:
            _log.error("a request could not be stored: %s", error)
            failed = _error(kind, 503, code_pb2.UNAVAILABLE, "the store did not take it; send it again")
            failed.headers["retry-after"] = "5"
            return failed, "store_failed"
        return _success(kind, signal, receipt), "repeated" if receipt.repeated else "stored"

    routes = [Route("/v1/{signal:str}", _guarded(export), methods=["POST"])]
    # As for the API: a web page in a browser on this machine must not pass for a sidecar.
    guard = [] if tokens else [Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])]
    return Starlette(routes=routes, middleware=guard)


def _guarded(export: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        if request.path_params["signal"] not in {signal.value for signal in Signal}:
            return _error(JSON, 404, code_pb2.NOT_FOUND, "send to /v1/traces, /v1/metrics or /v1/logs")
        return await export(request)

    return route


async def _body(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise PayloadTooLargeError(f"larger than {MAX_BODY_BYTES} bytes")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise PayloadTooLargeError(f"larger than {MAX_BODY_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _success(kind: str, signal: Signal, receipt: Receipt) -> Response:
    message = response_for(signal, receipt)
    if kind == JSON:
        return Response(json_format.MessageToJson(message, indent=None), media_type=JSON)
    return Response(message.SerializeToString(), media_type=PROTOBUF)


def _error(kind: str, status: int, code: int, text: str) -> Response:
    if kind == JSON:
        return Response(json.dumps({"code": code, "message": text}), status, media_type=JSON)
    return Response(status_pb2.Status(code=code, message=text).SerializeToString(), status, media_type=PROTOBUF)
