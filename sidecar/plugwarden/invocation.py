"""One invocation: the span that is current while a plugin runs, and the record of how it went.

It is both on purpose: one object is made per call, put into the OpenTelemetry context, and later handed to the drain.
Most calls succeed and nobody asks for their ids, so everything that a plain success does not need is a default of the
class, and ids are made when first asked for: by a child, by an HTTP client's propagator, or by the drain.
"""

from __future__ import annotations

import random
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
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import AttributeValue

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.contract.attributes import EXCEPTION_MESSAGE, EXCEPTION_TYPE

if TYPE_CHECKING:
    from plugwarden.declaration import Declaration
    from plugwarden.operation import Operation

__all__ = [
    "INVOCATION_KEY",
    "SPAN_KEY",
    "Failure",
    "Ids",
    "Invocation",
    "adopt",
    "begin",
    "blame",
    "chance",
    "context_access",
    "current_invocation",
    "current_tenant",
    "identify",
    "tenant_scope",
]

INVOCATION_KEY = otel_context.create_key("plugwarden-invocation")
"""Under this key the invocation stays findable when a plugin's own spans are current inside of it."""
_TENANT = otel_context.create_key("plugwarden-tenant")
SPAN_KEY = next(iter(set_span_in_context(NonRecordingSpan(SpanContext(1, 1, False)), Context())))
"""OpenTelemetry's key of the current span, read off a context because the API does not name it."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
"""Sampling is decided at the tail, when the whole trace is known, so every span starts as sampled."""
_NO_STATE = TraceState()
_random = random.Random()  # noqa: S311 - ids and shares, no secrets
"""Our own: drawing from the module's generator would change what a host gets that has seeded it."""
_getrandbits = _random.getrandbits
chance = _random.random
"""A number in [0, 1) that disturbs nobody."""
_new_ids = tuple.__new__
MAX_CHILD_ERRORS = 16
MAX_ATTRIBUTES = 64
"""A plugin may annotate its span with this many attributes; more are left out."""
MAX_EVENTS = 32
MAX_KEY = 200
MAX_TEXT = 4_096
"""Characters of an annotation; OpenTelemetry leaves the limit to the implementation."""
MAX_ITEMS = 128
MAX_FRAMES = 30
T = TypeVar("T")


class Failure:
    """What is kept of an exception: enough to explain it, nothing that keeps its frames alive."""

    __slots__ = ("frames", "message", "type_name")

    def __init__(self, error: BaseException, *, detailed: bool = True) -> None:
        self.type_name = type_name(type(error))
        try:
            # A lone surrogate, as in undecodable file names, cannot be sent: it would hold up everything behind it.
            self.message = str(error)[:1000].encode("utf-8", "replace").decode("utf-8")
        except Exception:  # noqa: BLE001 - a plugin's __str__ may do anything
            self.message = "<the exception's own text failed>"
        self.frames: list[tuple[str, int, str]] = []
        """(file, line, function), outermost first; none when so many failed at once that one stands for the others."""
        if detailed:
            frames = self.frames
            trace = error.__traceback__
            while trace is not None:
                code = trace.tb_frame.f_code
                frames.append((code.co_filename, trace.tb_lineno, code.co_qualname))
                trace = trace.tb_next
            # An exception from a worker process brings the frames it had there.
            frames.extend(getattr(error, "__plugwarden_frames__", ()))
            if len(frames) > MAX_FRAMES:
                del frames[5 : 5 - MAX_FRAMES]


