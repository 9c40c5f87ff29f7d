"""ASGI: observes and guards an application that a plugin brought and a host mounted.

    app.mount("/reports", PluginApp(reports_app, sidecar, plugin="reports", version="2.1"))

An answer of 500 and above is a failure, and so is none, or one that breaks off, unless the client has gone. A refused
request is answered with 503 and Retry-After, and the rest of the host is not touched. The caller's W3C context is continued.

    app = RefusalAnswers(app)  # or app.add_middleware(RefusalAnswers), in Starlette and FastAPI

answers the same way in a host of any kind whose own code calls plugins and lets their refusals through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Unpack

from opentelemetry.context import attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from plugwarden.contract import Criticality, ErrorSource, fitting, name_fault
from plugwarden.errors import CallNotPermitted, ConfigurationError
from plugwarden.integrations.answering import is_of
from plugwarden.integrations.refusal import http_refusal
from plugwarden.terms import OwnTerms, Terms
from plugwarden.way_back import Versioned, check_way_back

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["CLIENT_GONE", "NO_ANSWER", "PluginApp", "RefusalAnswers", "wrap_routes"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
NO_ANSWER = 0
"""Stands for the status where nothing was answered."""
CLIENT_GONE = 499
"""Stands for the status where the client had gone; nginx's number."""
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
        **terms: Unpack[Terms],
    ) -> None:
        """`operation` names a request's operation, out of few names; the terms are those of `Sidecar.wrap`, and `previous` is the
        `PluginApp` of an earlier version.

        Raises `ConfigurationError` for a plugin or version that cannot be named so, or gone back from; a request's operation is cut
        and mended.
        """
        for part, name in (("plugin", plugin), ("version", version)):
            fault = name_fault(part, name)
            if fault is not None:
                raise ConfigurationError(f"{part}: {fault}, got {name!r:.300}")
        self._app = app
        self._sidecar = sidecar
        self._plugin, self._version = plugin, version
        self._operation = operation
        previous = terms.pop("previous", None)
        self._terms: Terms = {"failed_result": _fault, **terms}
        self._previous: PluginApp | None = None
        self._previous = self._checked(previous)
        self._wrapped: dict[str, Callable[[Scope, Receive, Send], Awaitable[int]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)  # lifespan: the host's own business
            return
        name = fitting("operation", self._operation(scope))
        serve = self._observed(name)
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
            if began or not is_of(refusal, serve):
                raise  # a call that this one made was refused, and that is this one's to deal with
            await _refuse(scope, send, refusal)
        finally:
            if token is not None:
                detach(token)

    @property
    def goes_back(self) -> bool:
        """Whether refused requests go back to an earlier version."""
        return self._previous is not None

    def _checked(self, previous: Any) -> PluginApp | None:
        """The earlier version: what is wrong with it is told when it is mounted, and by no request."""
        if previous is None:
            return None
        if not isinstance(previous, PluginApp) or previous._sidecar is not self._sidecar:
            raise ConfigurationError("previous: must be a PluginApp of the same sidecar, with the earlier version")
        check_way_back(self._versioned(), [previous._versioned()])
        return previous

    def _versioned(self) -> Versioned:
        further, passed = [], self._previous
        while passed is not None:
            further.append(passed._version)
            passed = passed._previous
        closed = self._terms.get("criticality") == Criticality.SECURITY
        return Versioned(self._plugin, self._version, None, closed, tuple(further))

    def _observed(self, name: str) -> Callable[[Scope, Receive, Send], Awaitable[int]]:
        """What serves the requests of one operation."""
        serve = self._wrapped.get(name)
        if serve is None:
            terms = self._terms
            if self._previous is not None:
                terms = {**terms, "previous": self._previous._observed(name)}
            serve = self._wrapped[name] = self._sidecar.wrap(
                self._serve, plugin=self._plugin, version=self._version, operation=name, **terms
            )
        return serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> int:
        """The status answered with; `NO_ANSWER` or `CLIENT_GONE` where there was none, or it broke off."""
        status, gone, whole = NO_ANSWER, False, False

        async def listen() -> MutableMapping[str, Any]:
            nonlocal gone
            message = await receive()
            gone = gone or message["type"] in {"http.disconnect", "websocket.disconnect"}
            return message

        async def watch(message: MutableMapping[str, Any]) -> None:
            nonlocal status, whole
            kind = message["type"]
            if kind in {"http.response.start", "websocket.http.response.start"}:
                status = int(message["status"])
            elif kind == "websocket.accept":
                status, whole = 101, True
            elif kind == "websocket.close":
                # Closed before it was accepted: the server answers 403. 1011 is an internal error (RFC 6455, 7.4.1).
                status = 500 if message.get("code") == 1011 else status or 403
                whole = True
            elif kind.endswith((".response.body", ".response.zerocopysend")):
                whole = not message.get("more_body", False)
            elif kind == "http.response.pathsend":
                whole = True
            await send(message)

        await self._app(scope, listen, watch)
        if whole:
            return status
        return CLIENT_GONE if gone else NO_ANSWER


def _fault(status: int) -> bool | ErrorSource:
    if status == CLIENT_GONE:
        return ErrorSource.CALLER
    return status == NO_ANSWER or status >= 500


def wrap_routes(
    routes: Iterable[Any],
    sidecar: Sidecar,
    *,
    plugin: str,
    version: str,
    previous: PluginApp | Iterable[Any] | None = None,
    **terms: Unpack[OwnTerms],
) -> int:
    """Observe the routes of Starlette or FastAPI that a plugin brought; return how many. The operation is the route's name.

    `routes`: those of its router, before or after the host takes them in. What a plugin's endpoint raises has become a
    response by then, so that its `HTTPException(404)` is the 404 that it means. `previous` is the routes of the earlier version's
    router, wrapped before and taken in by no host, or a `PluginApp` around all of it. A route goes back to the one with its
    name, path and methods; one that the earlier version had not goes back to none.

    Raises `ConfigurationError` that names `previous` where that cannot be, before any route is wrapped.
    """
    # `handle` and not `app`: FastAPI makes another `app` of a route when its router is included.
    fresh = [route for route in routes if hasattr(route, "endpoint") and not isinstance(route.handle, PluginApp)]
    earlier = _ways_back(previous)
    apps = [
        PluginApp(
            route.handle, sidecar, plugin=plugin, version=version, operation=_named(_operation_of(route)),
            previous=earlier(route), **terms,
        )
        for route in fresh
    ]  # fmt: skip
    if fresh and previous is not None and not any(app.goes_back for app in apps):
        raise ConfigurationError("previous: none of its routes has the name, path and methods of one of these")
    for route, app in zip(fresh, apps, strict=True):
        route.handle = app
    return len(apps)


def _ways_back(previous: PluginApp | Iterable[Any] | None) -> Callable[[Any], PluginApp | None]:
    """Return what says to which application a route goes back."""
    if previous is None or isinstance(previous, PluginApp):
        return lambda route: previous
    if not isinstance(previous, Iterable):
        raise ConfigurationError("previous: must be the routes of the earlier version's router, or a PluginApp")
    known: dict[tuple[str, Any, frozenset[str]], PluginApp] = {}
    for route in previous:
        if hasattr(route, "endpoint"):
            if not isinstance(route.handle, PluginApp):
                name = _operation_of(route)
                raise ConfigurationError(
                    f"previous: route {name} is not wrapped; wrap its router first, with its version"
                )
            known.setdefault(_place(route), route.handle)  # a router serves the first
    return lambda route: known.get(_place(route))


def _place(route: Any) -> tuple[str, Any, frozenset[str]]:
    """Return what two versions of a route have in common: parameters of the path are found by the one that the host has."""
    return _operation_of(route), getattr(route, "path", None), frozenset(getattr(route, "methods", None) or ())


def _operation_of(route: Any) -> str:
    return fitting("operation", getattr(route, "name", None) or "call")


def _named(name: str) -> Callable[[Scope], str]:
    return lambda scope: name


class RefusalAnswers:
    """An ASGI application around a host's: a refusal that leaves it becomes the answer, where none was begun."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        began = False

        async def sends(message: MutableMapping[str, Any]) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, sends)
        except CallNotPermitted as refusal:
            if began:
                raise
            await _refuse(scope, send, refusal)


async def _refuse(scope: Scope, send: Send, refusal: CallNotPermitted) -> None:
    answer = http_refusal(refusal)
    kind = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1013, "reason": "try again later"})
            return
        kind = "websocket.http"
    await send({"type": f"{kind}.response.start", "status": answer.status, "headers": answer.raw_headers})
    await send({"type": f"{kind}.response.body", "body": answer.body})
