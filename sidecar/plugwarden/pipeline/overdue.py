"""Calls that do not come back: told while they still run, for nobody hears of a call that never ends.

Each is counted once, as a timeout: when it is taken for lost, and not again when it ends after all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.invocation import STEPWISE_NS, Invocation

if TYPE_CHECKING:
    from plugwarden.operation import Operation

    from .aggregate import Cell, CellKey

__all__ = ["OVERDUE", "Overdue", "is_told"]

OVERDUE = "overdue"
"""`error.type` of a call without a deadline that was taken for lost."""
LATE_NS = 1_000_000_000
"""So long after its own deadline a call still runs: whatever enforces deadlines had its chance."""
TIMES_LONGER = 10
"""Without a deadline: a call that runs so many times longer than any before it does not come back, as far as anybody can tell."""
LEAST_NS = 10_000_000_000
"""Shorter than this is a wait, however quick calls are otherwise: connections and name servers give up after 5 to 10 seconds."""
KNOWN_CALLS = 100
"""Calls that must have ended before it is known how long they may take."""
LOOK_EVERY_NS = 1_000_000_000
MAX_PER_LOOK = 1_000
"""Calls of one operation that are looked at: a host with more of them in one operation has told of enough."""


class Overdue:
    """Knows how long calls take, and looks at those that run. Not thread-safe: has one owner."""

    def __init__(self, operations: Callable[[], Collection[Operation]]) -> None:
        self._operations = operations
        self._longest: dict[Operation, tuple[int, int]] = {}
        """Operation -> calls that ended, and the longest of them (ns)."""
        self._looked_ns = 0
        self._suspected: dict[Invocation, int] = {}
        """Calls that ran for too long at the last look, and when they began: a process that was stopped for a while has two looks to see
        that it was not they who stood still."""

    def learn(self, cells: Mapping[CellKey, Cell]) -> None:
        """Calls ended; those that were refused, missed their deadline or were taken for lost say nothing of how long one may take."""
        for key, cell in cells.items():
            if key.downstream is None and key.rejection is None and key.outcome != Outcome.TIMEOUT.value:
                self._learn(key.operation, cell.count, cell.ns_max)

    def learn_late(self, call: Invocation) -> None:
        """A call that was taken for lost ended after all: so long may one take."""
        if call.outcome is Outcome.SUCCESS:
            self._learn(call.operation, 1, call.duration_ns)

    def _learn(self, operation: Operation, calls: int, longest_ns: int) -> None:
        count, longest = self._longest.get(operation, (0, 0))
        self._longest[operation] = count + calls, max(longest, longest_ns)

    def look(self, now_ns: int) -> list[Invocation]:
        """Return what is to be counted of calls that were not told yet and are taken for lost; `now_ns` is of the calls' clock."""
        if now_ns - self._looked_ns < LOOK_EVERY_NS:
            return []
        self._looked_ns = now_ns
        busy = [operation for operation in self._operations() if operation.running]
        suspected = {call: call.started_ns for operation in busy for call in self._lost(operation, now_ns)}
        lost = [call for call, started in suspected.items() if self._suspected.get(call) == started]
        self._suspected = suspected
        if not lost:
            return []
        # Who waits for a call within it is told of by that one.
        waiting = {call.parent for operation in busy for call in list(operation.running) if type(call) is Invocation}
        return [_told(call, now_ns) for call in lost if call not in waiting]

    def _lost(self, operation: Operation, now_ns: int) -> Iterable[Invocation]:
        count, longest = self._longest.get(operation, (0, 0))
        allowed = None
        if operation.timeout_ns:  # what is left of a caller's deadline is the caller's to tell
            allowed = operation.timeout_ns + LATE_NS
        elif count >= KNOWN_CALLS:
            allowed = max(LEAST_NS, TIMES_LONGER * longest)
        if allowed is None:
            return
        for call in list(operation.running)[:MAX_PER_LOOK]:
            if type(call) is not Invocation or is_told(call) or getattr(call, "duration_ns", 0) == STEPWISE_NS:
                continue
            started = getattr(call, "started_ns", 0)  # 0 or nothing: its caller is about to begin it
            if started and now_ns - started > allowed:
                yield call


def is_told(call: Invocation) -> bool:
    """Whether this call was counted while it ran; what was said of an earlier one in the same object is void."""
    return call.more is not None and call.told_at_ns != 0 and call.told_at_ns == call.started_ns


def _told(call: Invocation, now_ns: int) -> Invocation:
    """Mark a call as told, and return what is counted in its place."""
    made = Invocation()
    made.operation, made.ids, made.parent, made.let_go = call.operation, None, None, True
    made.started_ns, made.duration_ns, made.deadline_ns = call.started_ns, now_ns - call.started_ns, 0
    made.more = {}
    made.outcome = Outcome.TIMEOUT
    made.source = ErrorSource.PLUGIN if call.waits_for is None else ErrorSource.DOWNSTREAM
    made.error_type = "timeout" if call.operation.timeout_ns else OVERDUE
    if call.tenant is not None:
        made.tenant = call.tenant
    call.told_at_ns = call.started_ns
    return made
