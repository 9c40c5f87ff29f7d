"""When something will be full, or used up: by the line through its values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from plugwarden_collector.capacity.trend import MIN_POINTS, line_through
from plugwarden_collector.durations import duration
from plugwarden_collector.errors import WatchError
from plugwarden_collector.figures import number
from plugwarden_collector.rules.alert_rule import AlertRule

from .sample import Sample
from .statement import MAX_ROWS, TIME, VALUE, labels_in, number_in

__all__ = ["MAX_FORECAST_ROWS", "MAX_POINTS", "forecasts"]

MAX_POINTS = 300
"""Points of one line: all pairs are compared, and these are 45,000."""
MAX_FORECAST_ROWS = 5_000
"""Rows of a statement: fifty points of each of a hundred things."""


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
