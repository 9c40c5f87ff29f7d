"""One invocation: the span that is current while a plugin runs, and the record of how it went.

It is both on purpose: one object is made per call, put into the OpenTelemetry context, and later handed to the drain.
Most calls succeed and nobody asks for their ids, so everything that a plain success does not need is a default of the
class, and ids are made when first asked for: by a child, by an HTTP client's propagator, or by the drain.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import time_ns
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    get_tracer_provider,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import AttributeValue

from plugwarden.chance import chance, getrandbits
from plugwarden.contract import ErrorSource, Outcome, fitting
from plugwarden.contract.attributes import EXCEPTION_MESSAGE, EXCEPTION_TYPE
from plugwarden.errors import PluginFailed
from plugwarden.inspection import (
    attribute_of,
    message_of,
    traceback_of,
    type_name,
)

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = [
    "INVOCATION_KEY",
    "SPAN_KEY",
    "STEPWISE_NS",
    "Failure",
    "Ids",
    "Invocation",
    "adopt",
    "begin",
    "context_access",
    "current_invocation",
    "current_tenant",
    "identify",
    "identify_below",
    "leave_context",
    "tenant_scope",
    "traceparent",
]

INVOCATION_KEY = otel_context.create_key("plugwarden-invocation")
"""Under this key the invocation stays findable when a plugin's own spans are current inside of it."""
_TENANT = otel_context.create_key("plugwarden-tenant")
SPAN_KEY = next(iter(set_span_in_context(NonRecordingSpan(SpanContext(1, 1, False)), Context())))
"""OpenTelemetry's key of the current span, read off a context because the API does not name it."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
"""Sampling is decided at the tail, when the whole trace is known, so a trace that begins here starts as sampled."""
_NO_STATE = TraceState()
_new_ids = tuple.__new__
MAX_CHILD_ERRORS = 16
MAX_ATTRIBUTES = 64
"""A plugin may annotate its span with this many attributes; more are left out."""
MAX_EVENTS = 32
MAX_KEY = 200
MAX_TEXT = 4_096
"""Characters of an annotation; OpenTelemetry leaves the limit to the implementation."""
MAX_ITEMS = 128
MAX_ANNOTATED = 65_536
"""Characters that all annotations of one call may have together: sixteen of the longest. Thousands of calls wait to be counted at
a time, and each text in them for its redaction."""
MAX_FRAMES = 30
STEPWISE_NS = -1
"""The duration of what runs in steps, until it has ended."""
T = TypeVar("T")


class Failure:
    """What is kept of an exception: enough to explain it, nothing that keeps its frames alive."""

    __slots__ = ("frames", "message", "type_name")

    def __init__(self, error: BaseException, *, detailed: bool = True) -> None:
        kind = type(error)
        self.type_name = error.type_name if kind is PluginFailed else type_name(kind)  # type: ignore[attr-defined]
        self.message = message_of(error)
        self.frames: list[tuple[str, int, str]] = []
        """(file, line, function), outermost first; none when so many failed at once that one stands for the others."""
        if detailed:
            frames = self.frames
            trace = traceback_of(error)
            while trace is not None:
                code = trace.tb_frame.f_code
                frames.append((code.co_filename, trace.tb_lineno, code.co_qualname))
                trace = trace.tb_next
            # An exception from a worker process brings the frames it had there.
            frames.extend(attribute_of(error, "__plugwarden_frames__", ()))
            if len(frames) > MAX_FRAMES:
                del frames[5 : 5 - MAX_FRAMES]


def _bounded(value: Any) -> Any:
    """A copy of an annotation that cannot grow or change afterwards."""
    if isinstance(value, str):
        return str(value[:MAX_TEXT])
    if isinstance(value, bool | float) or value is None:
        return "None" if value is None else value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else "a number beyond 64 bits"
    if isinstance(value, bytes):
        return bytes(value[:MAX_TEXT])
    if isinstance(value, list | tuple):
        return [_scalar(item) for item in value[:MAX_ITEMS]]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, bool | float) or (isinstance(value, int) and -(1 << 63) <= value < 1 << 63):
        return value
    try:
        return str(value)[:MAX_TEXT]
    except Exception:  # noqa: BLE001 - a plugin's __str__ may do anything
        return "<its own text failed>"


class Ids(NamedTuple):
    """What names a span among others."""

    trace_id: int
    span_id: int
    parent_id: int
    """0: it has no parent."""
    is_root: bool
    """No parent, or one in another process: when it ends, its trace is complete here."""
    state: TraceState
    """The caller's `tracestate`, handed on."""


