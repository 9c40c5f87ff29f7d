"""A coroutine function, observed: cancelled at its deadline, its own CPU time told apart from other tasks'."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import Callable, Coroutine, Generator
from time import perf_counter_ns, thread_time_ns
from typing import Any

from opentelemetry.context import Context

from plugwarden.contract import Outcome
from plugwarden.invocation import INVOCATION_KEY, SPAN_KEY, Invocation, adopt, context_access
from plugwarden.operation import NEVER_NS, Operation

__all__ = ["observe_coroutine"]


def observe_coroutine(operation: Operation, function: Callable[..., Any]) -> Callable[..., Any]:
    """The observed form of a coroutine function. The same steps as for a plain function, see there."""
    current, attach, detach = context_access()
    clock = perf_counter_ns
    running = operation.running
    enter, leave = running.add, running.discard

    async def call(*args: Any, **kwargs: Any) -> Any:
        invocation = None
        try:
            invocation = Invocation()
            invocation.operation = operation
            invocation.ids = invocation.more = refusal = None
            tick = operation.calls
            operation.calls = tick + 1
            special = sampled = not tick & operation.sample_mask
            entered = clock() if sampled else 0
            outer = current()
            if outer:
                context = adopt(invocation, outer)
                nested = operation.within_itself(invocation)
                special = special or operation.guarded or invocation.deadline_ns != 0
            else:
                invocation.parent = None
                invocation.deadline_ns = 0
                nested = False
                context = Context({SPAN_KEY: invocation, INVOCATION_KEY: invocation})
                special = special or operation.guarded
            if special:
                operation.attend()
                operation.watch(operation)
                refusal = operation.decide(invocation)
            if refusal is None and not nested:
                enter(invocation)
                if len(running) > operation.limit:
                    refusal = await operation.squeeze_in_async(invocation)
            if refusal is None:
                if operation.inspects:
                    operation.look_at(invocation, args, kwargs)
                invocation.started_ns = started = clock()
                if operation.timeout_ns:
                    invocation.deadline_ns = min(started + operation.timeout_ns, invocation.deadline_ns or NEVER_NS)
                token = attach(context)
                if sampled:
                    invocation.overhead_ns = started - entered
        except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
            leave(invocation)
            refusal = operation.fault()
            if refusal is None:
                invocation = None
        except BaseException:  # interrupted at the threshold: no place may stay taken
            leave(invocation)
            raise
        if refusal is not None:
            if not operation.refuse(invocation, refusal):
                raise refusal.as_error(operation.scope)
            return await operation.fallback.answer_async(args, kwargs)  # type: ignore[union-attr]
        if invocation is None:
            return await function(*args, **kwargs)
        overrun = None
        try:
            if special or invocation.deadline_ns:
                result = await _special(operation, invocation, function(*args, **kwargs), sampled)
            else:
                result = await function(*args, **kwargs)
        except BaseException as error:
            ended = clock()
            leave(invocation)
            invocation.deadline_ns = 0  # what it started and did not wait for is not bound by it any more
            answered = False
            try:
                detach(token)
            except ValueError:
                pass  # torn down in another context than it ran in: there is nothing to restore in this one
            try:
                invocation.duration_ns = ended - started
                if operation.waiting:
                    operation.release(invocation)
                answered = operation.failed(invocation, error, ended)
            except Exception:  # noqa: BLE001 - no room on the stack for us, for one
                operation.faults += 1
            if not answered:
                raise
        else:
            try:
                ended = clock()
                invocation.duration_ns = took = ended - started
                leave(invocation)
                invocation.deadline_ns = 0
                if operation.waiting:
                    operation.release(invocation)
                detach(token)
                if invocation.more is not None and invocation.child_errors is not None:
                    invocation.child_errors = None  # they would keep their frames alive
                if special or took > operation.limit_ns:
                    overrun = operation.settle(invocation, result, ended)
                else:
                    breaker = operation.breaker
                    if breaker is not None:
                        if ended >= breaker.slot_ends_ns:
                            breaker.turn(ended)
                        breaker.calls += 1
                    operation.append(invocation)
            except Exception:  # noqa: BLE001 - as above
                operation.faults += 1
            if overrun is None:
                return result
            raise overrun
        return await operation.fallback.answer_async(args, kwargs)  # type: ignore[union-attr]

    return call


_SAME_MOMENT_NS = 1_000_000
"""Timers of one loop that are due together may run this far apart."""


async def _special(operation: Operation, invocation: Invocation, work: Any, sampled: bool) -> Any:
    """Metered if this call is among those measured, and cancelled at the deadline if there is one."""
    if sampled and inspect.iscoroutine(work):
        work = _metered(work, invocation)
    deadline_ns = invocation.deadline_ns
    if not deadline_ns or asyncio._get_running_loop() is None:
        return await work  # nothing can be cancelled on another library's loop: the deadline is only measured
    timeout = asyncio.timeout(max(0.0, (deadline_ns - perf_counter_ns()) / 1e9))
    try:
        async with timeout:
            return await work
    except TimeoutError:
        if timeout.expired():
            invocation.outcome = Outcome.TIMEOUT
        raise
    except asyncio.CancelledError:
        # A caller with the same deadline may have been first to cancel; it is this call's deadline all the same.
        if perf_counter_ns() >= deadline_ns - _SAME_MOMENT_NS:
            invocation.outcome = Outcome.TIMEOUT
        raise


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
