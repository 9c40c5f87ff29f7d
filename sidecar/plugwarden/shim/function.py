"""The hot path: a plain function, observed.

Written out straight, without helpers, because a call of a helper costs as much as the work it would do; what is rare
(`special`: a guarded or sampled call) goes through `admission` and `settlement`. The order of the steps matters: whatever
can fail before the plugin runs is undone by `Operation.fault`, and a result or exception once there is never replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import thread_time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from plugwarden import admission, settlement
from plugwarden.invocation import INVOCATION_KEY, SPAN_KEY, Invocation, adopt, context_access
from plugwarden.operation import NEVER_NS

from .codes import unseen
from .doorway import ANSWERED, PASSED, doorway
from .later import runs_later
from .spare import CONTEXT_REFS, INVOCATION_REFS, Pair

if TYPE_CHECKING:
    from .doorway import Doorway
    from .form import Form

__all__ = ["observe_function"]


@unseen
def observe_function(form: Form, function: Callable[..., Any], skip: int = 0) -> Callable[..., Any]:
    """The observed form of a plain function."""
    operation = form.operation
    current, attach, detach = context_access()
    clock, cpu_clock = operation.clock, thread_time_ns
    running = operation.running
    enter, leave = running.add, running.discard
    refs = sys.getrefcount
    spare: Pair | None = None
    usual: type = type(None)  # the kind of result seen last that is all there is to a call
    door = doorway(operation, function, *_ways_out(form, skip))
    through = None if door is None else door.call

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal spare, usual
        if through is not None:
            done = through(args, kwargs)
            if done is not PASSED:
                if done is not ANSWERED:
                    return done
                return form.answer(args[skip:], kwargs)
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
                refusal = admission.decide(operation, invocation)
            if refusal is None and not nested:
                enter(invocation)
                if len(running) > operation.limit:
                    refusal = admission.squeeze_in(operation, invocation)
            if refusal is None:
                if special and operation.inspects:
                    admission.look_at(operation, invocation, args[skip:], kwargs, form)
                invocation.started_ns = started = clock()
                if operation.timeout_ns:
                    invocation.deadline_ns = min(started + operation.timeout_ns, invocation.deadline_ns or NEVER_NS)
                token = attach(context)
                cpu = -1
                if sampled:
                    invocation.overhead_ns = started - entered
                    cpu = cpu_clock()
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
            return instead.answer(args[skip:], kwargs)
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
                answered = settlement.failed(operation, invocation, error, ended, cpu, form)
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
                    overrun = settlement.settle(operation, invocation, result, ended, cpu, form)
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
        return form.answer(args[skip:], kwargs)  # failed() said that there is a fallback

    return call


@unseen
def _ways_out(form: Form, skip: int) -> tuple[Callable[..., Any], Callable[..., bool]]:
    """How a call that went through a doorway ends where it is more than a plain success of a known kind."""
    operation = form.operation

    def finish(
        door: Doorway, invocation: Invocation, context: Context, held: list[Any], args: Any, kwargs: Any, ended: int
    ) -> Any:
        result = held.pop()  # from here on it is this frame's alone, as `runs_later` has it
        overrun = None
        try:
            if operation.waiting:
                operation.release(invocation)
            if invocation.child_errors is not None:
                invocation.child_errors = None  # they would keep their frames alive
            resume = runs_later(type(result))
            if resume is None:
                door.know(type(result))
            elif rest := resume(form, invocation, context, result, args[skip:], kwargs):
                return rest[0]
            if invocation.duration_ns > operation.limit_ns:
                overrun = settlement.settle(operation, invocation, result, ended, -1, form)
            else:
                settlement.succeeded(operation, invocation, ended)
        except Exception:  # noqa: BLE001 - as above
            operation.faults += 1
        if overrun is None:
            return result
        raise overrun

    def fail(invocation: Invocation, error: BaseException, ended: int) -> bool:
        if operation.waiting:
            operation.release(invocation)
        return settlement.failed(operation, invocation, error, ended, -1, form)

    return finish, fail
