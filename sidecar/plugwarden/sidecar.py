"""The sidecar: what a host talks to."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from plugwarden import shim
from plugwarden.contract import OVERFLOW, BreakerState, DirectiveSet, Scope, fitting, metrics, name_fault
from plugwarden.declaration import Declaration
from plugwarden.downstream import DownstreamWait
from plugwarden.errors import ConfigurationError
from plugwarden.gate import Breaker, Transition, by_plugin, resolve
from plugwarden.invocation import Invocation, renew_after_fork, tenant_scope
from plugwarden.lifetime import ending
from plugwarden.loop_watch import Blocked, LoopWatch
from plugwarden.nearest import hint
from plugwarden.operation import Operation
from plugwarden.pipeline import Pipeline
from plugwarden.pipeline.logs import PluginLogHandler, own_entry
from plugwarden.pipeline.stack import short_path
from plugwarden.settings import Settings
from plugwarden.world import World

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from prometheus_client.registry import Collector

    from plugwarden.declared_plugin import DeclaredPlugin, KeptVersions
    from plugwarden.gate.subscription import DirectiveFile, Subscription
    from plugwarden.grants import Grants
    from plugwarden.manifest import Manifest
    from plugwarden.runners import ProcessRunner
    from plugwarden.terms import Keywords, Terms

__all__ = ["Sidecar"]

P = ParamSpec("P")
R = TypeVar("R")

MAX_NAMED_FAULTS = 100
"""Directives that could not be meant and were named in the log; each is counted all the same."""
MAX_BLOCKS = 1_000
"""Operations of `invocation` blocks that are told apart, 13 KiB each (benchmarks/sidecar_footprint.py): one named after its data, such as
a job's number, would fill the process. What comes after is `_OTHER` of its plugin; plugins beyond as many again are `_OTHER` as well."""
_log = logging.getLogger(__name__)
_TERMS = tuple(sorted(Declaration.of.__kwdefaults__ or ()))
"""Those of `Terms`, whose types are for editors and type checkers alone and cost a process a millisecond."""
_TROUBLED = frozenset({BreakerState.OPEN, BreakerState.FORCED_OPEN})


