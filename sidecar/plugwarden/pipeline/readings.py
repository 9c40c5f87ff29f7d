"""What operations know of themselves and an interval tells: peaks, faults of the shim, and what fallbacks answered."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from plugwarden.contract.states import RejectionReason
from plugwarden.contract.value import value
from plugwarden.operation import DETAILED_FAILURES

from .aggregate import Aggregator

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["Answers", "Readings"]

ASKED = frozenset({None, RejectionReason.RATE_LIMITED.value, RejectionReason.BULKHEAD_FULL.value})
"""Why calls were refused that asked the rate limit: it is asked after all else but the bulkhead. None: they were not."""
RATE_SECONDS = 60.0
"""Seconds that what asked a rate limit is a mean over: a single call may be more than a limit lets through in a few of them."""


@value
class Answers:
    """What fallbacks answered: operation and what became of it -> times."""

    new: dict[tuple[Operation, str], int]
    """Since the last that was told."""
    counts: dict[tuple[Operation, str], int]
    """Since the start."""


class Readings:
    """Reads running counts, and remembers what of them was told. Not thread-safe: has one owner."""

    def __init__(self, operations: Callable[[], Collection[Operation]]) -> None:
        self._operations = operations
        self._faults = sum(operation.faults for operation in operations())
        self._longest_ns: dict[Operation, int] = {}
        self._asked: dict[Operation, deque[tuple[float, int]]] = {}
        """Moments (monotonic) and calls that had asked the rate limit by then, of a minute."""
        self._crowded: Counter[Operation] = Counter()
        """Calls for which the bulkhead had no place."""
        self._answers: dict[tuple[Operation, str], int] = {}
        self.take_answers(self.answers())  # in a forked child: what was answered until now is its parent's to tell

    def note_peaks(self, aggregator: Aggregator, at: float, *, publish: bool) -> None:
        """Observed against declared: gather over cuts, publish once an interval. `at` is monotonic."""
        for key, cell in aggregator.cells.items():
            if key.downstream is None and cell.ns_max > self._longest_ns.get(key.operation, 0):
                self._longest_ns[key.operation] = cell.ns_max
        if publish:
            longest, self._longest_ns = self._longest_ns, {}
            peaks = aggregator.take_peaks()
            for operation in self._operations():
                operation.longest_ns = longest.get(operation, 0)
                operation.peak_running = max(peaks.get(operation, 0), len(operation.running))
                operation.details_left = DETAILED_FAILURES
            self._note_limits(aggregator, at)

    def _note_limits(self, aggregator: Aggregator, at: float) -> None:
        """Note how often rate limits were asked, and which bulkheads were full: calls that they refuse say so of every moment."""
        asked: Counter[Operation] = Counter()
        crowded: Counter[Operation] = Counter()
        for cells in (aggregator.totals, aggregator.cells):
            for key, cell in cells.items():
                if key.downstream is not None:
                    continue
                if key.operation.rate is not None and key.rejection in ASKED:
                    asked[key.operation] += cell.count
                if key.rejection == RejectionReason.BULKHEAD_FULL.value:
                    crowded[key.operation] += cell.count
        for operation, calls in crowded.items():
            policy = operation.declaration.bulkhead
            if policy is not None and calls > self._crowded[operation]:
                operation.peak_running = max(operation.peak_running, policy.concurrent)
        self._crowded = crowded
        for operation, calls in asked.items():
            seen = self._asked.setdefault(operation, deque([(at, 0)]))
            seen.append((at, calls))
            while seen[1][0] <= at - RATE_SECONDS:
                seen.popleft()
            operation.asked_per_second = (calls - seen[0][1]) / max(RATE_SECONDS, at - seen[0][0])

    def take_faults(self) -> int:
        """Faults of the shim since the last time."""
        faults = sum(operation.faults for operation in self._operations())
        new, self._faults = faults - self._faults, max(faults, self._faults)
        return max(0, new)

    def answers(self) -> Answers:
        """What fallbacks answered that is not told yet."""
        new: dict[tuple[Operation, str], int] = {}
        counts: dict[tuple[Operation, str], int] = {}
        for operation in self._operations():
            for answer, count in tuple(operation.answers.items()):
                counts[operation, answer] = count
                more = count - self._answers.get((operation, answer), 0)
                if more:
                    new[operation, answer] = more
        return Answers(new, counts)

    def take_answers(self, answers: Answers) -> None:
        """They are told."""
        self._answers.update(answers.counts)
