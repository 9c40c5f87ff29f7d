"""One wrapped operation of one plugin version: what was declared, its gate, and what is running."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import random
from time import perf_counter, perf_counter_ns
from typing import Any

from plugwarden.contract import ErrorSource, Outcome, QuarantineState, RejectionReason, Scope
from plugwarden.errors import CallNotPermitted, PluginQuarantined
from plugwarden.gate import Breaker, Rule
from plugwarden.invocation import Failure, Invocation, begin, blame, current_invocation, current_tenant

__all__ = ["Operation", "Permit", "Refusal", "tell_parent"]

CPU_SAMPLE_EVERY = 16
"""CPU time is read for one call in so many: a read of the thread's CPU clock costs more than the rest of the record."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the gate refused a call."""

    reason: RejectionReason
    explanation: str
    directive_id: str | None = None
    retry_after_seconds: float | None = None

    def as_error(self, scope: Scope) -> CallNotPermitted:
        """The exception a caller sees when there is no fallback."""
        kind = CallNotPermitted if self.reason is RejectionReason.CIRCUIT_OPEN else PluginQuarantined
        return kind(
            scope,
            self.reason,
            self.explanation,
            retry_after_seconds=self.retry_after_seconds,
            directive_id=self.directive_id,
        )


@dataclass(frozen=True, slots=True)
class Permit:
    """Why the gate let a call through that it might have refused."""

    directive_id: str | None
    """The directive whose share it belongs to."""
    probe: int
    """Above 0: a probe of a half-open breaker, to hand back to it."""


@dataclass(slots=True, eq=False)
class Operation:
    """Declared once at wrap time; its `rules` are exchanged whole whenever directives change."""

    scope: Scope
    """Plugin, version, operation and instance."""
    emit: Callable[[Invocation], None]
    """Takes a finished invocation. Must not raise and must not block."""
    timeout_seconds: float | None = None
    """The deadline. Coroutines are cancelled at it; what cannot be stopped is counted as `timeout` when it returns."""
    fallback: Callable[..., Any] | None = None
    """Answers in the plugin's place when a call is refused, fails or misses its deadline."""
    caller_errors: tuple[type[Exception], ...] = ()
    """Exceptions that are the caller's fault."""
    downstream_errors: tuple[type[Exception], ...] = ()
    """Exceptions that are a downstream's fault."""
    breaker: Breaker | None = None
    """The inner loop."""
    rules: tuple[Rule, ...] = ()
    """What directives say about this operation."""
    active: dict[int, int] = field(default_factory=dict)
    """Span id -> start (performance counter, ns) of what is running now. Single dict operations are atomic."""
    calls_seen: int = 0
    """Only picks which calls have their CPU time read; lost updates between threads do no harm."""

    @property
    def name(self) -> str:
        """The span's name: `plugin operation`, low in cardinality."""
        return f"{self.scope.plugin} {self.scope.operation}"

    @property
    def quarantine_state(self) -> QuarantineState:
        """The state that the directives in force hold this operation in, leaving tenants aside."""
        for rule in self.rules:
            if rule.tenant is None:
                if rule.share_ratio >= 1.0:
                    return QuarantineState.HEALTHY
                return QuarantineState.QUARANTINED if rule.share_ratio == 0.0 else QuarantineState.PROBATION
        return QuarantineState.HEALTHY

    def start(self, permit: Permit | None) -> tuple[Invocation, Any]:
        """Begin an invocation and note it as running."""
        invocation, context = begin(self)
        if permit is not None:
            invocation.admitted_by, invocation.probe = permit.directive_id, permit.probe
        self.active[invocation._context.span_id] = invocation.started_ns
        return invocation, context

    def decide(self) -> Refusal | Permit | None:
        """Whether a call may run now. Takes a probe of a half-open breaker. None: nothing stands in its way."""
        directive_id: str | None = None
        for rule in self.rules:
            if rule.tenant is not None and rule.tenant != current_tenant():
                continue
            if rule.share_ratio < 1.0 and (rule.share_ratio == 0.0 or random() >= rule.share_ratio):  # noqa: S311
                return Refusal(rule.reason, rule.explanation, rule.directive_id)
            directive_id = rule.directive_id
            break  # the most specific rule decides
        probe = 0
        breaker = self.breaker
        if breaker is not None:
            now = perf_counter()
            admitted = breaker.admit(now)
            if admitted is None:
                wait = breaker.retry_after_seconds(now)
                return Refusal(RejectionReason.CIRCUIT_OPEN, f"the breaker is {breaker.state.word}", None, wait)
            probe = admitted
        return Permit(directive_id, probe) if probe or directive_id is not None else None

    def record_refusal(self, refusal: Refusal) -> None:
        """Count a call that did not run."""
        invocation, _ = begin(self)
        invocation.outcome = Outcome.REJECTED
        invocation.source = None
        invocation.rejection = refusal.reason.value
        invocation.error_type = refusal.reason.value
        invocation.admitted_by = refusal.directive_id
        invocation.fallback = self.fallback is not None
        self.emit(invocation)

    def finish(self, invocation: Invocation, error: BaseException | None, duration_ns: int | None = None) -> None:
        """Record how a started invocation ended and hand it on."""
        ended = perf_counter_ns()
        self.active.pop(invocation._context.span_id, None)
        invocation.duration_ns = ended - invocation.started_ns if duration_ns is None else duration_ns
        timeout = self.timeout_seconds
        if error is not None:
            invocation.failure = Failure(error)
            invocation.error_type = invocation.failure.type_name
            outcome, invocation.source = blame(self, invocation, error)
            if invocation.outcome is Outcome.TIMEOUT:
                invocation.error_type = "timeout"
            else:
                invocation.outcome = outcome
        elif timeout is not None and invocation.duration_ns > timeout * 1e9:
            # It could not be stopped, and its result still goes to the caller; but the deadline it declared is broken.
            invocation.outcome, invocation.source, invocation.error_type = (
                Outcome.TIMEOUT,
                ErrorSource.PLUGIN,
                "timeout",
            )
        breaker = self.breaker
        if breaker is not None:
            if invocation.outcome is Outcome.CANCELLED or invocation.source is ErrorSource.CALLER:
                if invocation.probe:
                    breaker.give_back(invocation.probe)
            else:
                breaker.record(invocation.outcome is not Outcome.SUCCESS, ended / 1e9, invocation.probe)
        invocation.child_errors = None
        self.emit(invocation)


def tell_parent(invocation: Invocation, error: BaseException) -> None:
    """Let the enclosing invocation know whose exception reaches it, so that it is not blamed for a nested plugin."""
    parent = current_invocation()
    if parent is not None and parent is not invocation:
        parent.note_child_error(error)
