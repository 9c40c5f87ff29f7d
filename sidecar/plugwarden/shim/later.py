"""What a plain function answers and what runs later: the call is not over when the function returns.

A coroutine, a generator, a context manager, a task: their time and their failure belong to the same invocation as the
call that made them, which is recorded when they end, or when nobody wants them any more. What the host gets is of the
very same type. Where somebody else holds the object already, it is left alone, because its identity could be seen.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.errors import QuotaExceeded
from plugwarden.inspection import bases_of, is_a, namespace_of
from plugwarden.invocation import Invocation
from plugwarden.operation import NOTHING, Operation, Refusal

from .codes import flagged, unseen
from .generator import Opened, Steps, close_invocation, observe_async_generator, observe_generator
from .metering import metered

__all__ = ["runs_later"]

Resume = Callable[[Operation, Invocation, Context, Any, tuple[Any, ...], dict[str, Any]], tuple[Any] | None]
"""Takes over a call that has returned; answers what the host gets, or None: there was nothing to take over."""

_HELD_BY_US = 4
"""References to a result that nobody else has: of the wrapper, of the two functions here, of the question itself."""


def runs_later(kind: type) -> Resume | None:
    """Who takes over a result of this type; None: it is all there is to the call."""
    try:
        found = _KINDS.get(id(kind))
        if found is None and (_is_of_a_loop(kind) or _is_of_a_pool(kind)):
            return _resume_future
    except Exception:  # noqa: BLE001 - its metaclass may do anything; the call is over, and counts
        return None
    return found


def _is_of_a_loop(kind: type) -> bool:
    """Whether it is a future of asyncio's, by the mark that asyncio itself goes by."""
    if type(kind) is type:
        return hasattr(kind, "_asyncio_future_blocking")
    # A metaclass may answer for its classes, so they are not asked.
    return any("_asyncio_future_blocking" in namespace_of(base) for base in bases_of(kind))


def _is_of_a_pool(kind: type) -> bool:
    """Whether it is a future of `concurrent.futures`, which who made one has loaded."""
    module: Any = sys.modules.get("concurrent.futures._base")
    future: type | None = getattr(module, "Future", None)
    return future is not None and issubclass(kind, future)


