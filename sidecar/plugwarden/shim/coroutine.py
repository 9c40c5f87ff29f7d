"""A coroutine function, observed: cancelled at its deadline, its own CPU time told apart from other tasks'."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from opentelemetry.context import Context

from plugwarden import admission, settlement
from plugwarden.invocation import INVOCATION_KEY, SPAN_KEY, Invocation, adopt, context_access
from plugwarden.operation import NEVER_NS, Operation

from .codes import unseen
from .deadline import within_deadline
from .form import Form
from .later import runs_later
from .metering import metered
from .spare import CONTEXT_REFS, INVOCATION_REFS, Pair

__all__ = ["observe_coroutine"]


@unseen
def observe_coroutine(
    form: Form, function: Callable[..., Any], skip: int = 0
) -> Callable[[tuple[Any, ...], dict[str, Any]], Coroutine[Any, Any, Any]]:
    """The observed form of a coroutine function, given its arguments as a tuple and a dictionary. The same steps as for a
    plain function, see there."""
    operation = form.operation
    current, attach, detach = context_access()
    clock = operation.clock
    running = operation.running
    enter, leave = running.add, running.discard
    refs = sys.getrefcount
    spare: Pair | None = None
    usual: type = type(None)  # as for a plain function

    async def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal spare, usual
        invocation = None
        try:
            refusal = None
            tick = operation.calls
            operation.calls = tick + 1
            special = sampled = not tick & operation.sample_mask
            entered = clock() if sampled else 0
            outer = current()
            if outer:
                invocation = Invocation()
                invocation.operation = operation
                invocation.ids = invocation.more = None
                context = adopt(invocation, outer)
                nested = admission.within_itself(operation, invocation) if running else False
                special = special or operation.guarded or invocation.deadline_ns != 0
            else:
                pair, spare = spare, None  # in one step: no other thread may come in between
                if pair is None:
                    invocation = Invocation()
                    invocation.operation = operation
                    invocation.ids = invocation.more = invocation.parent = None
                    invocation.let_go = False
                    invocation.deadline_ns = 0
                    context = Context({SPAN_KEY: invocation, INVOCATION_KEY: invocation})
                    pair = invocation, context
                else:
                    invocation, context = pair
                nested = False
                special = special or operation.guarded
            if special:
                operation.attend()
                operation.watch(operation)
                refusal = admission.decide(operation, invocation)
            if refusal is None and not nested:
                enter(invocation)
                if len(running) > operation.limit:
                    refusal = await admission.squeeze_in_async(operation, invocation)
            if refusal is None:
                if operation.inspects:
                    admission.look_at(operation, invocation, args[skip:], kwargs, form)
                invocation.started_ns = started = clock()
                if operation.timeout_ns:
                    invocation.deadline_ns = min(started + operation.timeout_ns, invocation.deadline_ns or NEVER_NS)
                token = attach(context)
                if sampled:
                    invocation.overhead_ns = started - entered
        except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
            leave(invocation)
            refusal = operation.fault(invocation)
            if refusal is None:
                invocation = None
        except BaseException:  # interrupted at the threshold: no place may stay taken
            leave(invocation)
            operation.withdraw(invocation)
            raise
        if refusal is not None:
            instead = form.refuse(invocation, refusal)
            if instead is None:
                raise form.as_error(refusal)
            return await instead.answer_async(args[skip:], kwargs)
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
                answered = settlement.failed(operation, invocation, error, ended, -1, form)
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
                if type(result) is not usual:
                    resume = runs_later(type(result))
                    if resume is not None and (rest := resume(form, invocation, context, result, args[skip:], kwargs)):
                        return rest[0]
                    if resume is None:
                        usual = type(result)
                if special or took > operation.limit_ns:
                    overrun = settlement.settle(operation, invocation, result, ended, -1, form)
                else:
                    breaker = operation.breaker
                    if breaker is not None:
                        if ended >= breaker.slot_ends_ns:
                            breaker.turn(ended)
                        breaker.calls += 1
                    # What nobody holds and nobody asked for its ids (in this order: who lets go of it has asked before)
                    # leaves its duration alone; a span is made of the share that is kept, and of the slowest.
                    if outer:
                        if (
                            invocation.let_go
                            and operation.keep_at >= 0
                            and invocation.ids is None
                            and invocation.more is None
                        ):
                            operation.count(took)
                        else:
                            operation.append(invocation)
                    elif (
                        operation.keep_at < 0
                        or refs(invocation) != INVOCATION_REFS
                        or refs(context) != CONTEXT_REFS
                        or invocation.ids is not None
                        or invocation.more is not None
                    ):
                        operation.append(invocation)
                    elif tick >= operation.keep_at:
                        operation.keep(invocation, tick)
                    elif took > operation.slowest_ns:
                        operation.slowest_ns = took
                        operation.append(invocation)
                    else:
                        operation.count(took)
                        spare = pair
            except Exception:  # noqa: BLE001 - as above
                operation.faults += 1
            if overrun is None:
                return result
            raise overrun
        return await form.answer_async(args[skip:], kwargs)

    return call


@unseen
async def _special(operation: Operation, invocation: Invocation, work: Any, sampled: bool) -> Any:
    """Metered if this call is among those measured, and cancelled at the deadline if there is one."""
    if sampled and inspect.iscoroutine(work):
        work = metered(work, invocation)
    return await (within_deadline(invocation, work) if invocation.deadline_ns else work)
