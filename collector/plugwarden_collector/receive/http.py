"""The OTLP/HTTP receiver: three paths, protobuf and JSON, answers in the request's own encoding.

Pressure is answered with 503 and Retry-After, never with 429: Python's exporter takes 429 for permanent and drops the
batch. Bare ASGI, since three paths need no framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from google.rpc import code_pb2

from plugwarden_collector.errors import PayloadTooLargeError
from plugwarden_collector.receive.decode.half_pairs import to_protobuf_in_part
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.web.auth import TokenBook
from plugwarden_collector.web.encoding import ENCODINGS, MAX_BODY_BYTES, inflate
from plugwarden_collector.web.exchange import JSON, PROTOBUF, Exchange, GoneError, LateError

from .intake import Intake
from .responses import STRANGERS, Refusal, refusal_of, response_for, stranger

__all__ = ["otlp_app"]

App = Callable[[Mapping[str, Any], Any, Any], Awaitable[None]]

_PATHS = {f"/v1/{signal.value}": signal for signal in Signal}
_METHODS = "POST, OPTIONS"
_ALIASES = {"": "identity", "none": "identity", "x-gzip": "gzip"}
_CODES = {400: code_pb2.INVALID_ARGUMENT, 401: code_pb2.UNAUTHENTICATED, 403: code_pb2.PERMISSION_DENIED}


def otlp_app(intake: Intake, tokens: TokenBook) -> App:
    """The ASGI application for port 4318."""

    async def app(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        exchange = Exchange(scope, receive, send)
        signal = _PATHS.get(scope["path"])
        if signal is None:  # not counted: strangers must not make up labels
            text = f"nothing is at {scope['path'][:100]!r}; send to {', '.join(_PATHS)}"
            await exchange.refuse(Refusal(404, code_pb2.NOT_FOUND, text, "unknown"))
        elif scope["method"] == "OPTIONS":
            await exchange.answer(204, b"", [("allow", _METHODS)])
        else:
            result = await _take(intake, tokens, signal, exchange)
            intake.count(signal, "http", result)
            if result in STRANGERS:
                peer = (scope.get("client") or ("an unknown address",))[0]
                intake.on_stranger(str(peer), f"OTLP/HTTP {signal.value}", STRANGERS[result])

    return app


async def _take(intake: Intake, tokens: TokenBook, signal: Signal, exchange: Exchange) -> str:
    """Answer one export request; returns what became of it."""
    named = exchange.header("content-encoding").lower()
    encoding = _ALIASES.get(named, named)
    refusal = _unwelcome(exchange, tokens, encoding)
    if refusal is None:
        try:
            with intake.allowance.holding() as hold:
                body = await exchange.body(hold)
                receipt = await intake.take(signal, body, partial(_unpack, signal, exchange.kind, encoding))
        except GoneError:
            return "disconnected"
        except LateError as error:
            # 408 would say it better, but OTLP's clients send again after 503 only, and the data may be good.
            refusal = Refusal(503, code_pb2.UNAVAILABLE, str(error), "late", retry_seconds=1)
        except Exception as error:  # noqa: BLE001 - each has its answer; none may end as 500
            refusal = refusal_of(error)
        else:
            await exchange.succeed(response_for(signal, receipt))
            return "repeated" if receipt.repeated else "stored"
    await exchange.refuse(refusal)
    return refusal.result


def _unwelcome(exchange: Exchange, tokens: TokenBook, encoding: str) -> Refusal | None:
    """What is wrong with a request that can be told before its body is read."""
    outsider = tokens.outsider(exchange.headers, method=exchange.method)
    if outsider is not None:  # a web page in a browser on this machine, and a proxy on it, must not pass for a sidecar
        hint = ("www-authenticate", "Bearer") if outsider.status == 401 else None
        return Refusal(outsider.status, _CODES[outsider.status], outsider.text, "foreign", hint=hint)
    if exchange.method != "POST":
        text = f"{exchange.method[:20]} is not possible here; POST an export request"
        return Refusal(405, code_pb2.UNIMPLEMENTED, text, "method", hint=("allow", _METHODS))
    if exchange.kind not in {PROTOBUF, JSON}:
        text = f"content-type must be {PROTOBUF} or {JSON}, not {exchange.kind[:100]!r}"
        return Refusal(415, code_pb2.INVALID_ARGUMENT, text, "unsupported", hint=("accept", f"{PROTOBUF}, {JSON}"))
    if encoding not in ENCODINGS:
        text = f"content-encoding must be one of {', '.join(ENCODINGS)}, not {encoding[:100]!r}"
        hint = ("accept-encoding", ", ".join(ENCODINGS))
        return Refusal(415, code_pb2.INVALID_ARGUMENT, text, "unsupported", hint=hint)
    unknown = stranger(tokens.principal(exchange.header("authorization")))
    if unknown is None and exchange.declared_bytes > MAX_BODY_BYTES:
        return refusal_of(PayloadTooLargeError(f"larger than {MAX_BODY_BYTES} bytes; send smaller batches"))
    return unknown


def _unpack(signal: Signal, kind: str, encoding: str, body: bytes) -> bytes:
    """Body as received to protobuf, in a decode thread."""
    body = inflate(body, encoding)
    return to_protobuf_in_part(signal, body) if kind == JSON and body else body
