"""The beginning and the end of an invocation, for everything that is not on the hot path."""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context

from plugwarden import admission, settlement
from plugwarden.contract import ErrorSource, Outcome
from plugwarden.gate.refusal import Refusal
from plugwarden.inspection import is_a
from plugwarden.invocation import Invocation, begin, context_access
from plugwarden.operation import CPU_SAMPLE_MASK, Operation
from plugwarden.settlement import NOTHING

from .form import Form

__all__ = ["Opened", "begin_misused", "close_invocation", "open_invocation", "open_invocation_async"]

Opened = tuple[Invocation | None, Context | None, Refusal | None]
"""The invocation and the context to run it in; or why it must not run; or nothing of them: it runs unobserved."""


def open_invocation(
    form: Form, outer: Context, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
) -> Opened:
    """Decide on a call and begin it under the current span of `outer`. Waits in the bulkhead's queue."""
    operation, invocation = form.operation, None
    try:
        invocation, context = begin(operation, 0, outer)
        refusal = _decide(operation, invocation)
        if refusal is None and len(operation.running) > operation.limit:
            refusal = admission.squeeze_in(operation, invocation)
        return _begun(form, invocation, context, refusal, args, kwargs)
    except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
        return None, None, operation.fault(invocation)
    except BaseException:  # interrupted at the threshold: no place may stay taken
        operation.withdraw(invocation)
        raise


async def open_invocation_async(form: Form, outer: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opened:
    """The same without blocking the loop while it waits."""
    operation, invocation = form.operation, None
    try:
        invocation, context = begin(operation, 0, outer)
        refusal = _decide(operation, invocation)
        if refusal is None and len(operation.running) > operation.limit:
            refusal = await admission.squeeze_in_async(operation, invocation)
        return _begun(form, invocation, context, refusal, args, kwargs)
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
        refusal = admission.decide(operation, invocation)
    if refusal is None and not (operation.running and admission.within_itself(operation, invocation)):
        operation.running.add(invocation)
    return refusal


def _begun(
    form: Form,
    invocation: Invocation,
    context: Context,
    refusal: Refusal | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Opened:
    if refusal is not None:
        return invocation, None, refusal
    operation = form.operation
    if operation.inspects:
        admission.look_at(operation, invocation, args, kwargs or {}, form)
    invocation.started_ns = operation.clock()
    return invocation, context, None


def close_invocation(
    form: Form,
    invocation: Invocation,
    error: BaseException | None,
    active_ns: int,
    thrown: BaseException | None = None,
    *,
    alone: bool = False,
) -> None:
    """Record the end of what `open_invocation` began. `thrown` is what the consumer threw in last: if that is what comes
    back, it is none of the plugin's making. `alone`: nobody but the caller holds the invocation or its context."""
    operation = form.operation
    try:
        operation.release(invocation)
        invocation.duration_ns = active_ns
        invocation.deadline_ns = 0
        ended = operation.clock()
        if error is not None:
            if error is thrown and is_a(error, Exception):
                invocation.enforced = True
                invocation.outcome, invocation.source = Outcome.ERROR, ErrorSource.CALLER
            settlement.failed(operation, invocation, error, ended, -1, form, final=True)
            return
        if invocation.more is not None and invocation.child_errors is not None:
            invocation.child_errors = None
        if operation.guarded or active_ns > operation.limit_ns:
            settlement.settle(operation, invocation, NOTHING, ended, -1, form, keep=False)
            return
        settlement.record(operation, invocation, ended, alone=alone)
    except Exception:  # noqa: BLE001 - as above
        operation.faults += 1


def begin_misused(form: Form, error: TypeError) -> None:
    """Count a call with arguments that the plugin does not take: it failed before anything could begin."""
    operation = form.operation
    try:
        invocation, _ = begin(operation, operation.clock(), context_access()[0]())
        operation.calls += 1
        close_invocation(form, invocation, error, 0)
    except Exception:  # noqa: BLE001 - as above
        operation.faults += 1
