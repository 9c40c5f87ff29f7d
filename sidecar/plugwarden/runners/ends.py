"""How a call ends that its runner stopped, or had nothing to run in."""

from __future__ import annotations

from plugwarden.contract import ErrorSource, Outcome, RejectionReason
from plugwarden.errors import CallNotPermitted, DeadlineExceeded
from plugwarden.gate.refusal import Refusal
from plugwarden.invocation import Invocation
from plugwarden.operation import Operation

__all__ = ["no_room", "timed_out"]


def timed_out(operation: Operation, invocation: Invocation, explanation: str) -> DeadlineExceeded:
    """Mark an invocation that a runner stopped, or gave up on, at its deadline; return the error for the caller."""
    invocation.outcome = Outcome.TIMEOUT
    return DeadlineExceeded(operation.scope, explanation)


def no_room(operation: Operation, invocation: Invocation | None, explanation: str) -> CallNotPermitted:
    """Mark an invocation that a runner had nothing to run in; return the error for the caller."""
    refusal = Refusal(RejectionReason.CAPACITY, explanation)
    if invocation is not None:
        invocation.outcome, invocation.source = Outcome.REJECTED, ErrorSource.HOST
        invocation.rejection = invocation.error_type = refusal.reason.value
    return refusal.as_error(operation.scope)
