"""The hot path: a plain function, observed.

Written out straight, without helpers, because a call of a helper costs as much as the work it would do; what is rare
(`special`: a guarded or sampled call) goes through `Operation`. The order of the steps matters: whatever can fail
before the plugin runs is undone by `Operation.fault`, and a result or exception once there is never replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns
from typing import Any

from opentelemetry.context import Context

from plugwarden.invocation import INVOCATION_KEY, SPAN_KEY, Invocation, adopt, context_access
from plugwarden.operation import NEVER_NS, Operation

__all__ = ["observe_function"]


def observe_function(operation: Operation, function: Callable[..., Any]) -> Callable[..., Any]:
    """The observed form of a plain function."""
    current, attach, detach = context_access()
    clock, cpu_clock = perf_counter_ns, thread_time_ns
    running = operation.running
    enter, leave = running.add, running.discard

    def call(*args: Any, **kwargs: Any) -> Any:
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
                refusal = operation.decide(invocation)
            if refusal is None and not nested:
                enter(invocation)
                if len(running) > operation.limit:
                    refusal = operation.squeeze_in(invocation)
            if refusal is None:
                if operation.inspects:
                    operation.look_at(invocation, args, kwargs)
                invocation.started_ns = started = clock()
                if operation.timeout_ns:
                    invocation.deadline_ns = min(started + operation.timeout_ns, invocation.deadline_ns or NEVER_NS)
                token = attach(context)
                if sampled:
                    invocation.overhead_ns = started - entered
                cpu = cpu_clock() if sampled else -1
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
            return operation.fallback.answer(args, kwargs)  # type: ignore[union-attr]  # refuse() said that there is one
        if invocation is None:
            return function(*args, **kwargs)
        overrun = None
        try:
            result = function(*args, **kwargs)
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
                answered = operation.failed(invocation, error, ended, cpu)
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
                    overrun = operation.settle(invocation, result, ended, cpu)
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
        return operation.fallback.answer(args, kwargs)  # type: ignore[union-attr]  # failed() said that there is one

    return call