class Rest:
    """A call that has returned and is not over."""

    __slots__ = ("_context", "_nested", "_operation", "_settled", "active_ns", "args", "invocation", "kwargs", "work")

    def __init__(
        self,
        operation: Operation,
        invocation: Invocation,
        context: Context,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        work: Any = None,
    ) -> None:
        self.invocation = invocation
        """The call's."""
        self.args, self.kwargs = args, kwargs
        """The call's, for a fallback."""
        self.work = work
        """A coroutine that has not begun."""
        self.active_ns = invocation.duration_ns
        """How long the plugin has run up to now."""
        self._operation = operation
        self._context = context
        self._settled = False

    def __del__(self) -> None:
        # Nobody wanted the rest: the call was what it was when it returned. No lock is taken, because this may run
        # wherever memory is tidied up, also while this very thread holds one.
        if self._settled:
            return
        self._settled = True
        if self.work is not None:
            self.work.close()  # Python has said already, of ours, that it was never awaited
        breaker = self._operation.breaker
        if breaker is not None:
            if self.invocation.probe:
                breaker.leave_undecided(self.invocation.probe)
            breaker.calls += 1
        self._operation.append(self.invocation)

    def let_go(self) -> None:
        """There is no rest after all, and the call is the caller's to record."""
        self._settled = True

    def open(self) -> Opened:
        """It goes on now: take a place again. Waits in the bulkhead's queue."""
        self._settled = True
        operation, invocation = self._operation, self.invocation
        try:
            refusal = operation.squeeze_in(invocation) if self._is_crowded() else None
        except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
            refusal = operation.fault()
            if refusal is not None:
                operation.withdraw(invocation)
        return invocation, self._context, refusal

    async def open_async(self) -> Opened:
        """The same without blocking the loop."""
        self._settled = True
        operation, invocation = self._operation, self.invocation
        try:
            refusal = await operation.squeeze_in_async(invocation) if self._is_crowded() else None
        except Exception:  # noqa: BLE001 - as above
            refusal = operation.fault()
            if refusal is not None:
                operation.withdraw(invocation)
        return invocation, self._context, refusal

    def _is_crowded(self) -> bool:
        operation = self._operation
        if operation.within_itself(self.invocation):
            return False
        operation.running.add(self.invocation)
        return len(operation.running) > operation.limit

    def steps(self) -> Steps:
        """Return what it is run with."""
        return Steps(self._operation, self.invocation, self._context, self.active_ns)

    def refused(self, refusal: Refusal) -> None:
        """There was no place for it. Raises, unless the fallback answers."""
        if not self._operation.refuse(self.invocation, refusal):
            raise refusal.as_error(self._operation.scope)

    def failed(self, error: BaseException, active_ns: int) -> bool:
        """Record that it raised; True when the fallback answers."""
        operation, invocation = self._operation, self.invocation
        try:
            operation.release(invocation)
            invocation.duration_ns = active_ns
            return operation.failed(invocation, error, operation.clock())
        except Exception:  # noqa: BLE001 - as above
            operation.faults += 1
            return False

    def returned(self, result: Any, active_ns: int, *, keep: bool = True) -> QuotaExceeded | None:
        """Record that it returned; return the error to raise where its result is larger than allowed. `keep` as in `settle`."""
        operation, invocation = self._operation, self.invocation
        try:
            operation.release(invocation)
            invocation.duration_ns = active_ns
            if invocation.child_errors is not None:
                invocation.child_errors = None  # they would keep their frames alive
            return operation.settle(invocation, result, operation.clock(), keep=keep)
        except Exception:  # noqa: BLE001 - as above
            operation.faults += 1
            return None

    def done(self, future: Any) -> None:
        """A future has its result."""
        if self._settled:
            return
        self._settled = True
        took_ns = self._operation.clock() - self.invocation.started_ns
        result: Any = NOTHING
        try:
            error: BaseException | None
            if future.cancelled():
                error = _cancelled(future)
                if is_a(error, Exception):  # of a pool, where being cancelled is an error of who waits
                    self.invocation.enforced = True
                    self.invocation.outcome, self.invocation.source = Outcome.CANCELLED, ErrorSource.CALLER
            elif _is_of_a_pool(type(future)):
                error = future.exception(0)
            else:
                error = getattr(future, "_exception", None)  # asking for it aloud would tell asyncio that it was seen
            if error is None and self._operation.inspects:
                result = future.result()
        except Exception:  # noqa: BLE001 - as above
            error = None
        if error is None:
            # What is in it was the answer's, and is none itself: a fallback could not give it to who wants a future.
            self.returned(result, took_ns, keep=False)
        else:
            close_invocation(self._operation, self.invocation, error, took_ns)

    async def answer(self) -> Any:
        """The fallback's answer, once it was said that there is one."""
        return await self._operation.fallback.answer_async(self.args, self.kwargs)  # type: ignore[union-attr]


def _cancelled(future: Any) -> BaseException:
    try:
        future.exception()
    except BaseException as error:  # noqa: BLE001 - that is how it says so
        return error
    return RuntimeError("a cancelled future that does not say so")


def _is_ours(result: Any) -> bool:
    return sys.getrefcount(result) <= _HELD_BY_US


@unseen
async def _awaited(rest: Rest) -> Any:
    operation = rest._operation  # what a thread that looks at this frame from outside finds by name
    work = rest.work
    invocation, _, refusal = await rest.open_async()
    if refusal is not None:
        work.close()
        rest.refused(refusal)
        return await rest.answer()
    if invocation is not None and invocation.overhead_ns >= 0:  # one of those that are measured
        work = metered(work, invocation)
    steps = rest.steps()
    overrun = None
    try:
        result = await steps.arun(lambda: work)
    except BaseException as error:
        if not rest.failed(error, steps.active_ns):
            raise
    else:
        overrun = rest.returned(result, steps.active_ns)
        if overrun is None:
            return result
        raise overrun
    finally:
        del operation
    return await rest.answer()


