"""ASGI: observes and guards an application that a plugin brought and a host mounted.

    app.mount("/reports", PluginApp(reports_app, sidecar, plugin="reports", version="2.1"))

An answer of 500 and above is a failure. A refused request is answered with 503 and Retry-After, and the rest of the host
is not touched. The caller's W3C context is continued.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from plugwarden.errors import CallNotPermitted

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["PluginApp"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_propagator = TraceContextTextMapPropagator()


def _by_method(scope: Scope) -> str:
    """One operation per HTTP method: paths hold ids, and would be as many operations."""
    if scope["type"] == "websocket":
        return "websocket"
    method = str(scope.get("method", ""))
    return method if method in _METHODS else "_OTHER"  # OpenTelemetry's convention for methods nobody knows


class PluginApp:
    """An ASGI application around a plugin's."""

    def __init__(
        self,
        app: App,
        sidecar: Sidecar,
        *,
        plugin: str,
        version: str,
        operation: Callable[[Scope], str] = _by_method,
        **terms: Any,
    ) -> None:
        """`operation` names a request's operation, out of few names; the terms are those of `Sidecar.wrap`."""
        self._app = app
        self._sidecar = sidecar
        self._plugin, self._version = plugin, version
        self._operation = operation
        self._terms = {"failed_result": _is_server_error, **terms}
        self._wrapped: dict[str, Callable[[Scope, Receive, Send], Awaitable[int]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)  # lifespan: the host's own business
            return
        name = self._operation(scope)
        serve = self._wrapped.get(name)
        if serve is None:
            serve = self._wrapped[name] = self._sidecar.wrap(
                self._serve, plugin=self._plugin, version=self._version, operation=name, **self._terms
            )
        carrier = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope.get("headers", ())}
        token = attach(_propagator.extract(carrier)) if "traceparent" in carrier else None
        began = False

        async def sends(message: MutableMapping[str, Any]) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await serve(scope, receive, sends)
        except CallNotPermitted as refusal:
            mine = (refusal.scope.plugin, refusal.scope.operation) == (self._plugin, name)
            if began or not mine:
                raise  # a plugin that this one calls was refused, and that is this one's to deal with
            await _refuse(scope, send, refusal)
        finally:
            if token is not None:
                detach(token)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> int:
        status = 0

        async def watch(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        await self._app(scope, receive, watch)
        return status


def _is_server_error(status: int) -> bool:
    return status >= 500


async def _refuse(scope: Scope, send: Send, refusal: CallNotPermitted) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013, "reason": "try again later"})
        return
    body = f"this part of the service is not available: {refusal.reason.value}".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if refusal.retry_after_seconds is not None:
        headers.append((b"retry-after", str(max(1, round(refusal.retry_after_seconds))).encode()))
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
