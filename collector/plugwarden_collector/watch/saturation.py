"""When something will be full, or used up: a line through its values that outliers do not bend, with how sure its slope is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from plugwarden_collector.durations import duration
from plugwarden_collector.errors import WatchError
from plugwarden_collector.figures import number
from plugwarden_collector.rules.alert_rule import AlertRule

from .sample import Sample
from .statement import MAX_ROWS, TIME, VALUE, labels_in, number_in

__all__ = ["MAX_FORECAST_ROWS", "MAX_POINTS", "MIN_POINTS", "Line", "forecasts", "line_through"]

MIN_POINTS = 8
"""With fewer the interval of a slope holds nearly every slope (Sen, 1968, tabulates from about there)."""
MAX_POINTS = 300
"""Points of one line: all pairs are compared, and these are 45,000."""
MAX_FORECAST_ROWS = 5_000
"""Rows of a statement: fifty points of each of a hundred things."""
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


def forecasts(rule: AlertRule, rows: Sequence[Mapping[str, Any]]) -> list[Sample]:
    """Return a sample for each thing that rows with a `time`, a `value` and labels are about: whether it is full within the rule's time.

    A slope that might as well be none foresees nothing. Raises `WatchError` where rows are too many, or hold what is no number or no time.
    """
    if len(rows) > MAX_FORECAST_ROWS:
        raise WatchError(f"gives more than {MAX_FORECAST_ROWS} rows; group them by the hour or the day")
    series: dict[str, list[tuple[float, float]]] = {}
    about: dict[str, Mapping[str, str]] = {}
    for row in rows:
        at, value = row[TIME], number_in(row[VALUE])
        if not isinstance(at, datetime):
            raise WatchError(f"gives {str(at)!r:.80} as {TIME}, which is no time")
        labels = labels_in(row)
        key = Sample(labels, None, None, "").key
        about[key] = labels
        points = series.setdefault(key, [])
        if value is not None and math.isfinite(value):
            points.append(((at.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds(), value))
    if len(series) > MAX_ROWS:
        raise WatchError(f"gives values of more than {MAX_ROWS} things; group them")
    return [_foreseen(rule, about[key], thinned(sorted(points))) for key, points in series.items()]


def thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Return at most `MAX_POINTS` of some points, evenly, with the newest."""
    step = math.ceil(len(points) / MAX_POINTS)
    return points if step <= 1 else points[::-1][::step][::-1]


def _foreseen(rule: AlertRule, labels: Mapping[str, str], points: Sequence[tuple[float, float]]) -> Sample:
    line = line_through(points)
    if line is None:
        return Sample(
            labels, None, None, f"{len(points)} values are too few to foresee anything; {MIN_POINTS} are the least"
        )
    soonest, expected, latest = line.seconds_until(rule.full)
    detail = {
        "value": line.now,
        "full": rule.full,
        "per_day": line.per_second * 86_400,
        **{
            name: None if math.isinf(seconds) else seconds
            for name, seconds in (
                ("soonest_seconds", soonest),
                ("expected_seconds", expected),
                ("latest_seconds", latest),
            )
        },
    }
    now = f"{number(line.now)} now"
    if math.isinf(latest):
        return Sample(labels, False, True, f"{now}, and nothing says that it comes to {number(rule.full)}", detail)
    if expected == 0:
        return Sample(labels, True, False, f"{now}: it has come to {number(rule.full)}", detail)
    said = f"{now}, {number(rule.full)} in {duration(expected)} (from {duration(soonest)} to {duration(latest)})"
    met = expected <= rule.within_seconds
    return Sample(labels, met, not met, said, detail)


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
