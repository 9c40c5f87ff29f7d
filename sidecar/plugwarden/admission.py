"""Whether a call may run now, and how it waits for a place; what the host keeps of its arguments.

Asked for calls about which there is something to decide; the others pass straight through (shim/function.py).
"""

from __future__ import annotations

from typing import Any

from plugwarden import settlement
from plugwarden.contract import ErrorSource, Outcome, RejectionReason
from plugwarden.gate import BulkheadPolicy
from plugwarden.gate.refusal import Refusal
from plugwarden.inspection import is_a
from plugwarden.invocation import Invocation
from plugwarden.operation import Operation
from plugwarden.settlement import Form

__all__ = ["decide", "look_at", "squeeze_in", "squeeze_in_async", "within_itself"]


def decide(operation: Operation, invocation: Invocation) -> Refusal | None:
    """Whether a call may run now; takes a probe of a half-open breaker and a token of the rate limit."""
    for rule in operation.rules:
        if rule.tenant is not None and rule.tenant != invocation.tenant:
            continue
        if rule.share_ratio < 1.0 and (rule.share_ratio == 0.0 or operation.chance() >= rule.share_ratio):
            return Refusal(rule.reason, rule.explanation, rule.directive_id, version_alone=rule.version_alone)
        invocation.admitted_by = rule.directive_id
        break  # the most specific rule decides
    now_ns = operation.clock()
    if 0 < invocation.deadline_ns <= now_ns:
        return Refusal(RejectionReason.DEADLINE_EXCEEDED, "the deadline of a call further up has passed")
    now = now_ns / 1e9
    if operation.cpu_quota is not None and (wait := operation.cpu_quota.exceeded(now)):
        share = f"{operation.cpu_quota.share:g} CPU seconds a second are used up"
        return Refusal(RejectionReason.QUOTA_EXCEEDED, share, None, wait)
    breaker = operation.breaker
    if breaker is not None and breaker.refusing:
        admitted = breaker.admit(now)
        if admitted is None:
            wait_seconds = breaker.retry_after_seconds(now)
            why = f"the breaker is {breaker.state.word}"
            return Refusal(RejectionReason.CIRCUIT_OPEN, why, None, wait_seconds)
        if admitted:
            invocation.probe = admitted
    if operation.rate is not None and (wait := operation.rate.take(now)):
        operation.give_back(invocation)
        allowed = f"more than {operation.rate.policy.calls_per_second:g} calls a second"
        return Refusal(RejectionReason.RATE_LIMITED, allowed, None, wait)
    return None


def squeeze_in(operation: Operation, invocation: Invocation) -> Refusal | None:
    """There are more calls than places: wait for one, as far as the bulkhead's queue allows."""
    bulkhead = operation.bulkhead
    if bulkhead is None:
        return None
    began = operation.clock()
    try:
        admitted = bulkhead.enter(invocation, _patience_seconds(operation, invocation, began))
    except BaseException as error:
        _cut_short(operation, invocation, error, began)
        raise
    return _squeezed(operation, invocation, admitted, began, bulkhead.policy)


async def squeeze_in_async(operation: Operation, invocation: Invocation) -> Refusal | None:
    """The same without blocking the loop."""
    bulkhead = operation.bulkhead
    if bulkhead is None:
        return None
    began = operation.clock()
    try:
        admitted = await bulkhead.enter_async(invocation, _patience_seconds(operation, invocation, began))
    except BaseException as error:
        _cut_short(operation, invocation, error, began)
        raise
    return _squeezed(operation, invocation, admitted, began, bulkhead.policy)


def _cut_short(operation: Operation, invocation: Invocation, error: BaseException, began: int) -> None:
    """Record a wait for a place that its caller ended. An `Exception` is a fault of ours, and the call goes on."""
    if is_a(error, Exception):
        return
    invocation.started_ns, invocation.duration_ns = began, operation.clock() - began
    invocation.enforced = True
    invocation.outcome, invocation.source = Outcome.CANCELLED, ErrorSource.CALLER
    settlement.failed(operation, invocation, error, operation.clock())
    invocation.probe = 0  # it is given back


def _squeezed(
    operation: Operation, invocation: Invocation, admitted: bool, began: int, policy: BulkheadPolicy
) -> Refusal | None:
    if admitted:
        invocation.queued_ns = operation.clock() - began
        return None
    operation.give_back(invocation)
    why = f"{policy.concurrent} calls run and {len(operation.waiting)} wait"
    return Refusal(RejectionReason.BULKHEAD_FULL, why)


def _patience_seconds(operation: Operation, invocation: Invocation, now_ns: int) -> float:
    deadlines = [
        at for at in (invocation.deadline_ns, now_ns + operation.timeout_ns if operation.timeout_ns else 0) if at
    ]
    return max(0.0, (min(deadlines) - now_ns) / 1e9) if deadlines else float("inf")


def within_itself(operation: Operation, invocation: Invocation) -> bool:
    """A call inside a call of the same operation would wait for itself, so it takes no place."""
    if operation.bulkhead is None:
        return False
    above = invocation.parent
    while type(above) is Invocation:
        if (
            above.operation is operation and above in operation.running
        ):  # what has ended holds no place that would do for two
            return True
        above = above.parent
    return False


def look_at(
    operation: Operation, invocation: Invocation, args: tuple[Any, ...], kwargs: dict[str, Any], form: Form
) -> None:
    """Keep what the host asked to keep of the arguments of this form."""
    capture = form.declaration.capture
    if capture is not None:
        try:
            invocation.set_attributes(capture(*args, **kwargs))
        except Exception:  # noqa: BLE001 - the host's own function must not change what the caller gets
            operation.faults += 1
