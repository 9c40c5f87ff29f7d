"""Generator functions, plain and asynchronous, observed as one invocation from the first step to the last.

Only the plugin's own steps run in its context and count as its time; the consumer's do not. A fallback answers refused
calls alone: once items have been handed out, nothing can take their place.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from opentelemetry.context import Context

from plugwarden.invocation import INVOCATION_KEY, SPAN_KEY, STEPWISE_NS, Invocation, context_access
from plugwarden.loops import first_step

from .codes import unseen
from .form import Form
from .opened import close_invocation, open_invocation, open_invocation_async
from .rest import Rest
from .steps import Steps, set_deadline

__all__ = ["observe_async_generator", "observe_generator"]


@unseen
def observe_generator(
    form: Form, function: Callable[..., Any], skip: int = 0
) -> Callable[..., Generator[Any, Any, Any]]:
    """The observed form of a generator function, given its arguments as a tuple and a dictionary; and, where a call that
    has returned goes on in the generator, the `Rest` of that call."""
    operation = form.operation
    current, attach, detach = context_access()
    clock, refs = operation.clock, sys.getrefcount

    # Written out as `function.py` is: hosts that check one line at a time make thousands of generators of a few steps.
    def call(args: tuple[Any, ...], kwargs: dict[str, Any], rest: Rest | None = None) -> Generator[Any, Any, Any]:
        if rest is None:
            invocation, context, refusal = open_invocation(form, current(), args[skip:], kwargs)
            active_ns = 0
        else:
            invocation, context, refusal = rest.open()
            active_ns = rest.active_ns
        if refusal is not None:
            instead = form.refuse(invocation, refusal, None if rest is None else rest.attempt)
            if instead is None:
                raise form.as_error(refusal)
            return (yield from instead.answer_steps(args[skip:], kwargs))
        if invocation is None or context is None:
            return (yield from function(*args, **kwargs))
        invocation.duration_ns = STEPWISE_NS
        bound = operation.timeout_ns or invocation.parent is not None
        error = thrown = None
        try:
            inner = function(*args, **kwargs)
            step = onward = inner.__next__
            while True:
                if bound:
                    set_deadline(operation, invocation, active_ns)
                token = attach(context)
                started = clock()
                try:
                    item = step()
                except StopIteration as stop:
                    return stop.value
                finally:
                    active_ns += clock() - started
                    invocation.deadline_ns = 0
                    context = current()  # a span that it left open across a `yield` is current in its next step too
                    try:
                        detach(token)
                    except ValueError:
                        pass  # torn down in another context than it ran in: there is nothing to restore in this one
                    del token  # it knows the context of before
                try:
                    sent = yield item
                except GeneratorExit:
                    closing = Steps(form, invocation, context, active_ns)
                    try:
                        closing.run(inner.close)
                    finally:
                        active_ns = closing.active_ns
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
            inner = step = onward = None  # its frame may hold the invocation
            operation.running.discard(invocation)
            alone = refs(invocation) == INVOCATION_REFS and refs(context) == CONTEXT_REFS
            close_invocation(form, invocation, error, active_ns, thrown, alone=alone)
            del error, thrown  # the frame would keep its own exception alive

    return call


def _references() -> tuple[int, int]:
    """How often the frame of a wrapper and a context hold an invocation, and the frame a context; as `spare.py` counts them."""
    refs = sys.getrefcount
    invocation = Invocation()
    context = Context({SPAN_KEY: invocation, INVOCATION_KEY: invocation})
    return refs(invocation), refs(context)


INVOCATION_REFS, CONTEXT_REFS = _references()  # of what nobody but a wrapper holds


@unseen
def observe_async_generator(
    form: Form, function: Callable[..., Any], skip: int = 0
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """The observed form of an async generator function, given what `observe_generator` is."""
    current = context_access()[0]

    async def call(args: tuple[Any, ...], kwargs: dict[str, Any], rest: Rest | None = None) -> AsyncGenerator[Any, Any]:
        operation = form.operation  # what a thread that looks at this frame from outside finds by name
        opening = open_invocation_async(form, current(), args[skip:], kwargs) if rest is None else rest.open_async()
        invocation, context, refusal = await opening
        if refusal is not None:
            instead = form.refuse(invocation, refusal, None if rest is None else rest.attempt)
            if instead is None:
                raise form.as_error(refusal)
            answers = instead.answer_async_steps(args[skip:], kwargs)
            taken = first_step(answers)
            while True:
                try:
                    item = await taken
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    await answers.aclose()
                    raise
                except BaseException as given:  # noqa: BLE001 - as for plain generators
                    taken = answers.athrow(given)
                else:
                    taken = answers.asend(sent)
        if invocation is None or context is None:
            async for item in function(*args, **kwargs):
                yield item
            return
        # `yield from` does not exist for these: the steps are handed on one by one, as those of plain generators are.
        invocation.duration_ns = STEPWISE_NS
        steps = Steps(form, invocation, context) if rest is None else rest.steps()
        error = thrown = None
        try:
            inner = function(*args, **kwargs)
            step = functools.partial(first_step, inner)
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
            del operation, error, thrown  # the frame would keep its own exception alive

    return call
