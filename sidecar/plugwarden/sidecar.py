"""The sidecar: what a host talks to."""

from __future__ import annotations

import atexit
import dataclasses
import logging
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from plugwarden import shim
from plugwarden.contract import BreakerState, DirectiveSet, Scope
from plugwarden.downstream import DownstreamWait
from plugwarden.errors import ConfigurationError
from plugwarden.gate import Breaker, BreakerPolicy, DirectiveFile, Subscription, Transition, resolve
from plugwarden.invocation import Invocation, tenant_scope
from plugwarden.operation import Operation
from plugwarden.pipeline import Pipeline
from plugwarden.pipeline.logs import PluginLogHandler, own_entry
from plugwarden.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from prometheus_client.registry import Collector

__all__ = ["Sidecar"]

P = ParamSpec("P")
R = TypeVar("R")

MAX_NAME = 200
"""Ids, versions and operation names are attributes of every signal; longer ones are a mistake."""
_TROUBLED = frozenset({BreakerState.OPEN, BreakerState.FORCED_OPEN})


class Sidecar:
    """Wraps plugin calls, watches them, and refuses those that a directive or a breaker forbids.

    Keywords are those of `Settings`; what is not given comes from PLUGWARDEN_* and OTEL_* variables. Nothing is started
    before the first call of a wrapped operation, or the first operation wrapped when there is a collector to ask.
    """

    def __init__(self, service: str | None = None, **settings: Any) -> None:
        self.settings = Settings.load(service=service, **settings)
        self._operations: dict[Scope, Operation] = {}
        self._lock = threading.Lock()
        self._file = DirectiveFile(self.settings.state_dir)
        self._directives = self._file.load() or DirectiveSet()
        self._pipeline = Pipeline(self.settings, lambda: tuple(self._operations.values()), on_start=self._subscribe)
        self._subscription: Subscription | None = None
        self._closed = False
        if not self.settings.disabled:
            reference = weakref.ref(self)
            atexit.register(_close_at_exit, reference)
            os.register_at_fork(after_in_child=lambda: _renew_after_fork(reference))

    # -- wrapping -----------------------------------------------------------------------------------------------------

    def plugin(
        self, plugin: str, *, version: str, operation: str | None = None, **options: Any
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator that wraps a function as an operation of a plugin. Options are those of `wrap`."""

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            return self.wrap(function, plugin=plugin, version=version, operation=operation, **options)

        return decorate

    def wrap(
        self,
        function: Callable[P, R],
        *,
        plugin: str,
        version: str,
        operation: str | None = None,
        timeout: float | None = None,
        fallback: Callable[..., Any] | None = None,
        breaker: BreakerPolicy | bool | None = True,
        caller_errors: Iterable[type[Exception]] = (),
        downstream_errors: Iterable[type[Exception]] = (),
    ) -> Callable[P, R]:
        """The observed form of a function, coroutine function, generator function or async generator function.

        `timeout` is the deadline in seconds. `fallback` is called with the same arguments when a call is refused, raises
        an `Exception`, or is cancelled at its deadline; generators use it only when refused. `breaker` is a policy, True
        for the default one or False for none. `caller_errors` and `downstream_errors` are exception types that are not
        the plugin's fault. Wrapping the same plugin, version and operation again shares the gate of the first.

        Raises `ConfigurationError` when an argument is wrong; calls of the result never raise errors of the shim.
        """
        if not callable(function):
            raise ConfigurationError(f"function: {function!r} cannot be called")
        operation = operation or str(getattr(function, "__name__", "call"))
        for name, value in (("plugin", plugin), ("version", version), ("operation", operation)):
            if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
                raise ConfigurationError(f"{name}: must be a string of 1 to {MAX_NAME} characters, got {value!r}")
        if timeout is not None and not timeout > 0:
            raise ConfigurationError(f"timeout: {timeout!r} must be above 0 seconds, or None for no deadline")
        if fallback is not None and not callable(fallback):
            raise ConfigurationError(
                f"fallback: {fallback!r} cannot be called; wrap a value as `lambda *a, **k: value`"
            )
        if self.settings.disabled:
            return function
        known = self._operation(
            plugin,
            version,
            operation,
            timeout_seconds=timeout,
            fallback=fallback,
            policy=BreakerPolicy() if breaker is True else (breaker or None),
            caller_errors=tuple(caller_errors),
            downstream_errors=tuple(downstream_errors),
        )
        return shim.wrap(known, function, self._count_fault)

    def invocation(self, plugin: str, *, version: str, operation: str) -> AbstractContextManager[Invocation | None]:
        """A block of the host's own code as one invocation: `with sidecar.invocation(...)`.

        Raises `PluginQuarantined` or `CallNotPermitted` on entry when the gate refuses.
        """
        if self.settings.disabled:
            return nullcontext()
        known = self._operation(plugin, version, operation)
        return shim.observed(known, self._count_fault)

    def downstream(self, name: str) -> DownstreamWait:
        """Marks a wait for something the plugin depends on: `with` or `async with sidecar.downstream("geo-api")`.

        Exceptions and deadlines that strike inside are the downstream's fault, and the time is counted under its name.
        Outside of an invocation it does nothing.
        """
        return DownstreamWait(name)

    def tenant(self, tenant: str) -> AbstractContextManager[None]:
        """Attributes invocations inside the block to a tenant."""
        return tenant_scope(tenant)

    def log_handler(self, level: int = logging.INFO) -> logging.Handler:
        """A handler that sends what plugins log; attach it to the root logger or to a plugin's."""
        return PluginLogHandler(self._pipeline.emit_log, level)

    def span_processor(self) -> SpanProcessor:
        """Sends the host's and plugins' own OpenTelemetry spans the same way, so that traces stay whole."""
        from plugwarden.integrations.otel import SidecarSpanProcessor

        return SidecarSpanProcessor(self._pipeline.emit, self.flush)

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def directives(self) -> DirectiveSet:
        """The directives in force."""
        return self._directives

    @property
    def operations(self) -> Collection[Operation]:
        """Everything wrapped so far."""
        return tuple(self._operations.values())

    def breaker(self, plugin: str, version: str, operation: str) -> Breaker | None:
        """The breaker of an operation, to look at or to force; None when it has none."""
        known = self._operations.get(self._scope(plugin, version, operation))
        return None if known is None else known.breaker

    def prometheus(self) -> Collector:
        """A collector to register with prometheus-client."""
        from plugwarden.pipeline.exposition import PluginCollector

        return PluginCollector(self._pipeline.totals, lambda: self.operations)

    def serve_metrics(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Serve /metrics for Prometheus from a thread; answers the port in use."""
        from prometheus_client import start_http_server
        from prometheus_client.registry import CollectorRegistry

        registry = CollectorRegistry()
        registry.register(self.prometheus())
        server, _ = start_http_server(port, host, registry)
        return int(server.server_port)

    def flush(self, timeout: float = 5.0) -> bool:
        """Send everything recorded so far; False when `timeout` seconds were not enough."""
        return self._pipeline.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Flush and stop the threads. Wrapped operations keep working, unobserved. May be called twice."""
        if self._closed:
            return True
        self._closed = True
        if self._subscription is not None:
            self._subscription.stop(min(1.0, timeout))
        return self._pipeline.close(timeout)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _scope(self, plugin: str, version: str, operation: str) -> Scope:
        return Scope(plugin, version, operation, self.settings.instance_id)

    def _operation(
        self, plugin: str, version: str, operation: str, *, policy: BreakerPolicy | None = None, **options: Any
    ) -> Operation:
        scope = self._scope(plugin, version, operation)
        with self._lock:
            known = self._operations.get(scope)
            if known is None:
                known = Operation(scope, self._pipeline.emit, **options)
                if policy is not None:
                    announce = self._announcer(known)
                    known.breaker = Breaker(policy, on_transition=announce)
                known.rules = resolve(self._directives.directives, scope)
                self._operations[scope] = known
            elif options:
                # The same operation wrapped anew, as a reload does: later declarations win, the gate's state stays.
                for name, value in options.items():
                    setattr(known, name, value)
        self._subscribe()
        return known

    def _announcer(self, operation: Operation) -> Callable[[Transition], None]:
        def announce(transition: Transition) -> None:
            text = f"breaker {operation.scope.plugin}@{operation.scope.version} {operation.scope.operation}: "
            text += f"{transition.before.word} → {transition.after.word} ({transition.reason})"
            severity = 13 if transition.after in _TROUBLED else 9
            self._pipeline.emit_log(own_entry(operation, "plugwarden.breaker", severity, text))
            self._pipeline.hurry()

        return announce

    def _subscribe(self) -> None:
        if self._subscription is None and self.settings.collector_url is not None and not self._closed:
            with self._lock:
                if self._subscription is None:
                    self._subscription = Subscription(
                        self.settings.collector_url,
                        token=self.settings.token,
                        query={"service": self.settings.service, "instance": self.settings.instance_id},
                        current=lambda: self._directives,
                        apply=self._apply,
                        trouble=lambda reason: self._pipeline.count_drop("directives", reason),
                    )
            self._subscription.start()

    def _apply(self, directives: DirectiveSet) -> None:
        with self._lock:
            self._directives = directives
            for scope, operation in self._operations.items():
                operation.rules = resolve(directives.directives, scope)
        if not self._file.save(directives):
            self._pipeline.count_drop("directives", "not_persisted")

    def _count_fault(self) -> None:
        self._pipeline.count_drop("internal", "shim_fault")

    def _renew(self) -> None:
        """After a fork: a new identity, and no threads yet."""
        self.settings = dataclasses.replace(self.settings, instance_id=str(uuid.uuid4()))
        self._lock = threading.Lock()
        self._subscription = None
        renewed: dict[Scope, Operation] = {}
        for scope, operation in self._operations.items():
            operation.scope = dataclasses.replace(scope, instance=self.settings.instance_id)
            operation.active.clear()
            operation.rules = resolve(self._directives.directives, operation.scope)
            if operation.breaker is not None:
                operation.breaker.renew_lock()
            renewed[operation.scope] = operation
        self._operations.clear()
        self._operations.update(renewed)
        self._pipeline._settings = self.settings


def _close_at_exit(reference: weakref.ref[Sidecar]) -> None:
    sidecar = reference()
    if sidecar is not None:
        sidecar.close(timeout=5.0)


def _renew_after_fork(reference: weakref.ref[Sidecar]) -> None:
    sidecar = reference()
    if sidecar is not None:
        sidecar._renew()
