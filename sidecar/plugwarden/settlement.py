"""How a call that is over, or does not run, is judged and recorded; plain successes do without (shim/function.py)."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time_ns
from typing import Any, Protocol

from plugwarden.contract import BreakerState, ErrorSource, Outcome, RejectionReason
from plugwarden.declaration import Declaration
from plugwarden.errors import QuotaExceeded
from plugwarden.fallback import FAILED, REFUSED, TIMED_OUT, LastGood
from plugwarden.gate.refusal import REFUSALS, Refusal
from plugwarden.inspection import is_a, type_name
from plugwarden.invocation import Failure, Invocation, current_invocation
from plugwarden.operation import Operation
from plugwarden.outcomes import blame

__all__ = ["NOTHING", "Form", "failed", "record", "refuse", "settle", "succeeded"]

NOTHING: Any = object()
"""In a result's place where there is none, as at the end of a generator: no predicate is asked about it."""
_UNJUDGED = frozenset({Outcome.CANCELLED, Outcome.REJECTED})
"""Outcomes that say nothing about the plugin."""


class Form(Protocol):
    """One wrapped form of it (shim/form.py): what was said of this one, and whose fallback may stand in."""

    @property
    def declaration(self) -> Declaration: ...
    @property
    def keepers(self) -> tuple[LastGood, ...]: ...
    def enter(self, occasion: str) -> bool: ...
    def leave(self) -> None: ...


def settle(
    operation: Operation,
    invocation: Invocation,
    result: Any,
    ended_ns: int,
    cpu_started_ns: int,
    form: Form,
    *,
    keep: bool = True,
) -> QuotaExceeded | None:
    """Record a call of `form` that returned, `NOTHING` where it is over without a result. Return the error to raise where its
    result is larger than allowed. `keep`: whether a good result may be answered again."""
    overrun = None
    _spend(operation, invocation, ended_ns, cpu_started_ns)
    try:
        overrun = _judge(operation, invocation, result, form, keep)
    except Exception:  # noqa: BLE001 - whatever its result is made of, the call is counted
        operation.faults += 1
    _tell_breaker(operation, invocation, result, ended_ns)
    operation.append(invocation)
    return overrun


def _spend(operation: Operation, invocation: Invocation, ended_ns: int, cpu_started_ns: int) -> None:
    """Note the CPU time of a call that was measured from `cpu_started_ns` on, below 0: was not; it counts against the quota."""
    if cpu_started_ns >= 0 and invocation.cpu_ns < 0:
        invocation.cpu_ns = thread_time_ns() - cpu_started_ns
    if operation.cpu_quota is not None and invocation.cpu_ns > 0:
        operation.cpu_quota.spend(invocation.cpu_ns / 1e9, ended_ns / 1e9)


def _judge(operation: Operation, invocation: Invocation, result: Any, form: Form, keep: bool) -> QuotaExceeded | None:
    """Whether a result is as good as it looks."""
    failed_result, overrun = form.declaration.failed_result, None
    quota = operation.declaration.quota
    if quota is not None and quota.output_bytes is not None and _size(result) > quota.output_bytes:
        overrun = QuotaExceeded(operation.scope, "output_bytes", f"{_size(result)} of {quota.output_bytes} bytes")
        invocation.outcome, invocation.source = Outcome.ERROR, ErrorSource.QUOTA
        invocation.error_type = "output_bytes"
    elif failed_result is not None and (source := _source_of(operation, failed_result, result)):
        invocation.outcome, invocation.source = Outcome.ERROR, source
        invocation.error_type = "failed_result"
    elif operation.timeout_ns and invocation.duration_ns > operation.timeout_ns:
        # It could not be stopped, and its result still goes to the caller; but the deadline it declared is broken.
        invocation.outcome, invocation.source = Outcome.TIMEOUT, ErrorSource.PLUGIN
        invocation.error_type = "timeout"
    elif keep:
        for keeper in form.keepers:
            keeper.keep(result)
    return overrun


