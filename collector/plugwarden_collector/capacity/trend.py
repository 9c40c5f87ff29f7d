"""How a value grows: a line through its values that outliers do not bend, with how sure its slope is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from .gaps import Floats, median_known

__all__ = ["MIN_POINTS", "Line", "line_through", "lines_through"]

MIN_POINTS = 8
"""With fewer the interval of a slope holds nearly every slope (Sen, 1968, tabulates from about there)."""
CONFIDENCE = 1.96
"""Standard deviations of Kendall's S on either side: 95 of 100 intervals hold the true slope of independent noise."""


@dataclass(frozen=True, slots=True)
class Line:
    """How a value grows."""

    middle: float
    """The value on the line at the middle of its points."""
    ago_seconds: float
    """How long before the newest point that is."""
    per_second: float
    low: float
    """Lower end of the interval of the slope, per second."""
    high: float
    """Upper end of it."""

    def seconds_until(self, full: float) -> tuple[float, float, float]:
        """Return seconds until the value is `full`: the soonest, as expected, and the latest; infinite where that slope never meets it.

        What is to come to 0 falls, and everything else rises.
        """
        towards = -1.0 if full == 0 else 1.0
        left = (full - self.middle) * towards
        slopes = sorted((slope * towards for slope in (self.low, self.per_second, self.high)), reverse=True)
        # From the middle, where the line is known best: a steeper one begins lower.
        soonest, expected, latest = (
            0.0 if left <= 0 else max(0.0, left / slope - self.ago_seconds) if slope > 0 else math.inf
            for slope in slopes
        )
        return soonest, expected, latest

    @property
    def now(self) -> float:
        """The value on the line at the newest point."""
        return self.middle + self.per_second * self.ago_seconds


def line_through(points: Sequence[tuple[float, float]]) -> Line | None:
    """Return the line through (seconds, value) points in the order of time, by Theil and Sen: its slope is the median of those of all
    pairs. None with fewer than `MIN_POINTS`. Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968.
    """
    count = len(points)
    if count < MIN_POINTS:
        return None
    slopes = sorted(
        (later - value) / (then - at)
        for index, (at, value) in enumerate(points)
        for then, later in points[index + 1 :]
        if then > at
    )
    if not slopes:
        return None
    slope = median(slopes)
    wide = CONFIDENCE * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = slopes[max(0, math.floor((len(slopes) - wide) / 2))]
    high = slopes[min(len(slopes) - 1, math.ceil((len(slopes) + wide) / 2))]
    centre = sum(at for at, _ in points) / count
    middle = median(value + slope * (centre - at) for at, value in points)
    return Line(middle, points[-1][0] - centre, slope, low, high)


def lines_through(values: Floats) -> tuple[Floats, Floats]:
    """Return value at the first step, and growth by step, of a line through each row of (rows, steps), by Theil and Sen; NaN is missing.

    Memory: 8 bytes for each pair of steps of each row.
    """
    first, second = np.triu_indices(values.shape[1], 1)
    slopes = median_known((values[:, second] - values[:, first]) / (second - first), 1)
    return median_known(values - slopes[:, None] * np.arange(values.shape[1]), 1), slopes
