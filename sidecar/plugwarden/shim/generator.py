"""Generator functions, plain and asynchronous, observed as one invocation from the first step to the last.

Only the plugin's own steps run in its context and count as its time; the consumer's do not. A fallback answers refused
calls alone: once items have been handed out, nothing can take their place.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.inspection import is_a
from plugwarden.invocation import Invocation, begin, context_access
from plugwarden.operation import CPU_SAMPLE_MASK, NEVER_NS, NOTHING, Operation, Refusal

from .codes import unseen
from .deadline import within_deadline

if TYPE_CHECKING:
    from .later import Rest

__all__ = [
    "Opened",
    "Steps",
    "begin_misused",
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
        invocation, context = begin(operation, 0)
        refusal = _decide(operation, invocation)
        if refusal is None and len(operation.running) > operation.limit:
            refusal = operation.squeeze_in(invocation)
        return _begun(operation, invocation, context, refusal, args, kwargs)
    except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
        return None, None, operation.fault(invocation)
    except BaseException:  # interrupted at the threshold: no place may stay taken
        operation.withdraw(invocation)
        raise


async def open_invocation_async(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opened:
    """The same without blocking the loop while it waits."""
    invocation = None
    try:
        invocation, context = begin(operation, 0)
        refusal = _decide(operation, invocation)
        if refusal is None and len(operation.running) > operation.limit:
            refusal = await operation.squeeze_in_async(invocation)
        return _begun(operation, invocation, context, refusal, args, kwargs)
    except Exception:  # noqa: BLE001 - as above
        return None, None, operation.fault(invocation)
    except BaseException:  # as above
        operation.withdraw(invocation)
        raise


def _decide(operation: Operation, invocation: Invocation) -> Refusal | None:
    tick = operation.calls
    operation.calls = tick + 1
    refusal = None
    special = operation.guarded or invocation.deadline_ns != 0
    if special or not tick & CPU_SAMPLE_MASK:
        operation.attend()
    if special:
        refusal = operation.decide(invocation)
    if refusal is None and not (operation.running and operation.within_itself(invocation)):
        operation.running.add(invocation)
    return refusal


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
    invocation.started_ns = operation.clock()
    return invocation, context, None


def close_invocation(
    operation: Operation,
    invocation: Invocation,
    error: BaseException | None,
    active_ns: int,
    thrown: BaseException | None = None,
) -> None:
    """Record the end of what `open_invocation` began. `thrown` is what the consumer threw in last: if that is what comes
    back, it is none of the plugin's making."""
    try:
        operation.release(invocation)
        invocation.duration_ns = active_ns
        invocation.deadline_ns = 0
        ended = operation.clock()
        if error is not None:
            if error is thrown and is_a(error, Exception):
                invocation.enforced = True
                invocation.outcome, invocation.source = Outcome.ERROR, ErrorSource.CALLER
            operation.failed(invocation, error, ended, answerable=False)
            return
        if invocation.more is not None and invocation.child_errors is not None:
            invocation.child_errors = None
        if operation.guarded or active_ns > operation.limit_ns:
            operation.settle(invocation, NOTHING, ended, keep=False)
            return
        breaker = operation.breaker
        if breaker is not None:
            if ended >= breaker.slot_ends_ns:
                breaker.turn(ended)
            breaker.calls += 1
        operation.append(invocation)
    except Exception:  # noqa: BLE001 - as above
        operation.faults += 1


def begin_misused(operation: Operation, error: TypeError) -> None:
    """Count a call with arguments that the plugin does not take: it failed before anything could begin."""
    try:
        invocation, _ = begin(operation, operation.clock())
        operation.calls += 1
        close_invocation(operation, invocation, error, 0)
    except Exception:  # noqa: BLE001 - as above
        operation.faults += 1


@unseen
def observe_generator(
    operation: Operation, function: Callable[..., Any], skip: int = 0
) -> Callable[..., Generator[Any, Any, Any]]:
    """The observed form of a generator function, given its arguments as a tuple and a dictionary; and, where a call that
    has returned goes on in the generator, the `Rest` of that call."""

    def call(args: tuple[Any, ...], kwargs: dict[str, Any], rest: Rest | None = None) -> Generator[Any, Any, Any]:
        invocation, context, refusal = open_invocation(operation, args[skip:], kwargs) if rest is None else rest.open()
        if refusal is not None:
            if not operation.refuse(invocation, refusal):
                raise refusal.as_error(operation.scope)
            instead = operation.fallback.answer(args[skip:], kwargs)  # type: ignore[union-attr]
            return None if instead is None else (yield from instead)
        if invocation is None or context is None:
            return (yield from function(*args, **kwargs))
        steps = Steps(operation, invocation, context) if rest is None else rest.steps()
        return (yield from steps.of(functools.partial(function, *args, **kwargs)))

    return call


