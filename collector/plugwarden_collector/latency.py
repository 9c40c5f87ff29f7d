"""How long our own work takes: a histogram that only grows, read by subtracting what it was before."""

from __future__ import annotations

from collections.abc import Mapping

from plugwarden.contract.histogram import SCALE, bucket_index, quantile_seconds

__all__ = ["Counts", "Distribution", "added", "quantile"]

Counts = Mapping[int, int]
"""Bucket of the contract's scale-4 histogram -> observations."""

EDGES = range(-10, 8)
"""Powers of two from a millisecond to two minutes, as seconds: edges that our buckets share, so nothing is interpolated."""


class Distribution:
    """Observed by one thread, read by any."""

    __slots__ = ("_counts", "sum_seconds")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        index = bucket_index(seconds)
        self._counts[index] = self._counts.get(index, 0) + 1
        self.sum_seconds += seconds

    def counts(self) -> dict[int, int]:
        """A copy as it stands."""
        return self._counts.copy()

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' form: (upper edge in seconds, observations up to it), the last edge being infinite."""
        counts = self.counts()
        # Bucket i ends at 2^((i + 1) / 16), so those below the edge 2^e end with index 16 e - 1.
        rows = [
            (f"{2.0**edge:g}", float(sum(count for index, count in counts.items() if index < edge << SCALE)))
            for edge in EDGES
        ]
        return [*rows, ("+Inf", float(sum(counts.values())))]


def added(after: Counts, before: Counts) -> dict[int, int]:
    """What came in between two readings."""
    return {index: count - before.get(index, 0) for index, count in after.items() if count > before.get(index, 0)}


def quantile(counts: Counts, q: float) -> float | None:
    """The q-quantile in seconds, right to 2.2 %; None of nothing."""
    indexes = sorted(counts)
    return quantile_seconds(indexes, [counts[index] for index in indexes], q)
