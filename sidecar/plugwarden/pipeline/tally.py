"""What is added to from any thread until the next interval is told: drops, sums of runners, and what the sidecar itself cost."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from plugwarden.contract.value import value

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["Tally", "Told"]

_SELECTED = frozenset({"spans", "logs", "metrics"})
"""Signals whose items are telemetry of the host's; others are kept from nobody."""


@value
class Told:
    """What a tally had at a moment."""

    drops: dict[tuple[str, str], int]
    """(signal, reason) -> items."""
    sums: dict[tuple[Operation, str, str], float]
    """(operation, metric, why or "") -> what was added up."""
    overhead_seconds: float
    """CPU time."""


class Tally:
    """An addition is never lost, and never told twice: what is told is taken off only once it is on its way."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._drops: Counter[tuple[str, str]] = Counter()
        self._sums: Counter[tuple[Operation, str, str]] = Counter()
        self._overhead_seconds = 0.0
        self._lost_told = 0
        self.lost = 0
        """Items of the host's telemetry that were dropped, since the start."""

    def __bool__(self) -> bool:
        """Whether there is anything to tell; overhead alone is not."""
        return bool(self._drops or self._sums)

    @property
    def drops(self) -> dict[tuple[str, str], int]:
        """(signal, reason) -> items that are not told yet."""
        with self._lock:
            return dict(self._drops)

    def drop(self, signal: str, reason: str, items: int = 1) -> None:
        """Telemetry that will not arrive, or an internal fault."""
        with self._lock:
            self._drops[signal, reason] += items
            if signal in _SELECTED or reason == "record_fault":
                self.lost += items

    def add(self, operation: Operation, metric: str, amount: float, why: str) -> None:
        """Add to a sum."""
        with self._lock:
            self._sums[operation, metric, why] += amount  # type: ignore[assignment]  # a Counter of floats

    def spend(self, seconds: float) -> None:
        """CPU time that a thread of ours, or a caller on its behalf, used."""
        with self._lock:
            self._overhead_seconds += seconds

    def look(self) -> Told:
        """All that is not told yet."""
        with self._lock:
            return Told(dict(self._drops), dict(self._sums), self._overhead_seconds)

    def take(self, told: Told) -> None:
        """It is on its way."""
        with self._lock:
            self._overhead_seconds -= told.overhead_seconds
            self._drops.subtract(told.drops)
            self._drops = +self._drops
            self._sums.subtract(told.sums)
            self._sums = +self._sums

    def take_lost(self) -> int:
        """Items lost since it was last asked."""
        with self._lock:
            lost, self._lost_told = self.lost - self._lost_told, self.lost
        return lost
