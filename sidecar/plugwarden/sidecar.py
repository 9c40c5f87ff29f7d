"""The sidecar: what a host talks to."""

from __future__ import annotations

import atexit
import dataclasses
import difflib
import functools
import importlib
import inspect
import logging
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from plugwarden import shim
from plugwarden.contract import BreakerState, DirectiveSet, Scope, metrics
from plugwarden.declaration import Declaration
from plugwarden.downstream import DownstreamWait
from plugwarden.errors import ConfigurationError
from plugwarden.gate import Breaker, DirectiveFile, Subscription, Transition, resolve
from plugwarden.invocation import Invocation, renew_after_fork, tenant_scope
from plugwarden.loop_watch import Blocked, LoopWatch
from plugwarden.operation import Operation
from plugwarden.pipeline import Pipeline
from plugwarden.pipeline.logs import PluginLogHandler, own_entry
from plugwarden.pipeline.stack import short_path
from plugwarden.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from prometheus_client.registry import Collector

    from plugwarden.manifest import DeclaredPlugin, Manifest
    from plugwarden.runners import ProcessRunner

__all__ = ["Sidecar"]

P = ParamSpec("P")
R = TypeVar("R")

MAX_NAME = 200
"""Ids, versions and operation names are attributes of every signal; longer ones are a mistake."""
_TERMS = frozenset(inspect.signature(Declaration.of).parameters)
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
        lag = self.settings.loop_lag_seconds
        self._loop_watch = None if lag is None else LoopWatch(lag, self._report_blocked)
        self._runners: weakref.WeakSet[ProcessRunner] = weakref.WeakSet()
        if not self.settings.disabled:
            reference = weakref.ref(self)
            _at_exit(lambda: _close_at_exit(reference))
            os.register_at_fork(after_in_child=lambda: _renew_after_fork(reference))

    # -- wrapping -----------------------------------------------------------------------------------------------------

    def plugin(
        self, plugin: str, *, version: str, operation: str | None = None, **terms: Any
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator that wraps a function as an operation of a plugin. The terms are those of `wrap`."""

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            return self.wrap(function, plugin=plugin, version=version, operation=operation, **terms)

        return decorate

    def wrap(
        self,
        function: Callable[P, R],
        *,
        plugin: str,
        version: str,
        operation: str | None = None,
        **terms: Any,
    ) -> Callable[P, R]:
        """The observed form of a function, coroutine function, generator function or async generator function.

        The terms are all optional, see docs/reference/sidecar.md for each: `timeout` in seconds, `fallback`, `breaker`,
        `bulkhead`, `rate`, `quota`, `criticality`, `runner`, `workers`, `touches`, `failed_result`, `caller_errors`,
        `downstream_errors`, `owner`, `concurrency`, `capture`. Wrapping the same plugin, version and operation again
        shares the gate of the first, and its terms take the place of the first's.

        Raises `ConfigurationError` when an argument is wrong; calls of the result never raise errors of the shim.
        """
        if not callable(function):
            raise ConfigurationError(f"function: {function!r} cannot be called")
        operation = operation or str(getattr(function, "__name__", "call"))
        for name, value in (("plugin", plugin), ("version", version), ("operation", operation)):
            if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
                raise ConfigurationError(f"{name}: must be a string of 1 to {MAX_NAME} characters, got {value!r}")
        unknown = sorted(set(terms) - _TERMS)
        if unknown:
            near = difflib.get_close_matches(unknown[0], _TERMS, 1)
            raise ConfigurationError(
                f"{unknown[0]}: no such term; {f'did you mean {near[0]}?' if near else 'known are ' + ', '.join(sorted(_TERMS))}"
            )
        declaration = Declaration.of(**terms)
        if self.settings.disabled:
            return function
        if declaration.runner != "inline":
            self._check_runner(function, declaration.runner)
        known = self._operation(plugin, version, operation, declaration)
        wrapped: Callable[P, R] = shim.wrap(known, function, self._runs(known, function))
        return wrapped

    def declare(self, manifest: Manifest | Path | str) -> DeclaredPlugin:
        """A plugin as its manifest says; raises `ConfigurationError` naming the file and the field that is wrong."""
        from plugwarden.manifest import DeclaredPlugin, Manifest

        return DeclaredPlugin(self, manifest if isinstance(manifest, Manifest) else Manifest.load(manifest))

    def invocation(self, plugin: str, *, version: str, operation: str) -> AbstractContextManager[Invocation | None]:
        """A block of the host's own code as one invocation: `with sidecar.invocation(...)`.

        Raises `PluginQuarantined` or `CallNotPermitted` on entry when the gate refuses.
        """
        if self.settings.disabled:
            return nullcontext()
        return shim.Block(self._operation(plugin, version, operation, None))

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
        for runner in tuple(self._runners):
            runner.close()
        if self._loop_watch is not None:
            self._loop_watch.stop(min(1.0, timeout))
        if self._subscription is not None:
            self._subscription.stop(min(1.0, timeout))
        return self._pipeline.close(timeout)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _scope(self, plugin: str, version: str, operation: str) -> Scope:
        return Scope(plugin, version, operation, self.settings.instance_id)

    def _operation(self, plugin: str, version: str, operation: str, declaration: Declaration | None) -> Operation:
        scope = self._scope(plugin, version, operation)
        with self._lock:
            known = self._operations.get(scope)
            if known is None:
                known = Operation(
                    scope,
                    declaration or Declaration(),
                    append=self._pipeline.queue.append,
                    attend=self._pipeline.attend,
                )
                known.rules = resolve(self._directives.directives, scope)
                if self._loop_watch is not None:
                    known.watch = self._loop_watch.see
            elif declaration is not None:
                # The same operation wrapped anew, as a reload does: later declarations win, the breaker's state stays.
                known.declare(declaration)
            policy = known.declaration.breaker
            if policy is None:
                known.breaker = None
            elif known.breaker is None or known.breaker.policy != policy:
                known.breaker = Breaker(policy, on_transition=self._announcer(known))
            known.reguard()
            self._operations[scope] = known
        self._subscribe()
        return known

    def _check_runner(self, function: Callable[..., Any], runner: str) -> None:
        kind = shim.kind_of(function)
        if "generator" in kind:
            raise ConfigurationError(f'runner: a {kind} hands out items one by one and cannot run under "{runner}"')
        if kind == "coroutine" and runner == "thread":
            raise ConfigurationError('runner: a coroutine is cancelled at its deadline; use "inline", or "process"')

    def _runs(self, operation: Operation, function: Callable[..., Any]) -> Callable[..., Any] | None:
        """The runner's form of a function; None: it runs in place."""
        runner = operation.declaration.runner
        if runner == "inline":
            return None
        from plugwarden.runners import ProcessRunner, ThreadRunner

        if runner == "thread":
            return ThreadRunner(operation).bind(function)
        process = ProcessRunner(operation, functools.partial(self._pipeline.add_sum, operation))
        bound = process.bind(function, shim.kind_of(function))
        operation.runners.add(process)
        self._runners.add(process)
        return bound

    def _announcer(self, operation: Operation) -> Callable[[Transition], None]:
        def announce(transition: Transition) -> None:
            operation.reguard()
            text = f"breaker {operation.scope.plugin}@{operation.scope.version} {operation.scope.operation}: "
            text += f"{transition.before.word} → {transition.after.word} ({transition.reason})"
            severity = 13 if transition.after in _TROUBLED else 9
            self._pipeline.emit_log(own_entry(operation, "plugwarden.breaker", severity, text))
            self._pipeline.hurry()

        return announce

    def _report_blocked(self, blocked: Blocked) -> None:
        operation, (file, line, function) = blocked.operation, blocked.place
        text = f"the event loop was held up for {blocked.seconds:.2f} s by {operation.scope.plugin}"
        text += f"@{operation.scope.version} {operation.scope.operation}: {short_path(file)}:{line} in {function}"
        self._pipeline.add_sum(operation, metrics.LOOP_BLOCKED.name, blocked.seconds)
        self._pipeline.emit_log(own_entry(operation, "plugwarden.loop", 13, text, blocked.place))
        self._pipeline.hurry()

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
                operation.reguard()
        if not self._file.save(directives):
            self._pipeline.count_drop("directives", "not_persisted")

    def _renew(self) -> None:
        """After a fork: a new identity, and no threads yet."""
        self.settings = dataclasses.replace(self.settings, instance_id=str(uuid.uuid4()))
        self._lock = threading.Lock()
        self._subscription = None
        self._pipeline.take_settings(self.settings)
        renew_after_fork()
        if self._loop_watch is not None:
            self._loop_watch.renew_after_fork()
        renewed: dict[Scope, Operation] = {}
        for scope, operation in self._operations.items():
            operation.scope = dataclasses.replace(scope, instance=self.settings.instance_id)
            operation.renew_after_fork()
            operation.rules = resolve(self._directives.directives, operation.scope)
            operation.reguard()
            renewed[operation.scope] = operation
        self._operations.clear()
        self._operations.update(renewed)


def _at_exit(action: Callable[[], None]) -> None:
    """Before the interpreter stops threads from starting, which the OpenTelemetry SDK's first use needs.

    concurrent.futures does the same, and has to be there first: what is registered last is called first.
    """
    importlib.import_module("concurrent.futures.thread")
    register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
    try:
        register(action)
    except RuntimeError:
        atexit.register(action)  # made while the interpreter is ending already


def _close_at_exit(reference: weakref.ref[Sidecar]) -> None:
    sidecar = reference()
    if sidecar is not None:
        sidecar.close(timeout=5.0)


def _renew_after_fork(reference: weakref.ref[Sidecar]) -> None:
    sidecar = reference()
    if sidecar is not None:
        sidecar._renew()
