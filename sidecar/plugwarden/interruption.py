"""Calls that end by what is no `Exception`: cancelled, timed out by the host, or because somebody wants the process to end.

Who is to blame depends on why. A task that is cancelled says nothing about the plugin; one that is cancelled because the
host's own time-out ran out while the plugin hung does, and so does a plugin that calls `sys.exit`.
"""

from __future__ import annotations

import gc
import signal
import types
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.declared_errors import Errors
from plugwarden.inspection import attribute_of, is_a, traceback_of
from plugwarden.loops import asyncio_here

__all__ = ["Call", "interruption", "is_cancellation"]

_CANCELLATIONS = Errors(
    types=(GeneratorExit, KeyboardInterrupt),
    names=("asyncio.exceptions.CancelledError", "trio.Cancelled", "greenlet.GreenletExit"),
)
"""Those very classes, where they are loaded: a plugin's own of the same name is a failure. anyio's are asyncio's and trio's."""
_TIME_OUTS = Errors(
    names=("gevent.timeout.Timeout", "eventlet.timeout.Timeout", "func_timeout.exceptions.FunctionTimedOut")
)
"""What hosts interrupt with when time is up."""
_ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP") if hasattr(signal, name))
"""Signals by which a process is asked to end. Not SIGABRT: that is how gunicorn ends a worker that has hung too long."""
MAX_DEPTH = 100


class Call(Protocol):
    """What is asked of the invocation that ended."""

    @property
    def started_ns(self) -> int: ...
    @property
    def duration_ns(self) -> int: ...
    @property
    def parent(self) -> Any: ...


def interruption(invocation: Call, leaves: Sequence[BaseException]) -> tuple[Outcome, ErrorSource]:
    """Outcome and source of a call that ended by these, none of which the host declared anything about."""
    if all(is_cancellation(leaf) for leaf in leaves):
        window = _host_window_seconds(leaves[0])
        if window is None:
            return Outcome.CANCELLED, ErrorSource.CALLER
        return Outcome.TIMEOUT, ErrorSource.PLUGIN if _used_most(invocation, window) else ErrorSource.CALLER
    if any(is_a(leaf, SystemExit) for leaf in leaves):
        if any(_from_a_signal(leaf) for leaf in leaves):
            return Outcome.CANCELLED, ErrorSource.HOST
        return Outcome.ERROR, ErrorSource.PLUGIN
    if any(_TIME_OUTS.match(leaf) for leaf in leaves):
        return Outcome.TIMEOUT, ErrorSource.PLUGIN
    return Outcome.ERROR, ErrorSource.HOST


def is_cancellation(error: BaseException) -> bool:
    """Whether it is how Python, asyncio, trio or greenlet end what nobody waits for any more."""
    return _CANCELLATIONS.match(error)


def _used_most(invocation: Call, window_seconds: float) -> bool:
    """Whether the time that ran out went into this call, rather than into what was done before it."""
    above = invocation.parent
    if type(above) is type(invocation):
        whole_ns: float = invocation.started_ns + invocation.duration_ns - above.started_ns
    else:
        whole_ns = window_seconds * 1e9
    return 2 * invocation.duration_ns >= whole_ns


def _from_a_signal(error: BaseException) -> bool:
    """Whether a handler of the host's raised it, for a signal that ends the process."""
    handlers = set()
    for number in _ENDS:
        handler: Any = signal.getsignal(number)
        handlers.add(getattr(getattr(handler, "__func__", handler), "__code__", None))
    handlers.discard(None)
    trace = traceback_of(error)
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _host_window_seconds(error: BaseException) -> float | None:
    """The length of the host's time-out that a cancellation comes from, 0.0 where that is not known; None: of no time-out.

    The current task's coroutines are looked through for a time-out that has run out, because a cancellation does not say
    so itself on asyncio. Wherever anything is not as it was when this was written, the answer is None.
    """
    try:
        if attribute_of(error, "source") == "deadline":  # trio's
            return 0.0
        said = attribute_of(error, "args", ())
        if said and isinstance(said[0], str) and said[0].endswith("; reason: deadline exceeded"):  # anyio's, on asyncio
            return 0.0
        asyncio = asyncio_here()
        if asyncio is None:
            return None
        for task in _waiting(asyncio, asyncio.current_task()):
            for coroutine in _chain(task):
                seconds = _window_of(asyncio, coroutine)
                if seconds is not None:
                    return seconds
        return None
    except Exception:  # noqa: BLE001 - it looks into objects of other people's making
        return None


def _window_of(asyncio: Any, coroutine: Any) -> float | None:
    """How long the time-out is that this coroutine is in, if it has run out; 0.0 where that is not known."""
    given: Any = 0.0
    if getattr(coroutine, "cr_code", None) is asyncio.wait_for.__code__:
        there = coroutine.cr_frame.f_locals
        given, waiter = there.get("timeout"), there.get("waiter")
        # Python 3.11 lets go of its waiter when time is up; later ones use a Timeout.
        if waiter is not None and waiter.done() and not waiter.cancelled():
            return float(given)
    for held in gc.get_referents(coroutine):  # the value stack, where `async with` keeps what it will leave
        scope = held.__self__ if isinstance(held, types.MethodType) else None
        if isinstance(scope, asyncio.Timeout) and scope.expired():
            return float(given)
    return None


def _chain(task: Any) -> Iterator[Any]:
    """The coroutines of a task, outermost first, as far as they can be followed."""
    coroutine = task.get_coro()
    for _ in range(MAX_DEPTH):
        if coroutine is None:
            return
        yield coroutine
        coroutine = getattr(coroutine, "cr_await", None)


def _waiting(asyncio: Any, task: Any) -> Iterator[Any]:
    """A task, and those that wait for it to end: directly, in `wait_for` and `gather`, or as the owner of its group."""
    known: set[int] = set()
    ahead = [task]
    while ahead and len(known) < MAX_DEPTH:
        future = ahead.pop(0)
        if future is None or id(future) in known:
            continue
        known.add(id(future))
        if isinstance(future, asyncio.Task):
            yield future
        for callback, _ in getattr(future, "_callbacks", None) or ():
            owner = getattr(callback, "__self__", None)
            cells = getattr(callback, "__closure__", None) or ()
            held = [owner, getattr(owner, "_parent_task", None), *getattr(callback, "args", ())]
            held += [cell.cell_contents for cell in cells]
            ahead += [one for one in held if isinstance(one, asyncio.Future)]
