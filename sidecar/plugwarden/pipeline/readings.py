"""What operations know of themselves and an interval tells: peaks, faults of the shim, and what fallbacks answered."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from plugwarden.contract.value import value
from plugwarden.operation import DETAILED_FAILURES

from .aggregate import Aggregator

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["Answers", "Readings"]


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
        self._answers: dict[tuple[Operation, str], int] = {}
        self.take_answers(self.answers())  # in a forked child: what was answered until now is its parent's to tell

    def note_peaks(self, aggregator: Aggregator, *, publish: bool) -> None:
        """Observed against declared: gather over cuts, publish once an interval."""
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
