"""What is usual: growth, times a factor of the day of the week, times the shape of the day. All by medians, so that outliers and gaps
bend nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .gaps import Floats, Ints, mean_known, median_known
from .trend import lines_through

__all__ = ["WEEK", "Growth", "Season", "levels_of", "seasons_of"]

WEEK = 7
"""Days."""
WEEKS_NEEDED = 2
"""Weeks from which on days of the week are told apart: with one, a Monday's own noise would be its factor."""
KNOWN_SHARE_RATIO = 0.75
"""Share of a day's steps that must be known, in [0, 1]: from fewer, the hours that are missing would make its mean."""
SMOOTHED_WEEKS = 2.0
"""Weeks that the shape of all days counts for beside that of one day of the week: a day that was seen twice has a shape half its own."""
FLAT_DAYS = 28
"""Days whose median is the level where nothing grows: four of each day of the week."""
LEAST_RATIO = 0.01
"""Least value that is told from nothing, of the median: growth is reckoned in logarithms, and these have no 0."""
FLOOR_RATIO = 0.05
"""Least level of a trend that falls, of the median, for the same reason."""
MOST_LOG = 60.0
"""Most that a logarithm may grow to: beyond, numbers are not finite."""


class Growth(StrEnum):
    """How a level goes on."""

    NONE = "none"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True)
class Season:
    """What is usual for some series that end on the same day. Arrays have a row a series."""

    days: int
    """Days that it was found in."""
    growth: Growth
    start: Floats
    """(series): level on the first day; of exponential growth its logarithm."""
    by_day: Floats
    """(series): what it grows by each day, likewise."""
    of_week: Floats
    """(series, 7): factor of each day of the week; the last day that was seen has the last."""
    of_day: Floats
    """(series, 7, steps): value of each step of such a day, of its level."""
    least: Floats
    """(series): least value that is told from nothing."""

    def expected(self, ahead: int) -> Floats:
        """Return (series, days, steps): what is to be expected on each of the next days."""
        days = np.arange(ahead)
        level = self.start[:, None] + self.by_day[:, None] * (self.days + days)
        if self.growth is Growth.EXPONENTIAL:
            level = np.exp(np.minimum(level, MOST_LOG))
        floor = self.least / LEAST_RATIO * FLOOR_RATIO
        level = np.maximum(level, floor[:, None])
        of_week = days % WEEK
        found: Floats = (level * self.of_week[:, of_week])[:, :, None] * self.of_day[:, of_week, :]
        return found


def levels_of(values: Floats) -> Floats:
    """Return (series, days): the mean of each day of (series, days, steps); NaN where too little of it is known."""
    return mean_known(values, 2, math.ceil(KNOWN_SHARE_RATIO * values.shape[2]))


def seasons_of(values: Floats, levels: Floats) -> dict[Growth, Season]:
    """Return what is usual, for each way to grow. `values` is (series, days, steps), `levels` (series, days) the mean of each day; NaN is
    missing. The last day of all series is the same."""
    series, days = levels.shape
    weekday = (np.arange(days) - days) % WEEK
    of_week = _of_week(levels, weekday)
    deseasoned = levels / of_week[:, weekday]
    middle = np.where(np.isnan(found := median_known(deseasoned, 1)), 0.0, found)
    least = np.maximum(middle * LEAST_RATIO, np.finfo(float).tiny)
    of_day = _of_day(values, levels, weekday)
    none = median_known(deseasoned[:, -FLAT_DAYS:], 1)
    lines = {
        Growth.NONE: (np.where(np.isnan(none), middle, none), np.zeros(series)),
        Growth.LINEAR: lines_through(deseasoned),
        Growth.EXPONENTIAL: lines_through(np.log(np.maximum(deseasoned, least[:, None]))),
    }
    return {
        growth: Season(days, growth, start, by_day, of_week, of_day, least) for growth, (start, by_day) in lines.items()
    }


def _of_week(levels: Floats, weekday: Ints) -> Floats:
    """Return (series, 7): how each day of the week compares with the seven days around it."""
    series, days = levels.shape
    if days < WEEKS_NEEDED * WEEK:
        return np.ones((series, WEEK))
    around = mean_known(np.lib.stride_tricks.sliding_window_view(levels, WEEK, 1), 2, WEEK - 2)
    edge = WEEK // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = levels[:, edge:-edge] / around
    inner = weekday[edge:-edge]
    found = np.stack([median_known(ratios[:, inner == day], 1) for day in range(WEEK)], 1)
    found = np.where(np.isfinite(found), np.maximum(found, LEAST_RATIO), 1.0)
    of_week: Floats = found / found.mean(1, keepdims=True)
    return of_week


def _of_day(values: Floats, levels: Floats, weekday: Ints) -> Floats:
    """Return (series, 7, steps): the shape of each day of the week, drawn towards that of all days."""
    series, days, steps = values.shape
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = values / levels[:, :, None]
    ratios = np.where(np.isfinite(ratios), ratios, np.nan)
    shared = median_known(ratios, 1)
    shared = np.where(np.isnan(shared), 1.0, shared)
    if days < WEEKS_NEEDED * WEEK:
        return np.repeat(shared[:, None, :], WEEK, 1)
    shapes = np.empty((series, WEEK, steps))
    for day in range(WEEK):
        own = ratios[:, weekday == day]
        found = median_known(own, 1)
        weeks = own.shape[1]
        own_shape = np.where(np.isnan(found), shared, found)
        shapes[:, day] = (weeks * own_shape + SMOOTHED_WEEKS * shared) / (weeks + SMOOTHED_WEEKS)
    return shapes
