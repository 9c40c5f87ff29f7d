"""Generator functions, plain and asynchronous, observed as one invocation from the first step to the last.

Only the plugin's own steps run in its context and count as its time; the consumer's do not. A fallback answers refused
calls alone: once items have been handed out, nothing can take their place.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from plugwarden.operation import Operation

from .codes import unseen
from .opened import open_invocation, open_invocation_async
from .rest import Rest
from .steps import Steps

__all__ = ["observe_async_generator", "observe_generator"]


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
        invocation.stepwise = True
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
        invocation.stepwise = True
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