def _size(result: Any) -> int:
    """Bytes, or characters of a text, as they are stored: what a class of the plugin's says of its length is not asked."""
    kind = type(result)
    if kind is memoryview:
        try:
            return int(result.nbytes)
        except ValueError:
            return 0  # it was released
    for known in (bytes, bytearray, str):
        if issubclass(kind, known):
            return known.__len__(result)
    return 0


def _source_of(
    operation: Operation, failed_result: Callable[[Any], bool | ErrorSource], result: Any
) -> ErrorSource | None:
    """Whose failure a returned value is; None: it is none."""
    if result is NOTHING:
        return None
    try:
        said = failed_result(result)
        return said if type(said) is ErrorSource else ErrorSource.PLUGIN if said else None
    except Exception:  # noqa: BLE001 - a predicate of the host's must not change what the caller gets
        operation.faults += 1
        return None


def _tell_breaker(operation: Operation, invocation: Invocation, outcome: Any, ended_ns: int) -> None:
    breaker = operation.breaker
    if breaker is None:
        return
    policy = breaker.policy
    unjudged = invocation.outcome in _UNJUDGED or invocation.source is ErrorSource.CALLER
    if unjudged or (policy.ignore is not None and _says(operation, policy.ignore, outcome)):
        operation.give_back(invocation)
        return
    failed = invocation.outcome is not Outcome.SUCCESS
    if policy.record is not None and invocation.outcome is not Outcome.TIMEOUT:
        failed = _says(operation, policy.record, outcome)
    slow = invocation.duration_ns > operation.slow_ns
    if failed:
        operation.failing_source = invocation.source
    breaker.record(failed, ended_ns / 1e9, invocation.probe, slow=slow)


def _says(operation: Operation, predicate: Callable[[Any], bool], outcome: Any) -> bool:
    if outcome is NOTHING:
        return False
    try:
        return bool(predicate(outcome))
    except Exception:  # noqa: BLE001 - a predicate of the host's must not change what the caller gets
        operation.faults += 1
        return False


def failed(
    operation: Operation,
    invocation: Invocation,
    error: BaseException,
    ended_ns: int,
    cpu_started_ns: int = -1,
    form: Form | None = None,
    *,
    final: bool = False,
) -> bool:
    """Record a call of `form` that raised, None: of none; True when its fallback answers, whose place is then taken. `final`:
    nothing could stand in."""
    answered = False
    try:
        _spend(operation, invocation, ended_ns, cpu_started_ns)
        interrupt = None
        try:
            _explain(operation, invocation, error, operation.declaration if form is None else form.declaration)
        except BaseException as other:  # noqa: BLE001 - raised again below: it may be a real Ctrl-C
            interrupt = None if is_a(other, Exception) else other
            operation.faults += 1
            if invocation.outcome is Outcome.SUCCESS:
                invocation.outcome, invocation.source = Outcome.ERROR, ErrorSource.PLUGIN
                invocation.error_type = type_name(type(error))
        timed_out, rejected = invocation.outcome is Outcome.TIMEOUT, invocation.rejection is not None
        if invocation.child_errors is not None:
            invocation.child_errors = None  # they would keep their frames alive
        occasion = TIMED_OUT if timed_out else REFUSED if rejected else FAILED
        # What is the caller's own, a 404 or the end of an iteration, is the answer: nothing may stand in its place.
        answerable = not final and interrupt is None and is_a(error, Exception)
        answerable = answerable and (timed_out or invocation.source is not ErrorSource.CALLER)
        invocation.fallback = answered = answerable and form is not None and form.enter(occasion)
        _tell_breaker(operation, invocation, error, ended_ns)
        operation.append(invocation)
        if interrupt is not None:
            raise interrupt
        operation.attend()
    except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
        operation.faults += 1
        if answered and form is not None:
            form.leave()
        return False
    return answered


