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

from plugwarden.inspection import bases_of, namespace_of
from plugwarden.invocation import Invocation
from plugwarden.operation import Operation

from .codes import flagged, unseen
from .form import Form
from .generator import observe_async_generator, observe_generator
from .metering import metered
from .rest import Rest, is_of_a_pool

__all__ = ["runs_later"]

Resume = Callable[[Form, Invocation, Context, Any, tuple[Any, ...], dict[str, Any]], tuple[Any] | None]
"""Takes over a call that has returned; answers what the host gets, or None: there was nothing to take over."""

_HELD_BY_US = 4
"""References to a result that nobody else has: of the wrapper, of the two functions here, of the question itself."""


def runs_later(kind: type) -> Resume | None:
    """Who takes over a result of this type; None: it is all there is to the call."""
    try:
        found = _KINDS.get(id(kind))
        if found is None and (_is_of_a_loop(kind) or is_of_a_pool(kind)):
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


def _is_ours(result: Any) -> bool:
    return sys.getrefcount(result) <= _HELD_BY_US


@unseen
async def _awaited(rest: Rest) -> Any:
    operation = rest._operation  # what a thread that looks at this frame from outside finds by name
    work = rest.work
    invocation, _, refusal = await rest.open_async()
    if refusal is not None:
        work.close()
        return await rest.refused(refusal)
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
    form: Form,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    if not _is_ours(result) or inspect.getcoroutinestate(result) != inspect.CORO_CREATED:
        return None
    return (_named(_awaited(Rest(form, invocation, context, args, kwargs, result)), result),)


def _resume_generator(
    form: Form,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    if not _is_ours(result):
        return None
    rest = Rest(form, invocation, context, args, kwargs)
    return (_named(observe_generator(form, lambda *a, **k: result)(args, kwargs, rest), result),)


def _resume_async_generator(
    form: Form,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    if not _is_ours(result):
        return None
    rest = Rest(form, invocation, context, args, kwargs)
    return (_named(observe_async_generator(form, lambda *a, **k: result)(args, kwargs, rest), result),)


def _resume_manager(
    form: Form,
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
    rest = Rest(form, invocation, context, args, kwargs)
    observe: Any = observe_async_generator if is_async else observe_generator
    result.gen = _named(observe(form, lambda *a, **k: inner)(args, kwargs, rest), inner)
    return (result,)


def _resume_future(
    form: Form,
    invocation: Invocation,
    context: Context,
    result: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Any] | None:
    """A future or task stays the object that it is, and tells when it is done: once to each operation that answers it."""
    try:
        told = _told_by.setdefault(result, set())
        if form.operation in told:
            return None
        told.add(form.operation)
        done = result.done()
    except Exception:  # noqa: BLE001 - one of somebody's own making: the call ended when it was returned
        return None
    rest = Rest(form, invocation, context, args, kwargs)
    rest.ends_by_itself()
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
    form: Form,
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
    entry = _first_call(Rest(form, invocation, context, args, kwargs), result)
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