class _Detail(Generic[T]):
    """An attribute that few invocations have: it is kept in `Invocation.more`, and has a default elsewhere."""

    __slots__ = ("_default", "_name")

    def __init__(self, default: T) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, invocation: Invocation, owner: type) -> T:
        more = invocation.more
        return self._default if more is None else more.get(self._name, self._default)

    def __set__(self, invocation: Invocation, value: T) -> None:
        if invocation.more is None:
            invocation.more = {}
        invocation.more[self._name] = value


class Invocation:
    """One call of a plugin operation, or one wait of it for a downstream (`downstream` is set).

    Made without arguments and filled in place, because a constructor would cost as much as all the rest; for the same
    reason it is a `Span` by registration and not by inheritance, which would give every instance a `__dict__`.
    """

    __slots__ = ("deadline_ns", "duration_ns", "ids", "let_go", "more", "operation", "parent", "started_ns")

    operation: Operation
    parent: Invocation | SpanContext | None
    """What it runs under; let go of once the ids are known, so that no chain of finished calls stays alive."""
    ids: Ids | None
    let_go: bool
    """Whether its trace was let go already, so that no span will be made of what goes well in it."""
    started_ns: int
    """Performance counter."""
    duration_ns: int
    """`STEPWISE_NS` while it runs in steps, whenever somebody wants the next: how long ago it began says nothing then."""
    deadline_ns: int
    """Performance counter at which it should be done, its callers' deadlines included; 0: no deadline."""
    more: dict[str, Any] | None
    """Everything below that is not at its default. None: a plain success, told from others by ids and times alone."""

    outcome = _Detail(Outcome.SUCCESS)
    source = _Detail[ErrorSource | None](None)
    error_type = _Detail[str | None](None)
    failure = _Detail[Failure | None](None)
    rejection = _Detail[str | None](None)
    fallback = _Detail(False)
    tenant = _Detail[str | None](None)
    admitted_by = _Detail[str | None](None)
    """The directive that let this call through as a probe."""
    cpu_ns = _Detail(-1)
    """CPU time of the call; -1 where this call was not among those measured."""
    overhead_ns = _Detail(-1)
    """What watching this call cost its caller; -1 where that was not measured."""
    probe = _Detail(0)
    """Above 0: a probe of a half-open breaker."""
    queued_ns = _Detail(0)
    """How long it waited for a place in the bulkhead."""
    abandoned = _Detail(False)
    """Its deadline passed and its thread could not be stopped: it still runs, and holds its place."""
    enforced = _Detail(False)
    """A runner already decided on its outcome."""
    waits_for = _Detail[str | None](None)
    """The downstream that it waits for at this moment, or was waiting for when its deadline struck."""
    child_errors = _Detail[list[BaseException] | None](None)
    """Exceptions that nested plugins and downstreams raised into this call, the last few of them."""
    downstream = _Detail[str | None](None)
    attributes = _Detail[dict[str, AttributeValue] | None](None)
    events = _Detail[list[tuple[str, int, dict[str, object]]] | None](None)
    """What the plugin noted along the way: (name, wall clock ns, attributes)."""
    annotated = _Detail(0)
    """Characters of what the plugin noted."""
    told_at_ns = _Detail(0)
    """When the call began that was taken for lost and counted while it ran (`pipeline.overdue`); 0: none was."""
    flags = _Detail[TraceFlags | None](None)
    """What the host's own sampler said of a trace that begins with this invocation, once somebody asked."""

    def note_child_error(self, error: BaseException) -> None:
        """Something that this call called failed; if it fails for the same reason, it is not to blame."""
        if self.child_errors is None:
            self.child_errors = []
        if len(self.child_errors) >= MAX_CHILD_ERRORS:
            del self.child_errors[0]
        self.child_errors.append(error)

    def _counted(self, noted: Any) -> Any:
        """What is noted, its length added up."""
        parts = noted if type(noted) is list else (noted,)
        self.annotated += 8 + sum(len(part) if type(part) in (str, bytes) else 8 for part in parts)
        return noted

    def get_span_context(self) -> SpanContext:
        """The ids to hand on to children, here and in other processes."""
        ids = identify(self)
        return SpanContext(ids.trace_id, ids.span_id, False, _flags(self, ids), ids.state)

    def is_recording(self) -> bool:
        """True: a plugin may annotate the span it finds with `trace.get_current_span()`."""
        return True

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Annotate this invocation's span, up to `MAX_ATTRIBUTES`."""
        if self.attributes is None:
            self.attributes = {}
        if len(self.attributes) < MAX_ATTRIBUTES and self.annotated < MAX_ANNOTATED:
            self.attributes[str(key)[:MAX_KEY]] = self._counted(_bounded(value))

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Annotate with several attributes at once."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, AttributeValue] | None = None, timestamp: int | None = None
    ) -> None:
        """Note something on this invocation's span, up to `MAX_EVENTS` times."""
        events = self.events
        if events is None:
            self.events = events = []
        if len(events) < MAX_EVENTS and self.annotated < MAX_ANNOTATED:
            at_ns = timestamp if isinstance(timestamp, int) and 0 < timestamp < 1 << 63 else time_ns()
            details = list((attributes or {}).items())[:MAX_ATTRIBUTES]
            told: dict[str, object] = {}
            events.append((str(name)[:MAX_KEY], at_ns, told))
            for key, value in details:
                if self.annotated >= MAX_ANNOTATED:
                    break
                told[str(key)[:MAX_KEY]] = self._counted(_bounded(value))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, AttributeValue] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Note an exception that the plugin dealt with itself."""
        failure = Failure(exception, detailed=False)
        told: dict[str, AttributeValue] = {EXCEPTION_TYPE: failure.type_name, EXCEPTION_MESSAGE: failure.message}
        self.add_event("exception", {**told, **(attributes or {})}, timestamp)

    # What else a span can be told: the shim alone names, ends and judges it.

    def end(self, end_time: int | None = None) -> None:
        """Does nothing."""

    def add_link(self, context: SpanContext, attributes: Mapping[str, AttributeValue] | None = None) -> None:
        """Does nothing."""

    def update_name(self, name: str) -> None:
        """Does nothing."""

    def set_status(self, status: object, description: str | None = None) -> None:
        """Does nothing."""

    def __enter__(self) -> Invocation:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass

    def __repr__(self) -> str:
        return f"Invocation({self.operation.scope}, {self.outcome})"


Span.register(Invocation)
_identifying = threading.Lock()


def identify(invocation: Invocation) -> Ids:
    """The ids of an invocation, made at the first asking, its ancestors' first. Safe from any thread."""
    known = invocation.ids
    if known is not None:
        return known
    with _identifying:
        if invocation.parent is None and invocation.ids is None:
            named = _new_ids(Ids, (getrandbits(128) or 1, getrandbits(64) or 1, 0, True, _NO_STATE))
            invocation.ids = named
            return named
        above = invocation.parent
        if invocation.ids is None and type(above) is Invocation and above.ids is not None:
            return _below(invocation, above.ids)
        unnamed = [invocation]
        while type(above) is Invocation and above.ids is None:
            unnamed.append(above)
            above = above.parent
        for one in reversed(unnamed):
            parent = one.parent
            if one.ids is not None:
                continue  # another thread was faster
            if parent is None:
                one.ids = Ids(getrandbits(128) or 1, getrandbits(64) or 1, 0, True, _NO_STATE)
            elif type(parent) is Invocation and parent.ids is not None:
                _below(one, parent.ids)
            else:
                assert isinstance(parent, SpanContext)  # noqa: S101 - what adopt() puts there
                one.ids = Ids(
                    parent.trace_id, getrandbits(64) or 1, parent.span_id, parent.is_remote, parent.trace_state
                )
        assert invocation.ids is not None  # noqa: S101 - given just above
        return invocation.ids


