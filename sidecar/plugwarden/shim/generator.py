"""Generator functions, plain and asynchronous, observed as one invocation from the first step to the last.

Only the plugin's own steps run in its context and count as its time; the consumer's do not. A fallback answers refused
calls alone: once items have been handed out, nothing can take their place.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from time import perf_counter_ns
from typing import Any

from opentelemetry.context import Context

from plugwarden.invocation import Invocation, begin, context_access
from plugwarden.operation import Operation, Refusal

__all__ = [
    "Opened",
    "close_invocation",
    "observe_async_generator",
    "observe_generator",
    "open_invocation",
    "open_invocation_async",
]

Opened = tuple[Invocation | None, Context | None, Refusal | None]
"""The invocation and the context to run it in; or why it must not run; or nothing of them: it runs unobserved."""


def open_invocation(operation: Operation, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Opened:
    """Decide on a call and begin it; for everything that is not on the hot path. Waits in the bulkhead's queue."""
    invocation = None
    try:
        invocation, context, refusal = _decide(operation)
        if refusal is None and len(operation.running) > operation.limit:
            refusal = operation.squeeze_in(invocation)
        return _begun(operation, invocation, context, refusal, args, kwargs)
    except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
        return _unobserved(operation, invocation)


async def open_invocation_async(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opened:
    """The same without blocking the loop while it waits."""
    invocation = None
    try:
        invocation, context, refusal = _decide(operation)
        if refusal is None and len(operation.running) > operation.limit:
            refusal = await operation.squeeze_in_async(invocation)
        return _begun(operation, invocation, context, refusal, args, kwargs)
    except Exception:  # noqa: BLE001 - as above
        return _unobserved(operation, invocation)


def _decide(operation: Operation) -> tuple[Invocation, Context, Refusal | None]:
    invocation, context = begin(operation, perf_counter_ns())
    operation.calls += 1
    operation.attend()
    refusal = operation.decide(invocation)
    if refusal is None and not operation.within_itself(invocation):
        operation.running.add(invocation)
    return invocation, context, refusal


def _begun(
    operation: Operation,
    invocation: Invocation,
    context: Context,
    refusal: Refusal | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Opened:
    if refusal is not None:
        return invocation, None, refusal
    if operation.inspects:
        operation.look_at(invocation, args, kwargs or {})
    invocation.started_ns = perf_counter_ns()
    return invocation, context, None


def _unobserved(operation: Operation, invocation: Invocation | None) -> Opened:
    if invocation is not None:
        operation.running.discard(invocation)
    return None, None, operation.fault()


def close_invocation(operation: Operation, invocation: Invocation, error: BaseException | None, active_ns: int) -> None:
    """Record the end of what `open_invocation` began."""
    try:
        operation.release(invocation)
        invocation.duration_ns = active_ns
        invocation.deadline_ns = 0
        ended = perf_counter_ns()
        if error is not None:
            operation.failed(invocation, error, ended, answerable=False)
            return
        if invocation.child_errors is not None:
            invocation.child_errors = None
        operation.settle(invocation, None, ended, keep=False)
    except Exception:  # noqa: BLE001 - as above
        operation.faults += 1


def observe_generator(operation: Operation, function: Callable[..., Any]) -> Callable[..., Any]:
    """The observed form of a generator function."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        invocation, context, refusal = open_invocation(operation, args, kwargs)
        if refusal is not None:
            if not operation.refuse(invocation, refusal):
                raise refusal.as_error(operation.scope)
            instead = operation.fallback.answer(args, kwargs)  # type: ignore[union-attr]
            return None if instead is None else (yield from instead)
        if invocation is None or context is None:
            return (yield from function(*args, **kwargs))
        steps = _Steps(context)
        error: BaseException | None = None
        try:
            inner = function(*args, **kwargs)
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
            close_invocation(operation, invocation, error, steps.active_ns)

    return call


def observe_async_generator(operation: Operation, function: Callable[..., Any]) -> Callable[..., Any]:
    """The observed form of an async generator function."""

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        invocation, context, refusal = await open_invocation_async(operation, args, kwargs)
        if refusal is not None:
            if not operation.refuse(invocation, refusal):
                raise refusal.as_error(operation.scope)
            instead = operation.fallback.answer(args, kwargs)  # type: ignore[union-attr]
            if instead is not None:
                async for item in instead:
                    yield item
            return
        if invocation is None or context is None:
            async for item in function(*args, **kwargs):
                yield item
            return
        steps = _Steps(context)
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
            close_invocation(operation, invocation, error, steps.active_ns)

    return call


class _Steps:
    """Runs a generator's steps in the invocation's context and adds up their time."""

    __slots__ = ("_access", "_context", "active_ns")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._access = context_access()
        self.active_ns = 0

    def run(self, step: Callable[[], Any]) -> Any:
        _, attach, detach = self._access
        token = attach(self._context)
        started = perf_counter_ns()
        try:
            return step()
        finally:
            self.active_ns += perf_counter_ns() - started
            _restore(detach, token)

    async def arun(self, step: Callable[[], Any]) -> Any:
        _, attach, detach = self._access
        token = attach(self._context)
        started = perf_counter_ns()
        try:
            return await step()
        finally:
            self.active_ns += perf_counter_ns() - started
            _restore(detach, token)


def _restore(detach: Callable[[Any], None], token: Any) -> None:
    try:
        detach(token)
    except ValueError:
        pass  # torn down in another context than it ran in: there is nothing to restore in this one
