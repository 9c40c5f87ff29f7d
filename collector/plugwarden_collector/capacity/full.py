"""When a limit is reached: from the chance of each day that its busiest hour is above it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .gaps import Floats

__all__ = ["AHEAD_DAYS", "SOON_RATIO", "UntilFull", "until_full"]

AHEAD_DAYS = 365
"""Days looked ahead: nobody buys hardware for later, and an interval of a year from three months' past says nothing more."""
SOON_RATIO = 0.20
"""Chance from which on a day may be the first: one in five is worth an order; the same on the other side ends the interval."""


@dataclass(frozen=True, slots=True)
class UntilFull:
    """Days until a limit is reached; None: not within `AHEAD_DAYS`, or nothing is foreseen. 0: it is reached already."""

    soonest_days: int | None
    """First day on which the chance to be above it is 20 %."""
    median_days: int | None
    """First day on which it is 50 %."""
    latest_days: int | None
    """First day on which it is 80 %."""

    @property
    def rank(self) -> tuple[float, float]:
        """What orders limits by: the one that may be reached soonest first."""
        return (
            float("inf") if self.soonest_days is None else self.soonest_days,
            float("inf") if self.median_days is None else self.median_days,
        )


def until_full(chances: Floats, *, reached: bool = False) -> UntilFull:
    """Return when a limit is reached by the chance of each day ahead (`Forecasts.over`); `reached` says that it is already."""
    if reached:
        return UntilFull(0, 0, 0)
    soonest, median, latest = (_first(chances, ratio) for ratio in (SOON_RATIO, 0.5, 1 - SOON_RATIO))
    return UntilFull(soonest, median, latest)


def _first(chances: Floats, ratio: float) -> int | None:
    met = np.flatnonzero(chances >= ratio)
    return int(met[0]) + 1 if len(met) else None