def _explain(operation: Operation, invocation: Invocation, error: BaseException, declaration: Declaration) -> None:
    """What it was, and who is to blame. Looks into an exception of the plugin's making, which may do anything."""
    if invocation.rejection is not None:
        return  # the plugin did not run
    if type(error) in REFUSALS:
        error.ended_a_call = True  # type: ignore[attr-defined]
    _tell_parent(invocation, error)
    operation.details_left -= 1
    invocation.failure = failure = Failure(error, detailed=operation.details_left >= 0)
    if invocation.enforced:
        invocation.error_type = invocation.error_type or failure.type_name
        return
    timed_out = invocation.outcome is Outcome.TIMEOUT
    outcome, invocation.source = blame(declaration, invocation, error)
    if timed_out and outcome is Outcome.CANCELLED and _used_most(invocation):
        invocation.source = ErrorSource.PLUGIN
    invocation.outcome = Outcome.TIMEOUT if timed_out else outcome
    timed_out = invocation.outcome is Outcome.TIMEOUT
    invocation.error_type = "timeout" if timed_out else failure.type_name


def _tell_parent(invocation: Invocation, error: BaseException) -> None:
    """Let the enclosing invocation know whose exception reaches it, so that it is not blamed for a nested plugin."""
    parent = current_invocation()
    if parent is not None and parent is not invocation:
        parent.note_child_error(error)


def _used_most(invocation: Invocation) -> bool:
    """Whether a call that was cut short by its caller's deadline is what the caller's time went into."""
    above = invocation.parent
    if type(above) is not Invocation:
        return False
    return 2 * invocation.duration_ns > invocation.started_ns + invocation.duration_ns - above.started_ns


def refuse(operation: Operation, invocation: Invocation, refusal: Refusal, *, answered: bool) -> bool:
    """Record a call that did not run; False where that failed. `answered`: whether something answers in its place."""
    try:
        invocation.started_ns = operation.clock()
        invocation.duration_ns = 0
        invocation.outcome = Outcome.REJECTED
        invocation.rejection = invocation.error_type = refusal.reason.value
        if refusal.reason is RejectionReason.CIRCUIT_OPEN:
            # It is refused for what made the calls before it fail, or by a person's hand.
            forced = operation.breaker is not None and operation.breaker.state is BreakerState.FORCED_OPEN
            invocation.source = ErrorSource.HOST if forced else operation.failing_source
        invocation.admitted_by = refusal.directive_id
        invocation.fallback = answered
        operation.append(invocation)
        operation.attend()
    except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
        operation.faults += 1
        return False
    return True


def succeeded(operation: Operation, invocation: Invocation, ended_ns: int) -> None:
    """Record a call that returned with nothing to look at, and of which a span may be made."""
    _count(operation, ended_ns)
    operation.append(invocation)


def _count(operation: Operation, ended_ns: int) -> None:
    """Count a plain success for the breaker."""
    breaker = operation.breaker
    if breaker is not None:
        if ended_ns >= breaker.slot_ends_ns:
            breaker.turn(ended_ns)
        breaker.calls += 1


def record(operation: Operation, invocation: Invocation, ended_ns: int, *, alone: bool) -> None:
    """Record a plain success, as `function.py` does on its own. `alone`: nobody holds it, so nobody will ask for its ids."""
    _count(operation, ended_ns)
    tick, took = operation.calls - 1, invocation.duration_ns
    if operation.keep_at < 0 or invocation.ids is not None or invocation.more is not None:
        operation.append(invocation)
    elif invocation.parent is not None:
        operation.count(took) if invocation.let_go else operation.append(invocation)
    elif not alone:
        operation.append(invocation)
    elif tick >= operation.keep_at:
        operation.keep(invocation, tick)
    elif took > operation.slowest_ns:
        operation.slowest_ns = took
        operation.append(invocation)
    else:
        operation.count(took)