def type_name(kind: type[BaseException]) -> str:
    """An exception's qualified name, as `error.type` has it."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


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

    __slots__ = ("deadline_ns", "duration_ns", "ids", "more", "operation", "parent", "started_ns")

    operation: Operation
    parent: Invocation | SpanContext | None
    """What it runs under; let go of once the ids are known, so that no chain of finished calls stays alive."""
    ids: Ids | None
    started_ns: int
    """Performance counter."""
    duration_ns: int
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

    def note_child_error(self, error: BaseException) -> None:
        """Something that this call called failed; if it fails for the same reason, it is not to blame."""
        if self.child_errors is None:
            self.child_errors = []
        if len(self.child_errors) >= MAX_CHILD_ERRORS:
            del self.child_errors[0]
        self.child_errors.append(error)

    def get_span_context(self) -> SpanContext:
        """The ids to hand on to children, here and in other processes."""
        ids = identify(self)
        return SpanContext(ids.trace_id, ids.span_id, False, _SAMPLED, ids.state)

    def is_recording(self) -> bool:
        """True: a plugin may annotate the span it finds with `trace.get_current_span()`."""
        return True

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Annotate this invocation's span, up to `MAX_ATTRIBUTES`."""
        if self.attributes is None:
            self.attributes = {}
        if len(self.attributes) < MAX_ATTRIBUTES:
            self.attributes[str(key)[:MAX_KEY]] = _bounded(value)

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
        if len(events) < MAX_EVENTS:
            at_ns = timestamp if isinstance(timestamp, int) and 0 < timestamp < 1 << 63 else time_ns()
            details = list((attributes or {}).items())[:MAX_ATTRIBUTES]
            events.append((str(name)[:MAX_KEY], at_ns, {str(key)[:MAX_KEY]: _bounded(value) for key, value in details}))

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
            named = _new_ids(Ids, (_getrandbits(128) or 1, _getrandbits(64) or 1, 0, True, _NO_STATE))
            invocation.ids = named
            return named
        unnamed = [invocation]
        above = invocation.parent
        while type(above) is Invocation and above.ids is None:
            unnamed.append(above)
            above = above.parent
        for one in reversed(unnamed):
            parent = one.parent
            if one.ids is not None:
                continue  # another thread was faster
            if parent is None:
                one.ids = Ids(_getrandbits(128) or 1, _getrandbits(64) or 1, 0, True, _NO_STATE)
            elif type(parent) is Invocation and parent.ids is not None:
                ids = parent.ids
                one.ids = Ids(ids.trace_id, _getrandbits(64) or 1, ids.span_id, False, ids.state)
            else:
                assert isinstance(parent, SpanContext)  # noqa: S101 - what adopt() puts there
                one.ids = Ids(
                    parent.trace_id, _getrandbits(64) or 1, parent.span_id, parent.is_remote, parent.trace_state
                )
        assert invocation.ids is not None  # noqa: S101 - given just above
        return invocation.ids


def renew_after_fork() -> None:
    """In a forked child the lock may be held by a thread that does not exist there."""
    global _identifying
    _identifying = threading.Lock()
    _random.seed()  # else all children would give the same ids


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


def current_invocation(context: Context | None = None) -> Invocation | None:
    """The invocation that the current code runs in, if any."""
    found = otel_context.get_value(INVOCATION_KEY, context)
    return found if type(found) is Invocation else None


def adopt(invocation: Invocation, outer: Context) -> Context:
    """Put an invocation under what runs in `outer`, and answer the context to run it in."""
    parent = outer.get(SPAN_KEY)
    if type(parent) is Invocation:
        invocation.parent = parent
        invocation.deadline_ns = parent.deadline_ns
    else:
        seen = parent.get_span_context() if isinstance(parent, Span) else None
        invocation.parent = seen if seen is not None and seen.is_valid else None
        above = outer.get(INVOCATION_KEY)
        invocation.deadline_ns = above.deadline_ns if type(above) is Invocation else 0
    tenant = outer.get(_TENANT)
    if tenant is not None:
        invocation.tenant = str(tenant)
    return Context({**outer, SPAN_KEY: invocation, INVOCATION_KEY: invocation})


def begin(operation: Operation, started_ns: int) -> tuple[Invocation, Context]:
    """A new invocation under the current span, and the context to run it in."""
    invocation = Invocation()
    invocation.operation = operation
    invocation.ids = invocation.more = None
    invocation.started_ns = started_ns
    invocation.duration_ns = 0
    return invocation, adopt(invocation, otel_context.get_current())


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


def blame(declaration: Declaration, invocation: Invocation, error: BaseException) -> tuple[Outcome, ErrorSource | None]:
    """Outcome and error source of an exception that left a plugin, by what the host declared and what is known."""
    if not isinstance(error, Exception):
        cancelled = type(error).__name__ in _CANCELLATIONS
        return (Outcome.CANCELLED, ErrorSource.CALLER) if cancelled else (Outcome.ERROR, ErrorSource.HOST)
    leaves = list(_leaves(error))
    if declaration.caller_errors and all(isinstance(leaf, declaration.caller_errors) for leaf in leaves):
        return Outcome.ERROR, ErrorSource.CALLER
    origins = invocation.child_errors or ()

    def downstream(leaf: BaseException) -> bool:
        return isinstance(leaf, declaration.downstream_errors) or any(
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
