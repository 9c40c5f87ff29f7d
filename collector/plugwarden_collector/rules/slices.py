"""Slices of time that a promise is of: a slice is good where enough of the calls in it are. Pure; times are UTC without a zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["MILLION", "MIN_BAD_SLICES", "MIN_SLICES", "EmptySlices", "Slices"]

MILLION = 1_000_000
"""Shares of calls are compared in millionths, as whole numbers, so that 0.95 of 20 calls are 19."""
MIN_SLICES = 5
"""`min_events` of an objective of slices that says none: the longest slices that windows allow leave twelve in the fastest page's."""
MIN_BAD_SLICES = 2
"""`min_failures` of the same: one bad minute wakes nobody."""
EPOCH = datetime(1970, 1, 1)


class EmptySlices(StrEnum):
    """What becomes of slices with fewer calls than a slice needs."""

    NONE = "none"
    """They are neither good nor bad: what nobody saw is no proof."""
    GOOD = "good"
    """They are good: the budget is so many slices of the period, however many of them had calls."""


@dataclass(frozen=True, slots=True)
class Slices:
    """How time is cut, from the epoch of UTC on, and what makes a slice good."""

    seconds: int
    """Length of one; divides an hour."""
    good_ratio: float
    """Least share of good calls in a good slice, in (0, 1], with six decimals at most."""
    min_calls: int = 1
    """With fewer calls a slice is empty."""
    empty: EmptySlices = EmptySlices.NONE
    """What becomes of empty ones."""

    @property
    def good_millionths(self) -> int:
        """Return the least share of good calls, in millionths."""
        return round(self.good_ratio * MILLION)

    def floor(self, at: datetime) -> datetime:
        """Return when the slice that holds a moment began."""
        return at - (at - EPOCH) % timedelta(seconds=self.seconds)

    def ceiling(self, at: datetime) -> datetime:
        """Return when the first slice begins that is not before a moment."""
        return at + (EPOCH - at) % timedelta(seconds=self.seconds)

    def count(self, seconds: float) -> int:
        """Return how many slices a length of whole ones has."""
        return round(seconds / self.seconds)