def _named(made: Any, like: Any) -> Any:
    made.__name__, made.__qualname__ = like.__name__, like.__qualname__
    return made


def _resume_coroutine(
    operation: Operation,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    if not _is_ours(result) or inspect.getcoroutinestate(result) != inspect.CORO_CREATED:
        return None
    return (_named(_awaited(Rest(operation, invocation, context, args, kwargs, result)), result),)


def _resume_generator(
    operation: Operation,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    if not _is_ours(result):
        return None
    rest = Rest(operation, invocation, context, args, kwargs)
    return (_named(observe_generator(operation, lambda *a, **k: result)(args, kwargs, rest), result),)


def _resume_async_generator(
    operation: Operation,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    if not _is_ours(result):
        return None
    rest = Rest(operation, invocation, context, args, kwargs)
    return (_named(observe_async_generator(operation, lambda *a, **k: result)(args, kwargs, rest), result),)


def _resume_manager(
    operation: Operation,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    """The manager stays the object that it is; the generator that it drives is exchanged."""
    inner = result.gen
    if not _is_ours(result):
        return None  # it may be answered again and again, and would become a longer chain each time
    is_async = isinstance(inner, types.AsyncGeneratorType)
    if not is_async and not isinstance(inner, types.GeneratorType):
        return None
    rest = Rest(operation, invocation, context, args, kwargs)
    observe: Any = observe_async_generator if is_async else observe_generator
    result.gen = _named(observe(operation, lambda *a, **k: inner)(args, kwargs, rest), inner)
    return (result,)


def _resume_future(
    operation: Operation,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    """A future or task stays the object that it is, and tells when it is done: once to each operation that answers it."""
    try:
        told = _told_by.setdefault(result, set())
        if operation in told:
            return None
        told.add(operation)
        done = result.done()
    except Exception:  # noqa: BLE001 - one of somebody's own making: the call ended when it was returned
        return None
    rest = Rest(operation, invocation, context, args, kwargs)
    if done:
        rest.done(result)
        return (result,)
    try:
        result.add_done_callback(rest.done)
    except Exception:  # noqa: BLE001 - as above
        rest.let_go()
        return None
    return (result,)


def _resume_function(
    operation: Operation,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    """A coroutine function made in the call, as Datasette's hooks answer it: its first call is the rest of this one."""
    if not result.__code__.co_flags & inspect.CO_COROUTINE or "<locals>" not in result.__qualname__:
        return None
    if not _is_ours(result):
        return None
    entry = _first_call(Rest(operation, invocation, context, args, kwargs), result)
    functools.update_wrapper(entry, result)
    entry.__code__ = flagged(entry.__code__, inspect.CO_COROUTINE)
    return (entry,)


@unseen
def _first_call(rest: Rest, function: Callable[..., Any]) -> types.FunctionType:
    unclaimed = [rest]

    def entry(*args: Any, **kwargs: Any) -> Any:
        work = function(*args, **kwargs)
        try:
            first = unclaimed.pop()
        except IndexError:
            return work
        first.work = work
        return _named(_awaited(first), work)

    return entry  # type: ignore[return-value]  # mypy does not take it for the FunctionType that it is


_told_by: weakref.WeakKeyDictionary[Any, set[Operation]] = weakref.WeakKeyDictionary()
"""Futures that will tell, and for which operations: a function may answer the same one a million times."""

_KINDS: dict[int, Resume] = {
    id(types.CoroutineType): _resume_coroutine,
    id(types.GeneratorType): _resume_generator,
    id(types.AsyncGeneratorType): _resume_async_generator,
    id(types.FunctionType): _resume_function,
    id(contextlib._GeneratorContextManager): _resume_manager,
    id(contextlib._AsyncGeneratorContextManager): _resume_manager,
}
"""By the id of the type: a metaclass may not let its classes be hashed."""