class Sidecar:
    """Wraps plugin calls, watches them, and refuses those that a directive or a breaker forbids.

    Keywords are those of `Settings`; what is not given comes from PLUGWARDEN_* and OTEL_* variables. Nothing is started
    before the first call of a wrapped operation, or the first operation wrapped when there is a collector to ask.
    """

    _world = World()

    def __init__(self, service: str | None = None, **settings: Unpack[Keywords]) -> None:
        self.settings = self._load_settings(service=service, **settings)
        self._operations: dict[Scope, Operation] = {}
        self._blocks = 0
        self._lock = threading.Lock()
        self._file = self._directive_file()
        self._directives = (self._file and self._file.load()) or DirectiveSet()
        self._named_faults: set[str] = set()
        self._pipeline = self._make_pipeline()
        self._subscription: Subscription | None = None
        self._closed = self._closed_well = False
        self._note_refused(self._directives)
        lag = self.settings.loop_lag_seconds
        self._loop_watch = None if lag is None else LoopWatch(lag, self._report_blocked)
        self._runners: weakref.WeakSet[ProcessRunner] = weakref.WeakSet()
        self._kept: KeptVersions | None = None
        if not self.settings.disabled:
            reference = weakref.ref(self)
            ending.enrol(self, on_signal=self.settings.sigterm)
            os.register_at_fork(after_in_child=lambda: _renew_after_fork(reference))

    # -- wrapping -----------------------------------------------------------------------------------------------------

    def plugin(
        self, plugin: str, *, version: str, operation: str | None = None, **terms: Unpack[Terms]
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
        **terms: Unpack[Terms],
    ) -> Callable[P, R]:
        """The observed form of a function, coroutine function, generator function or async generator function, of a
        bound, static or class method, of any other object that can be called, or of a class (the making of instances).

        The terms are all optional, see docs/reference/sidecar.md for each: `timeout` in seconds, `fallback`, `previous`, `breaker`,
        `bulkhead`, `rate`, `quota`, `criticality`, `runner`, `workers`, `touches`, `failed_result`, `caller_errors`,
        `downstream_errors`, `owner`, `concurrency`, `capture`. Wrapping the same plugin, version and operation again
        shares the gate of the first, and its terms take the place of the first's; but each form keeps the `fallback` and the
        `previous` that it was given, and what was said of its arguments, results and exceptions.

        Raises `ConfigurationError` when an argument is wrong; calls of the result never raise errors of the shim.
        """
        shim.require_callable(function)
        operation = operation or str(getattr(function, "__name__", "call"))
        for name, value in (("plugin", plugin), ("version", version), ("operation", operation)):
            fault = name_fault(name, value)
            if fault is not None:
                raise ConfigurationError(f"{name}: {fault}, got {value!r:.300}")
        for name in terms:
            if name not in _TERMS:
                raise ConfigurationError(f"{name}: no such term; {hint(name, _TERMS)}")
        terms.setdefault("breaker", self.settings.breakers)
        declaration = Declaration.of(**terms)
        if self.settings.disabled:
            return function
        if declaration.runner != "inline":
            self._check_runner(function, declaration.runner)
        scope = self._scope(plugin, version, operation)
        rollback = shim.Rollback.of(scope, declaration, function, self._operations)
        known = self._operation(plugin, version, operation, declaration)
        known.rollback = rollback
        form = shim.Form(known, declaration, rollback)
        wrapped: Callable[P, R] = shim.wrap(form, function, self._runner_of(known))
        return wrapped

    def declare(self, manifest: Manifest | Path | str, *, grants: Grants | None = None) -> DeclaredPlugin:
        """A plugin as its manifest says, which grants nothing by itself: `grants` is what the host allows it at most.

        Raises `ConfigurationError` naming the file and the field that is wrong, or that asks for more.
        """
        from plugwarden.declared_plugin import DeclaredPlugin, KeptVersions
        from plugwarden.manifest import Manifest

        if self._kept is None:
            self._kept = KeptVersions()
        found = manifest if isinstance(manifest, Manifest) else Manifest.load(manifest)
        return DeclaredPlugin(self, found, grants, self._kept)

    def invocation(self, plugin: str, *, version: str, operation: str) -> AbstractContextManager[Invocation | None]:
        """A block of the host's own code as one invocation: `with sidecar.invocation(...)`.

        Raises `PluginQuarantined` or `CallNotPermitted` on entry when the gate refuses. Names that cannot be ones are cut and
        what cannot stand in them is replaced: a call is no place for errors of ours. Operations beyond `MAX_BLOCKS` are one,
        `_OTHER`.
        """
        if self.settings.disabled:
            return nullcontext()
        names = fitting("plugin", plugin), fitting("version", version), fitting("operation", operation)
        return shim.Block(self._operation(*self._told_apart(*names), None))

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
        """Serve /metrics for Prometheus from a thread; return the port in use."""
        from prometheus_client import start_http_server
        from prometheus_client.registry import CollectorRegistry

        registry = CollectorRegistry()
        registry.register(self.prometheus())
        server, _ = start_http_server(port, host, registry)
        return int(server.server_port)

    @property
    def exit_seconds(self) -> float:
        """The most that the end of the process waits for it."""
        return self.settings.exit_seconds

    def say_goodbye(self) -> None:
        """Tell the collector that this process is about to end, so that nobody is woken by its silence. Does not wait.

        Whatever is still called is counted and sent. The end of the process and SIGTERM say it by themselves.
        """
        if not self._closed and self._pipeline.started:
            self._pipeline.say_goodbye()

    def flush(self, timeout: float = 5.0) -> bool:
        """Send everything recorded so far.

        False when anything recorded since the last time was not taken by the collector within `timeout` seconds, waits on
        disk, or was dropped.
        """
        return self._pipeline.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Flush and stop the threads. Wrapped operations keep working, unobserved; those under `runner="process"` raise
        `WorkerDied`, as their workers are ended. May be called twice.

        False when anything ever recorded was not taken by the collector: it waits on disk, or was dropped.
        """
        if self._closed:
            return self._closed_well
        self._closed = True
        for runner in tuple(self._runners):
            runner.close()
        if self._loop_watch is not None:
            self._loop_watch.stop(min(1.0, timeout))
        if self._subscription is not None:
            self._subscription.stop(min(1.0, timeout))
        self._closed_well = self._pipeline.close(timeout)
        return self._closed_well

    # -- inside -------------------------------------------------------------------------------------------------------

    # What a recording sidecar has of its own: `plugwarden.testing`.

    def _load_settings(self, **given: Any) -> Settings:
        return Settings.load(**given)

    def _make_pipeline(self) -> Pipeline:
        return Pipeline(self.settings, lambda: tuple(self._operations.values()), on_start=self._subscribe)

    def _directive_file(self) -> DirectiveFile | None:
        if self.settings.state_dir is None:
            return None
        from plugwarden.gate.subscription import DirectiveFile

        return DirectiveFile(self.settings.state_dir)

    def _prepare(self) -> None:
        """Import all that wrapping and sending need, before anything is wrapped: with the hooks of `plugwarden run`, an import
        may wrap something, and would wait for a lock that it is made under."""
        if self.settings.disabled:
            return
        if self.settings.collector_url is not None:
            from plugwarden.gate import subscription  # noqa: F401 - so that `_subscribe` finds it loaded
        self._pipeline.prepare()

    def _scope(self, plugin: str, version: str, operation: str) -> Scope:
        return Scope(plugin, version, operation, self.settings.instance_id)

    def _told_apart(self, plugin: str, version: str, operation: str) -> tuple[str, str, str]:
        """Under which names a block is counted, and has its gate."""
        with self._lock:
            for most, names in (
                (MAX_BLOCKS, (plugin, version, operation)),
                (2 * MAX_BLOCKS, (plugin, version, OVERFLOW)),
            ):
                if self._scope(*names) in self._operations:
                    return names
                if self._blocks < most:
                    self._blocks += 1
                    if self._blocks == MAX_BLOCKS:
                        _log.warning(
                            "%d operations of `invocation` blocks: those to come are counted as %s. Do not make a name of what"
                            " changes with each call; an annotation holds that",
                            MAX_BLOCKS,
                            OVERFLOW,
                        )
                    return names
            return OVERFLOW, OVERFLOW, OVERFLOW

    def _operation(self, plugin: str, version: str, operation: str, declaration: Declaration | None) -> Operation:
        scope = self._scope(plugin, version, operation)
        with self._lock:
            known = self._operations.get(scope)
            if known is None:
                known = Operation(
                    scope,
                    declaration or Declaration(),
                    attend=self._pipeline.attend,
                    world=self._world,
                )
                self._pipeline.connect(known)
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
                known.breaker = Breaker(policy, on_transition=self._announcer(known), spread=self._world.chance)
            known.reguard()
            self._operations[scope] = known
        self._pipeline.prepare()
        self._subscribe()
        return known

    def _check_runner(self, function: Callable[..., Any], runner: str) -> None:
        if isinstance(function, type):
            raise ConfigurationError(
                f'runner: a class is made in place; wrap a function that makes one under "{runner}"'
            )
        kind = shim.kind_of(function)
        if "generator" in kind:
            raise ConfigurationError(f'runner: a {kind} hands out items one by one and cannot run under "{runner}"')
        if kind == "coroutine" and runner == "thread":
            raise ConfigurationError('runner: a coroutine is cancelled at its deadline; use "inline", or "process"')

    def _runner_of(self, operation: Operation) -> Callable[[Callable[..., Any]], Callable[..., Any]] | None:
        """What makes the runner's form of a function; None: it runs in place."""
        runner = operation.declaration.runner
        if runner == "inline":
            return None
        from plugwarden.runners import ProcessRunner, ThreadRunner

        if runner == "thread":
            return ThreadRunner(operation).bind

        def in_a_process(function: Callable[..., Any]) -> Callable[..., Any]:
            process = ProcessRunner(operation, functools.partial(self._pipeline.add_sum, operation))
            bound = process.bind(function, shim.kind_of(function))
            operation.runners.add(process)
            self._runners.add(process)
            return bound

        return in_a_process

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
        asks = self._subscription is not None and self._subscription.started
        if not asks and self.settings.collector_url is not None and not self._closed:
            with self._lock:
                if self._subscription is None:
                    from plugwarden.gate.subscription import Subscription

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
        self._note_refused(directives)
        told = by_plugin(directives.directives)
        with self._lock:
            self._directives = directives
            for scope, operation in self._operations.items():
                operation.rules = resolve(told.get(scope.plugin, ()), scope)
                operation.reguard()
        if self._file is not None and not self._file.save(directives):
            self._pipeline.count_drop("directives", "not_persisted")

    def _note_refused(self, directives: DirectiveSet) -> None:
        """Count directives that could not be meant, and name each once; the rest of their set holds."""
        if directives.refused_total:
            self._pipeline.count_drop("directives", "refused_directive", directives.refused_total)
        for fault in directives.refused:
            if fault not in self._named_faults and len(self._named_faults) < MAX_NAMED_FAULTS:
                self._named_faults.add(fault)
                _log.warning("a directive of the collector's is left out: %s", ascii(fault))

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


def _renew_after_fork(reference: weakref.ref[Sidecar]) -> None:
    sidecar = reference()
    if sidecar is not None:
        sidecar._renew()
