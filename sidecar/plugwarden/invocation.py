"""One invocation: the span that is current while a plugin runs, and the record of how it went.

It is both on purpose: one object is made per call, put into the OpenTelemetry context, and later handed to the drain.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context
from opentelemetry.util.types import AttributeValue

from plugwarden.contract import ErrorSource, Outcome

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["Failure", "Invocation", "begin", "blame", "current_invocation", "current_tenant", "tenant_scope"]

_INVOCATION = otel_context.create_key("plugwarden-invocation")
_TENANT = otel_context.create_key("plugwarden-tenant")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
"""Sampling is decided at the tail, when the whole trace is known, so every span starts as sampled."""
_getrandbits = random.getrandbits
MAX_CHILD_ERRORS = 16
MAX_ATTRIBUTES = 64
"""A plugin may annotate its span with this many attributes; more are left out."""


class Failure:
    """What is kept of an exception: enough to explain it, nothing that keeps its frames alive."""

    __slots__ = ("frames", "message", "type_name")

    def __init__(self, error: BaseException) -> None:
        kind = type(error)
        module = kind.__module__
        self.type_name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
        try:
            # A lone surrogate, as in undecodable file names, cannot be sent: it would hold up everything behind it.
            self.message = str(error)[:1000].encode("utf-8", "replace").decode("utf-8")
        except Exception:  # noqa: BLE001 - a plugin's __str__ may do anything
            self.message = "<the exception's own text failed>"
        frames: list[tuple[str, int, str]] = []
        trace = error.__traceback__
        while trace is not None:
            frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno, trace.tb_frame.f_code.co_qualname))
            trace = trace.tb_next
        self.frames = frames[:5] + frames[-25:] if len(frames) > 30 else frames
        """(file, line, function), outermost first."""


class Invocation(NonRecordingSpan):
    """One call of a plugin operation, or one wait of it for a downstream (`downstream` is set)."""

    __slots__ = (
        "admitted_by",
        "attributes",
        "child_errors",
        "cpu_ns",
        "downstream",
        "duration_ns",
        "error_type",
        "failure",
        "fallback",
        "operation",
        "outcome",
        "parent",
        "probe",
        "rejection",
        "source",
        "started_ns",
        "tenant",
    )

    def __init__(
        self,
        operation: Operation,
        context: SpanContext,
        parent: SpanContext | None,
        tenant: str | None,
        started_ns: int,
    ) -> None:
        self._context = context  # NonRecordingSpan's own field: get_span_context() reads it
        self.operation = operation
        self.parent = parent
        self.tenant = tenant
        self.started_ns = started_ns
        """Of the performance counter; the drain turns it into wall-clock time."""
        self.duration_ns = 0
        self.outcome = Outcome.SUCCESS
        self.source: ErrorSource | None = None
        self.error_type: str | None = None
        self.failure: Failure | None = None
        self.rejection: str | None = None
        self.fallback = False
        self.admitted_by: str | None = None
        """The directive that let this call through as a probe."""
        self.cpu_ns = -1
        """CPU time on the calling thread; -1 where this call was not among those measured."""
        self.probe = 0
        """Above 0: a probe of a half-open breaker."""
        self.child_errors: list[BaseException] | None = None
        """Exceptions that nested plugins and downstreams raised into this call, the last few of them."""
        self.downstream: str | None = None
        self.attributes: dict[str, AttributeValue] | None = None

    def note_child_error(self, error: BaseException) -> None:
        """Something that this call called failed; if it fails for the same reason, it is not to blame."""
        if self.child_errors is None:
            self.child_errors = []
        if len(self.child_errors) >= MAX_CHILD_ERRORS:
            del self.child_errors[0]
        self.child_errors.append(error)

    def is_recording(self) -> bool:
        """True: a plugin may annotate the span it finds with `trace.get_current_span()`."""
        return True

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Annotate this invocation's span, up to `MAX_ATTRIBUTES`."""
        if self.attributes is None:
            self.attributes = {}
        if len(self.attributes) < MAX_ATTRIBUTES:
            self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Annotate with several attributes at once."""
        for key, value in attributes.items():
            self.set_attribute(key, value)


def current_invocation(context: Context | None = None) -> Invocation | None:
    """The invocation that the current code runs in, if any."""
    found = otel_context.get_value(_INVOCATION, context)
    return found if isinstance(found, Invocation) else None


def begin(operation: Operation) -> tuple[Invocation, Context]:
    """A new invocation under the current span, and the context to run it in."""
    current = otel_context.get_current()
    parent: SpanContext | None = get_current_span(current).get_span_context()
    span_id = _getrandbits(64) or 1
    if parent is None or not parent.is_valid:
        parent = None
        context = SpanContext(_getrandbits(128) or 1, span_id, False, _SAMPLED)
    else:
        context = SpanContext(parent.trace_id, span_id, False, _SAMPLED, parent.trace_state)
    invocation = Invocation(operation, context, parent, current_tenant(current), perf_counter_ns())
    return invocation, Context({**set_span_in_context(invocation, current), _INVOCATION: invocation})


def current_tenant(context: Context | None = None) -> str | None:
    """The tenant that the current code works for, if the host said so."""
    tenant = otel_context.get_value(_TENANT, context)
    return tenant if isinstance(tenant, str) else None


@contextmanager
def tenant_scope(tenant: str) -> Iterator[None]:
    """Attribute the invocations inside to a tenant (`tenant.id`)."""
    token = otel_context.attach(otel_context.set_value(_TENANT, tenant))
    try:
        yield
    finally:
        otel_context.detach(token)


def blame(operation: Operation, invocation: Invocation, error: BaseException) -> tuple[Outcome, ErrorSource | None]:
    """Outcome and error source of an exception that left a plugin, by what the host declared and what is known."""
    if not isinstance(error, Exception):
        cancelled = type(error).__name__ in _CANCELLATIONS
        return (Outcome.CANCELLED, ErrorSource.CALLER) if cancelled else (Outcome.ERROR, ErrorSource.HOST)
    leaves = list(_leaves(error))
    if operation.caller_errors and all(isinstance(leaf, operation.caller_errors) for leaf in leaves):
        return Outcome.ERROR, ErrorSource.CALLER
    origins = invocation.child_errors or ()

    def downstream(leaf: BaseException) -> bool:
        return isinstance(leaf, operation.downstream_errors) or any(
            _is_or_comes_from(leaf, origin) for origin in origins
        )

    if all(downstream(leaf) for leaf in leaves):
        return Outcome.ERROR, ErrorSource.DOWNSTREAM
    if isinstance(error, MemoryError):
        return Outcome.ERROR, ErrorSource.HOST
    return Outcome.ERROR, ErrorSource.PLUGIN


_CANCELLATIONS = frozenset({"CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt", "SystemExit"})


def _leaves(error: BaseException, depth: int = 0) -> Iterator[BaseException]:
    """What a group of exceptions (a TaskGroup's) is made of; any other exception is its own leaf."""
    if isinstance(error, BaseExceptionGroup) and depth < 10:
        for inner in error.exceptions:
            yield from _leaves(inner, depth + 1)
    else:
        yield error


def _is_or_comes_from(error: BaseException, origin: BaseException) -> bool:
    seen: Any = error
    for _ in range(10):  # a chain of causes may be a cycle
        if seen is origin:
            return True
        seen = seen.__cause__ or seen.__context__
        if seen is None:
            return False
    return False