def _below(invocation: Invocation, above: Ids) -> Ids:
    named = _new_ids(Ids, (above.trace_id, getrandbits(64) or 1, above.span_id, False, above.state))
    invocation.ids = named
    return named


def identify_below(invocation: Invocation, threshold: int, bits: int) -> Invocation:
    """Give ids to an invocation that nobody asked for them and that has no parent; the last `bits` of its trace id are below
    `threshold`, which is what has it kept elsewhere."""
    trace_id = (getrandbits(128 - bits) or 1) << bits | int(chance() * threshold)
    invocation.ids = _new_ids(Ids, (trace_id, getrandbits(64) or 1, 0, True, _NO_STATE))
    return invocation


def _flags(invocation: Invocation, ids: Ids) -> TraceFlags:
    """The trace flags to hand on: those that it came with, or what the host's sampler makes of a trace that begins here.

    Below a span that is not sampled nothing may become so (W3C Trace Context), and without a span around it is the
    host's sampler that would have decided about the spans inside. Where the host has none, the trace is ours.
    """
    above: Invocation | SpanContext | None = invocation
    while type(above) is Invocation:
        if above.flags is not None:
            return above.flags
        root, above = above, above.parent
    if isinstance(above, SpanContext):
        return above.trace_flags
    sampler = getattr(get_tracer_provider(), "sampler", None)
    if sampler is None or identify(root).parent_id:
        return _SAMPLED  # the latter: its caller has ended and is let go
    try:
        decided = sampler.should_sample(Context(), ids.trace_id, root.operation.name).decision.is_sampled()
    except Exception:  # noqa: BLE001 - a sampler of the host's own making
        decided = True
    root.flags = flags = _SAMPLED if decided else TraceFlags(TraceFlags.DEFAULT)
    return flags


