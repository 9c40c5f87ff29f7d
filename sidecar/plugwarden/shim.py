"""Wraps a function, coroutine function, generator function or async generator function with the same signature out.

What kind of callable it is, is decided once, at wrap time. Everything of ours that could fail sits in `_started` and
`_finished`, which count the failure and let the plugin run unobserved: a host never sees an error of the shim's own.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Token
from time import perf_counter_ns, thread_time_ns
from typing import Any

from opentelemetry.context import Context, attach, detach

from plugwarden.contract import Outcome
from plugwarden.invocation import Invocation
from plugwarden.operation import CPU_SAMPLE_EVERY, Operation, Permit, Refusal, tell_parent

__all__ = ["observed", "wrap"]

_Started = tuple[Invocation, Context]


def wrap(operation: Operation, function: Callable[..., Any], fault: Callable[[], None]) -> Callable[..., Any]:
    """The observed form of `function`. `fault` counts an error inside the shim itself."""
    # The function itself, not what it wraps: a decorator may have made something else of a generator or coroutine.
    plain = inspect.isroutine(function) or isinstance(function, functools.partial)
    target = function if plain else getattr(type(function), "__call__", function)  # noqa: B004 - an object's own
    if inspect.iscoroutinefunction(target):
        wrapped = _coroutine(operation, function, fault)
    elif inspect.isasyncgenfunction(target):
        wrapped = _async_generator(operation, function, fault)
    elif inspect.isgeneratorfunction(target):
        wrapped = _generator(operation, function, fault)
    else:
        wrapped = _function(operation, function, fault)
    wrapped.__plugwarden__ = operation  # type: ignore[attr-defined]  # lets an integration see what is wrapped already
    return wrapped


def _function(operation: Operation, function: Callable[..., Any], fault: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        permit = _asked(operation, fault) if operation.rules or operation.breaker is not None else None
        if type(permit) is Refusal:
            if operation.fallback is None:
                raise permit.as_error(operation.scope)
            return operation.fallback(*args, **kwargs)
        started = _started(operation, permit, fault)
        if started is None:
            return function(*args, **kwargs)
        invocation, context = started
        measure = _measured(operation)
        token = attach(context)
        cpu = thread_time_ns() if measure else 0
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            if measure:
                invocation.cpu_ns = thread_time_ns() - cpu
            detach(token)
            if not _finished(operation, invocation, error, fault):
                raise
        else:
            if measure:
                invocation.cpu_ns = thread_time_ns() - cpu
            detach(token)
            _finished(operation, invocation, None, fault)
            return result
        return operation.fallback(*args, **kwargs)  # type: ignore[misc]  # _finished said that there is one

    return call


def _coroutine(operation: Operation, function: Callable[..., Any], fault: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        permit = _asked(operation, fault) if operation.rules or operation.breaker is not None else None
        if type(permit) is Refusal:
            if operation.fallback is None:
                raise permit.as_error(operation.scope)
            return await _settled(operation.fallback(*args, **kwargs))
        started = _started(operation, permit, fault)
        if started is None:
            return await function(*args, **kwargs)
        invocation, context = started
        token = attach(context)
        try:
            work = function(*args, **kwargs)
            if _measured(operation) and inspect.iscoroutine(work):
                work = _metered(work, invocation)
            if operation.timeout_seconds is None:
                result = await work
            else:
                result = await _within(operation.timeout_seconds, work, invocation)
        except BaseException as error:
            detach(token)
            if not _finished(operation, invocation, error, fault):
                raise
        else:
            detach(token)
            _finished(operation, invocation, None, fault)
            return result
        return await _settled(operation.fallback(*args, **kwargs))  # type: ignore[misc]

    return call


def _generator(operation: Operation, function: Callable[..., Any], fault: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        permit = _asked(operation, fault) if operation.rules or operation.breaker is not None else None
        if type(permit) is Refusal:
            if operation.fallback is None:
                raise permit.as_error(operation.scope)
            return (yield from operation.fallback(*args, **kwargs))
        started = _started(operation, permit, fault)
        if started is None:
            return (yield from function(*args, **kwargs))
        invocation, context = started
        steps = _Steps(invocation, context)
        error: BaseException | None = None
        try:
            inner = function(*args, **kwargs)
            # Only the plugin's own steps run in its context and count as its time; the consumer's do not.
            step = functools.partial(next, inner)
            while True:
                try:
                    item = steps.run(step)
                except StopIteration as stop:
                    return stop.value
                try:
                    sent = yield item
                except GeneratorExit:
                    steps.run(inner.close)
                    raise
                except BaseException as thrown:  # noqa: BLE001 - the consumer throws into the plugin, which decides
                    step = functools.partial(inner.throw, thrown)
                else:
                    step = functools.partial(next, inner) if sent is None else functools.partial(inner.send, sent)
        except GeneratorExit:
            raise  # the consumer had enough; the plugin did nothing wrong
        except BaseException as raised:
            error = raised
            raise
        finally:
            _finished(operation, invocation, error, fault, steps.active_ns)

    return call


def _async_generator(
    operation: Operation, function: Callable[..., Any], fault: Callable[[], None]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        permit = _asked(operation, fault) if operation.rules or operation.breaker is not None else None
        if type(permit) is Refusal:
            if operation.fallback is None:
                raise permit.as_error(operation.scope)
            async for item in operation.fallback(*args, **kwargs):
                yield item
            return
        started = _started(operation, permit, fault)
        if started is None:
            async for item in function(*args, **kwargs):
                yield item
            return
        invocation, context = started
        steps = _Steps(invocation, context)
        error: BaseException | None = None
        try:
            inner = function(*args, **kwargs)
            step = inner.__anext__
            while True:
                try:
                    item = await steps.arun(step)
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    await steps.arun(inner.aclose)
                    raise
                except BaseException as thrown:  # noqa: BLE001 - as for plain generators
                    step = functools.partial(inner.athrow, thrown)
                else:
                    step = inner.__anext__ if sent is None else functools.partial(inner.asend, sent)
        except GeneratorExit:
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            _finished(operation, invocation, error, fault, steps.active_ns)

    return call


class observed:
    """A block of host code run as an invocation: the form behind `Sidecar.invocation`."""

    __slots__ = ("_fault", "_operation", "_started", "_token")

    def __init__(self, operation: Operation, fault: Callable[[], None]) -> None:
        self._operation = operation
        self._fault = fault
        self._started: _Started | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> Invocation | None:
        permit = _asked(self._operation, self._fault)
        if isinstance(permit, Refusal):
            raise permit.as_error(self._operation.scope)
        self._started = _started(self._operation, permit, self._fault)
        if self._started is None:
            return None
        self._token = attach(self._started[1])
        return self._started[0]

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._token is not None and self._started is not None:
            detach(self._token)
            _finished(self._operation, self._started[0], error, self._fault)


class _Steps:
    """Runs a generator's steps in the invocation's context and adds up their time."""

    __slots__ = ("_context", "active_ns")

    def __init__(self, invocation: Invocation, context: Context) -> None:
        self._context = context
        self.active_ns = 0

    def run(self, step: Callable[[], Any]) -> Any:
        token = attach(self._context)
        started = perf_counter_ns()
        try:
            return step()
        finally:
            self.active_ns += perf_counter_ns() - started
            detach(token)

    async def arun(self, step: Callable[[], Any]) -> Any:
        token = attach(self._context)
        started = perf_counter_ns()
        try:
            return await step()
        finally:
            self.active_ns += perf_counter_ns() - started
            detach(token)


def _asked(operation: Operation, fault: Callable[[], None]) -> Refusal | Permit | None:
    """What the gate says; a refusal is recorded. When the gate itself fails, the call runs."""
    try:
        decision = operation.decide()
        if type(decision) is Refusal:
            operation.record_refusal(decision)
    except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
        fault()
        return None
    return decision


def _started(operation: Operation, permit: Refusal | Permit | None, fault: Callable[[], None]) -> _Started | None:
    try:
        return operation.start(permit if isinstance(permit, Permit) else None)
    except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
        fault()
        return None


def _finished(
    operation: Operation,
    invocation: Invocation,
    error: BaseException | None,
    fault: Callable[[], None],
    duration_ns: int | None = None,
) -> bool:
    """Record the end; True when a fallback answers instead of the error."""
    try:
        if error is not None:
            tell_parent(invocation, error)
        invocation.fallback = answered = (
            error is not None and operation.fallback is not None and isinstance(error, Exception)
        )
        operation.finish(invocation, error, duration_ns)
    except Exception:  # noqa: BLE001 - as above
        fault()
        return False
    return answered


def _measured(operation: Operation) -> bool:
    operation.calls_seen = seen = operation.calls_seen + 1
    return seen % CPU_SAMPLE_EVERY == 1


async def _within(timeout_seconds: float, work: Coroutine[Any, Any, Any], invocation: Invocation) -> Any:
    deadline = asyncio.timeout(timeout_seconds)
    try:
        async with deadline:
            return await work
    except TimeoutError:
        if deadline.expired():
            invocation.outcome = Outcome.TIMEOUT
        raise


async def _settled(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


@types.coroutine
def _metered(work: Coroutine[Any, Any, Any], invocation: Invocation) -> Generator[Any, Any, Any]:
    """Drive a coroutine step by step and add up the CPU time of its own steps, leaving out those of other tasks."""
    spent = 0
    send: Callable[[], Any] = functools.partial(work.send, None)
    try:
        while True:
            started = thread_time_ns()
            try:
                waiting_for = send()
            except StopIteration as stop:
                return stop.value
            finally:
                spent += thread_time_ns() - started
            try:
                received = yield waiting_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - a cancellation, handed on to the plugin
                send = functools.partial(work.throw, thrown)
            else:
                send = functools.partial(work.send, received)
    finally:
        invocation.cpu_ns = spent
