"""When something will be full: the true moment is within the interval, and noise foresees nothing."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import Any

import pytest
from plugwarden_collector.capacity.trend import MIN_POINTS, line_through
from plugwarden_collector.errors import WatchError
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule
from plugwarden_collector.watch.saturation import (
    MAX_FORECAST_ROWS,
    MAX_POINTS,
    forecasts,
    thinned,
)

from tests.collector.support.still_clock import AT

DAY = 86_400.0


def rule(full: float = 100.0, within_days: float = 14.0) -> AlertRule:
    return AlertRule("full", AlertKind.FORECAST, full=full, within_seconds=within_days * DAY, sql="…")


def rows(*values: float | None, **labels: str) -> list[dict[str, Any]]:
    """Return a row a day, the last one now."""
    return [
        {"time": AT - timedelta(days=len(values) - 1 - index), "value": value, **labels}
        for index, value in enumerate(values)
    ]


def test_what_grows_steadily_is_full_when_it_is() -> None:
    (sample,) = forecasts(rule(), rows(*(50.0 + 2 * day for day in range(16)), disk="a"))
    assert (sample.labels, sample.met, sample.over) == ({"disk": "a"}, True, False)
    assert sample.said == "80 now, 100 in 10 d (from 10 d to 10 d)"
    assert sample.detail["expected_seconds"] == pytest.approx(10 * DAY)
    (later,) = forecasts(rule(within_days=9.0), rows(*(50.0 + 2 * day for day in range(16))))
    assert (later.met, later.over) == (False, True)


def test_what_runs_out_falls_to_nothing() -> None:
    (sample,) = forecasts(rule(full=0.0), rows(*(30.0 - 2 * day for day in range(11))))
    assert (sample.met, sample.said) == (True, "10 now, 0 in 5 d (from 5 d to 5 d)")


def test_what_is_full_already_is_said() -> None:
    (sample,) = forecasts(rule(), rows(*(90.0 + 2 * day for day in range(10))))
    assert (sample.met, sample.said) == (True, "108 now: it has come to 100")


@pytest.mark.parametrize("values", [[50.0] * 20, [50.0 - day for day in range(20)]])
def test_what_does_not_grow_foresees_nothing(values: list[float]) -> None:
    (sample,) = forecasts(rule(), rows(*values))
    assert sample.met is False
    assert "nothing says that it comes to 100" in sample.said


def test_few_values_foresee_nothing() -> None:
    (sample,) = forecasts(rule(), rows(*(50.0 + 9 * day for day in range(MIN_POINTS - 1)), None))
    assert (sample.met, sample.over) == (None, None)
    assert sample.said == "7 values are too few to foresee anything; 8 are the least"


def test_the_true_moment_is_within_the_interval_in_nineteen_of_twenty_worlds() -> None:
    """Two weeks of hourly values that grow by 2 a day, with noise of 3."""
    inside = early = 0
    for seed in range(200):
        chance = random.Random(seed)
        points = [(hour * 3600.0, 40.0 + hour / 12 + chance.gauss(0.0, 3.0)) for hour in range(0, 14 * 24, 3)]
        line = line_through(points)
        assert line is not None
        true = (100.0 - (40.0 + points[-1][0] / 3600.0 / 12)) / 2 * DAY
        soonest, expected, latest = line.seconds_until(100.0)
        inside += soonest <= true <= latest
        early += abs(expected - true) < 0.2 * true
    assert inside >= 180, f"{inside} of 200"
    assert early == 200


def test_noise_alone_makes_few_false_alarms() -> None:
    """A value stays at 80 of 100 and is looked at after two weeks: how often would it be told that it is full in 14 days?"""
    told = 0
    for seed in range(200):
        chance = random.Random(seed)
        points = [(hour * 3600.0, 80.0 + chance.gauss(0.0, 3.0)) for hour in range(0, 14 * 24, 3)]
        line = line_through(points)
        assert line is not None
        _, expected, latest = line.seconds_until(100.0)
        told += expected <= 14 * DAY and not math.isinf(latest)
    assert told == 0


def test_an_outlier_bends_no_line() -> None:
    (sample,) = forecasts(rule(), rows(*(50.0 + 2 * day for day in range(15)), 5_000.0))
    assert sample.detail["expected_seconds"] == pytest.approx(10 * DAY, rel=0.1)


def test_many_points_are_thinned_and_the_newest_stays() -> None:
    points = [(float(number), 0.0) for number in range(1_000)]
    assert len(thinned(points)) <= MAX_POINTS
    assert thinned(points)[-1] == points[-1]
    assert thinned(points[:10]) == points[:10]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"time": "now", "value": 1.0}], "'now' as time, which is no time"),
        ([{"time": AT, "value": "many"}], "'many' as value, which is no number"),
        ([{"time": AT, "value": 1.0, "disk": str(number)} for number in range(101)], "more than 100 things"),
        ([{"time": AT, "value": 1.0}] * (MAX_FORECAST_ROWS + 1), "more than 5000 rows"),
    ],
)
def test_what_cannot_be_looked_at_is_said(given: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(WatchError, match=said):
        forecasts(rule(), given)