def traceparent(invocation: Invocation) -> str:
    """The W3C header that names an invocation's span to another process."""
    seen = invocation.get_span_context()
    return f"00-{seen.trace_id:032x}-{seen.span_id:016x}-{seen.trace_flags:02x}"


def renew_after_fork() -> None:
    """Make the lock anew in a forked child, where the thread that held it does not exist."""
    global _identifying
    _identifying = threading.Lock()


def context_access() -> tuple[Callable[[], Context], Callable[[Context], Any], Callable[[Any], None]]:
    """get, set and reset of the OpenTelemetry context, as directly as the installed runtime allows.

    With the ordinary runtime these are the methods of its `ContextVar`, which cost a third of going through the API;
    with any other (OTEL_PYTHON_CONTEXT) they are the API's own functions.
    """
    runtime = otel_context._RUNTIME_CONTEXT
    variable = getattr(runtime, "_current_context", None)
    if type(runtime) is ContextVarsRuntimeContext and isinstance(variable, ContextVar):
        return variable.get, variable.set, variable.reset
    return otel_context.get_current, otel_context.attach, otel_context.detach


def leave_context(token: Any) -> None:
    """Undo an `attach`, without a word where it cannot be: an async generator that is left early is torn down in a task
    of its own, whose context ends with it. OpenTelemetry's own `detach` would write an error into the host's log."""
    try:
        context_access()[2](token)
    except ValueError:
        pass


def current_invocation(context: Context | None = None) -> Invocation | None:
    """The invocation that the current code runs in, if any."""
    found = otel_context.get_value(INVOCATION_KEY, context)
    return found if type(found) is Invocation else None


def adopt(invocation: Invocation, outer: Context) -> Context:
    """Put an invocation under what runs in `outer`, and answer the context to run it in."""
    parent = outer.get(SPAN_KEY)
    if type(parent) is Invocation:
        invocation.parent = parent
        invocation.let_go = parent.let_go
        invocation.deadline_ns = parent.deadline_ns
        if len(outer) == 2 and INVOCATION_KEY in outer:  # nothing else is in it to be handed on
            return Context({SPAN_KEY: invocation, INVOCATION_KEY: invocation})
    else:
        invocation.let_go = False
        seen = parent.get_span_context() if isinstance(parent, Span) else None
        invocation.parent = seen if seen is not None and seen.is_valid else None
        above = outer.get(INVOCATION_KEY)
        invocation.deadline_ns = above.deadline_ns if type(above) is Invocation else 0
    tenant = outer.get(_TENANT)
    if tenant is not None:
        invocation.tenant = str(tenant)
    return Context({**outer, SPAN_KEY: invocation, INVOCATION_KEY: invocation})


def begin(operation: Operation, started_ns: int, outer: Context) -> tuple[Invocation, Context]:
    """A new invocation under the current span of `outer`, and the context to run it in."""
    invocation = Invocation()
    invocation.operation = operation
    invocation.ids = invocation.more = None
    invocation.started_ns = started_ns
    invocation.duration_ns = 0
    if outer:
        return invocation, adopt(invocation, outer)
    invocation.parent = None
    invocation.let_go = False
    invocation.deadline_ns = 0
    return invocation, Context({SPAN_KEY: invocation, INVOCATION_KEY: invocation})


def current_tenant(context: Context | None = None) -> str | None:
    """The tenant that the current code works for, if the host said so."""
    tenant = otel_context.get_value(_TENANT, context)
    return tenant if isinstance(tenant, str) else None


@contextmanager
def tenant_scope(tenant: str) -> Iterator[None]:
    """Attribute the invocations inside to a tenant (`tenant.id`). What cannot be its name is cut and replaced; empty is none."""
    name = fitting("tenant", tenant) if tenant else None
    token = otel_context.attach(otel_context.set_value(_TENANT, name))
    try:
        yield
    finally:
        leave_context(token)
