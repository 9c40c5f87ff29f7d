"""What is left of a call that has returned, where its result runs later."""

from __future__ import annotations

import sys
from typing import Any

from opentelemetry.context import Context

from plugwarden import admission, settlement
from plugwarden.contract import ErrorSource, Outcome
from plugwarden.errors import QuotaExceeded
from plugwarden.gate.refusal import Refusal
from plugwarden.inspection import is_a
from plugwarden.invocation import STEPWISE_NS, Invocation
from plugwarden.settlement import NOTHING

from .form import Form
from .opened import Opened, close_invocation
from .steps import Steps

__all__ = ["Rest", "is_of_a_pool"]

LONG_PAUSE_NS = 100_000_000
"""A call that was kept for longer than this between its return and its rest waited for somebody, and not for itself."""


class Rest:
    """A call that has returned and is not over."""

    __slots__ = (
        "_context",
        "_form",
        "_operation",
        "_settled",
        "active_ns",
        "args",
        "attempt",
        "invocation",
        "kwargs",
        "work",
    )

    def __init__(
        self,
        form: Form,
        invocation: Invocation,
        context: Context,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        work: Any = None,
    ) -> None:
        self.invocation = invocation
        """The call's."""
        self.args, self.kwargs = args, kwargs
        """The call's, for a fallback."""
        self.work = work
        """A coroutine that has not begun."""
        self.active_ns = invocation.duration_ns
        """How long the plugin has run up to now."""
        self.attempt = form.attempt()
        """On behalf of which the call was made."""
        if self.attempt is not None:
            self.attempt.waits = True
        self._form = form
        self._operation = form.operation
        self._context = context
        self._settled = False

    def __del__(self) -> None:
        # Nobody wanted the rest: the call was what it was when it returned. No lock is taken, because this may run
        # wherever memory is tidied up, also while this very thread holds one.
        if self._settled:
            return
        self._settled = True
        if self.work is not None:
            self.work.close()  # Python has said already, of ours, that it was never awaited
        breaker = self._operation.breaker
        if breaker is not None:
            if self.invocation.probe:
                breaker.leave_undecided(self.invocation.probe)
            breaker.calls += 1
        if self.attempt is not None:
            self.attempt.ran()
        self._operation.append(self.invocation)

    def let_go(self) -> None:
        """There is no rest after all, and the call is the caller's to record."""
        self._settled = True
        self.ends_by_itself()

    def ends_by_itself(self) -> None:
        """It needs no place any more, so nothing can refuse it."""
        if self.attempt is not None:
            self.attempt.waits = False
            self.attempt = None

    def open(self) -> Opened:
        """It goes on now: take a place again. Waits in the bulkhead's queue."""
        self._settled = True
        operation, invocation = self._operation, self.invocation
        self._note_pause()
        try:
            refusal = admission.squeeze_in(operation, invocation) if self._is_crowded() else None
        except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
            refusal = operation.fault()
            if refusal is not None:
                operation.withdraw(invocation)
        return self._opened(refusal)

    async def open_async(self) -> Opened:
        """The same without blocking the loop."""
        self._settled = True
        operation, invocation = self._operation, self.invocation
        self._note_pause()
        try:
            refusal = await admission.squeeze_in_async(operation, invocation) if self._is_crowded() else None
        except Exception:  # noqa: BLE001 - as above
            refusal = operation.fault()
            if refusal is not None:
                operation.withdraw(invocation)
        return self._opened(refusal)

    def _opened(self, refusal: Refusal | None) -> Opened:
        if self.attempt is not None and refusal is None:
            self.attempt.ran()
        return self.invocation, self._context, refusal

    def _note_pause(self) -> None:
        """Where somebody kept it before it went on, how long ago it began says nothing."""
        if self._operation.clock() - self.invocation.started_ns > self.active_ns + LONG_PAUSE_NS:
            self.invocation.duration_ns = STEPWISE_NS

    def _is_crowded(self) -> bool:
        operation = self._operation
        if admission.within_itself(operation, self.invocation):
            return False
        operation.running.add(self.invocation)
        return len(operation.running) > operation.limit

    def steps(self) -> Steps:
        """To run it with."""
        return Steps(self._form, self.invocation, self._context, self.active_ns)

    async def refused(self, refusal: Refusal) -> Any:
        """What answers where there was no place for it; raises where nothing does."""
        instead = self._form.refuse(self.invocation, refusal, self.attempt)
        if instead is None:
            raise self._form.as_error(refusal)
        return await instead.answer_async(self.args, self.kwargs)

    def failed(self, error: BaseException, active_ns: int) -> bool:
        """Record that it raised; True when the fallback answers."""
        operation, invocation = self._operation, self.invocation
        try:
            operation.release(invocation)
            invocation.duration_ns = active_ns
            return settlement.failed(operation, invocation, error, operation.clock(), -1, self._form)
        except Exception:  # noqa: BLE001 - as above
            operation.faults += 1
            return False

    def returned(self, result: Any, active_ns: int, *, keep: bool = True) -> QuotaExceeded | None:
        """Record that it returned; answers the error to raise where its result is larger than allowed. `keep`: whether the result
        is one that a fallback could answer again."""
        operation, invocation = self._operation, self.invocation
        try:
            operation.release(invocation)
            invocation.duration_ns = active_ns
            if invocation.child_errors is not None:
                invocation.child_errors = None  # they would keep their frames alive
            return settlement.settle(operation, invocation, result, operation.clock(), -1, self._form, keep=keep)
        except Exception:  # noqa: BLE001 - as above
            operation.faults += 1
            return None

    def done(self, future: Any) -> None:
        """A future has its result."""
        if self._settled:
            return
        self._settled = True
        took_ns = self._operation.clock() - self.invocation.started_ns
        result: Any = NOTHING
        try:
            error: BaseException | None
            if future.cancelled():
                error = _cancelled(future)
                if is_a(error, Exception):  # of a pool, where being cancelled is an error of who waits
                    self.invocation.enforced = True
                    self.invocation.outcome, self.invocation.source = Outcome.CANCELLED, ErrorSource.CALLER
            elif is_of_a_pool(type(future)):
                error = future.exception(0)
            else:
                error = getattr(future, "_exception", None)  # asking for it aloud would tell asyncio that it was seen
            if error is None and self._operation.inspects:
                result = future.result()
        except Exception:  # noqa: BLE001 - as above
            error = None
        if error is None:
            # What is in it was the answer's, and is none itself: a fallback could not give it to who wants a future.
            self.returned(result, took_ns, keep=False)
        else:
            close_invocation(self._form, self.invocation, error, took_ns)

    async def answer(self) -> Any:
        """The fallback's answer, once it was said that there is one."""
        return await self._form.answer_async(self.args, self.kwargs)


def _cancelled(future: Any) -> BaseException:
    try:
        future.exception()
    except BaseException as error:  # noqa: BLE001 - that is how it says so
        return error
    return RuntimeError("a cancelled future that does not say so")


def is_of_a_pool(kind: type) -> bool:
    """Whether it is a future of `concurrent.futures`, which who made one has loaded."""
    module: Any = sys.modules.get("concurrent.futures._base")
    future: type | None = getattr(module, "Future", None)
    return future is not None and issubclass(kind, future)