@unseen
def observe_async_generator(
    operation: Operation, function: Callable[..., Any], skip: int = 0
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """The observed form of an async generator function, given what `observe_generator` is."""

    async def call(args: tuple[Any, ...], kwargs: dict[str, Any], rest: Rest | None = None) -> AsyncGenerator[Any, Any]:
        opening = open_invocation_async(operation, args[skip:], kwargs) if rest is None else rest.open_async()
        invocation, context, refusal = await opening
        if refusal is not None:
            if not operation.refuse(invocation, refusal):
                raise refusal.as_error(operation.scope)
            instead = operation.fallback.answer(args[skip:], kwargs)  # type: ignore[union-attr]
            if instead is not None:
                async for item in instead:
                    yield item
            return
        if invocation is None or context is None:
            async for item in function(*args, **kwargs):
                yield item
            return
        # `yield from` does not exist for these: the steps are handed on one by one, as `Steps.of` does.
        steps = Steps(operation, invocation, context) if rest is None else rest.steps()
        error = thrown = None
        try:
            inner = function(*args, **kwargs)
            step = functools.partial(_first_step, inner)
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
                except BaseException as given:  # noqa: BLE001 - as for plain generators
                    thrown = given
                    step = functools.partial(inner.athrow, given)
                else:
                    thrown = None
                    step = inner.__anext__ if sent is None else functools.partial(inner.asend, sent)
        except GeneratorExit:
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            steps.close(error, thrown)
            del error, thrown  # the frame would keep its own exception alive

    return call


def _first_step(inner: Any) -> Any:
    """The loop is not told of the plugin's generator: when it tidies up, it would close it while ours does."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return inner.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


class Steps:
    """Runs what is done step by step in its invocation's context, and adds up the time of the steps."""

    __slots__ = ("_access", "_clock", "_context", "_invocation", "_operation", "active_ns")

    def __init__(self, operation: Operation, invocation: Invocation, context: Context, active_ns: int = 0) -> None:
        self._operation = operation
        self._clock = operation.clock
        self._invocation = invocation
        self._context = context
        self._access = context_access()
        self.active_ns = active_ns

    @unseen
    def of(self, make: Callable[[], Generator[Any, Any, Any]]) -> Generator[Any, Any, Any]:
        """A generator, step by step, to its recorded end."""
        operation = self._operation  # what a thread that looks at this frame from outside finds by name
        error = thrown = None
        try:
            inner = make()
            onward: Callable[[], Any] = functools.partial(next, inner)
            step = onward
            while True:
                token = self._enter()
                started = self._clock()
                try:
                    item = step()
                except StopIteration as stop:
                    return stop.value
                finally:
                    self._leave(token, started)
                try:
                    sent = yield item
                except GeneratorExit:
                    self.run(inner.close)
                    raise
                except BaseException as given:  # noqa: BLE001 - the consumer throws into the plugin, which decides
                    thrown = given
                    step = functools.partial(inner.throw, given)
                else:
                    thrown = None
                    step = onward if sent is None else functools.partial(inner.send, sent)
        except GeneratorExit:
            raise  # the consumer had enough; the plugin did nothing wrong
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.close(error, thrown)
            del error, thrown, operation  # the frame would keep its own exception alive

    @unseen
    def run(self, step: Callable[[], Any]) -> Any:
        """One step."""
        token = self._enter()
        started = self._clock()
        try:
            return step()
        finally:
            self._leave(token, started)

    @unseen
    async def arun(self, step: Callable[[], Any]) -> Any:
        """One step that is awaited, and cancelled when the time that all of them have is over."""
        token = self._enter()
        started = self._clock()
        try:
            if self._invocation.deadline_ns:
                return await within_deadline(self._invocation, step())
            return await step()
        finally:
            self._leave(token, started)

    def close(self, error: BaseException | None, thrown: BaseException | None = None) -> None:
        """Record the end."""
        close_invocation(self._operation, self._invocation, error, self.active_ns, thrown)

    def _enter(self) -> Any:
        invocation, timeout_ns = self._invocation, self._operation.timeout_ns
        if not timeout_ns and invocation.parent is None:
            return self._access[1](self._context)
        above = invocation.parent
        deadline_ns = above.deadline_ns if type(above) is Invocation else 0
        if timeout_ns:
            left = max(1, timeout_ns - self.active_ns)  # what the consumer does in between is not the plugin's time
            deadline_ns = min(self._clock() + left, deadline_ns or NEVER_NS)
        invocation.deadline_ns = deadline_ns
        return self._access[1](self._context)

    def _leave(self, token: Any, started_ns: int) -> None:
        self.active_ns += self._clock() - started_ns
        if self._invocation.deadline_ns:
            self._invocation.deadline_ns = 0
        current, _, detach = self._access
        self._context = current()  # a span that the plugin left open across a `yield` is current in its next step too
        try:
            detach(token)
        except ValueError:
            pass  # torn down in another context than it ran in: there is nothing to restore in this one
