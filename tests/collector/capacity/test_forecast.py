"""Forecasts: what they promise of their intervals holds in worlds whose truth is known, and little data are said to be little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden_collector.capacity.forecast import FULL_DAYS, LEAST_DAYS, Confidence, forecasts
from plugwarden_collector.capacity.full import AHEAD_DAYS, UntilFull, until_full
from plugwarden_collector.capacity.load import busiest
from plugwarden_collector.capacity.season import Growth, levels_of

from tests.collector.support.grown_load import made_worlds
from tests.share import repetitions

DAYS = 28


def week(days: int, growth: float = 0.0) -> np.ndarray:
    """One series with a weekend and a busy noon, without noise."""
    hours = 10 + 5 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    of_week = np.where(np.arange(days) % 7 < 5, 1.0, 0.5)
    return ((1 + growth * np.arange(days)) * of_week)[None, :, None] * hours[None, None, :]


def test_what_repeats_is_foreseen() -> None:
    whole = week(70, 0.01)
    found = forecasts(whole[:, :42], DAYS)
    assert (found.growth, found.confidence) == ([Growth.LINEAR], [Confidence.HIGH])
    assert found.expected[0] == pytest.approx(whole[0, 42:], rel=0.03)
    low, high = found.bounds(0)
    assert np.all((low <= found.expected) & (found.expected <= high))
    wide_low, wide_high = found.bounds(1)
    assert np.all((wide_low <= low) & (high <= wide_high)), "the interval of 95 % holds that of 80 %"


@pytest.mark.parametrize("days", [28, 60])
def test_an_interval_of_80_per_cent_holds_about_as_much(days: int) -> None:
    worlds = made_worlds(60, days, seed=days)
    found = forecasts(worlds.seen, DAYS)
    low, high = found.bounds(0)
    came = worlds.future[:, :DAYS]
    assert 0.75 <= np.mean((low <= came) & (came <= high)) <= 0.85
    assert 0.75 <= np.nanmean(found.coverage_ratio) <= 0.85, "and says so of its own past"


def test_when_a_steady_growth_reaches_a_limit_is_known_to_a_fifth() -> None:
    worlds = made_worlds(250, 90, seed=3)
    rows = np.flatnonzero(worlds.steady)
    after = np.maximum.accumulate(worlds.busiest[rows, 90:], 1)
    limits = after[:, 39]
    truth = np.array([np.argmax(own >= limit) + 1 for own, limit in zip(after, limits, strict=True)])
    found = forecasts(busiest(worlds.seen[rows]), AHEAD_DAYS, levels_of(worlds.seen[rows]))
    ends = [until_full(chances) for chances in found.over(limits)]
    medians = np.array([AHEAD_DAYS if end.median_days is None else end.median_days for end in ends])
    assert np.median(np.abs(medians - truth) / truth) <= 0.2
    within = [
        (end.soonest_days or AHEAD_DAYS) <= day <= (end.latest_days or AHEAD_DAYS)
        for end, day in zip(ends, truth, strict=True)
    ]
    assert np.mean(within) >= 0.75


@pytest.mark.parametrize(
    ("days", "confidence", "said"),
    [
        (0, Confidence.NONE, "no day of data; a forecast needs 3"),
        (2, Confidence.NONE, "2 days of data; a forecast needs 3"),
        (5, Confidence.LOW, "5 days of data; no season before 14: a line with a wide band"),
        (13, Confidence.LOW, "13 days of data; no season before 14: a line with a wide band"),
    ],
)
def test_little_data_are_said_to_be_little(days: int, confidence: Confidence, said: str) -> None:
    values = np.full((1, 20, 24), np.nan)
    if days:
        values[:, -days:] = week(days, 0.02)
    found = forecasts(values, 7)
    assert (found.confidence, found.reasons, found.days) == ([confidence], [said], [days])
    assert np.isnan(found.expected).all() == (confidence is Confidence.NONE)
    assert (found.growth[0] is None) == (confidence is Confidence.NONE)


def test_a_day_that_is_missing_is_not_a_day_without_load() -> None:
    values = week(42)
    gone = values.copy()
    gone[:, 20:23] = np.nan
    assert forecasts(gone, 7).expected == pytest.approx(forecasts(values, 7).expected, rel=0.02)


def test_outliers_bend_little() -> None:
    values = week(42)
    wild = values.copy()
    wild[0, ::9, 3] *= 5
    wild[0, 17] *= 3
    assert forecasts(wild, 7).expected == pytest.approx(forecasts(values, 7).expected, rel=0.1)


def test_what_is_hardly_called_is_not_foreseen() -> None:
    values = np.zeros((1, 42, 24))
    values[0, 3, 3] = 1
    found = forecasts(values, 7)
    assert found.growth == [None]
    assert np.isnan(found.expected).all()


def test_series_of_different_age_are_foreseen_as_if_alone() -> None:
    old, young = week(60, 0.01), week(60)
    young[:, :40] = np.nan
    both = forecasts(np.concatenate([old, young]), 7)
    alone = forecasts(young, 7)
    assert both.expected[1] == pytest.approx(alone.expected[0])
    assert (both.reasons[1], both.days[1]) == (alone.reasons[0], 20)


def test_a_limit_is_reached_when_a_day_may_be_above_it() -> None:
    chances = np.array([0.0, 0.1, 0.3, 0.4, 0.6, 0.7, 0.9])
    assert until_full(chances) == UntilFull(3, 5, 7)
    assert until_full(chances[:4]) == UntilFull(3, None, None)
    assert until_full(chances, reached=True) == UntilFull(0, 0, 0)
    assert until_full(np.full(3, np.nan)) == UntilFull(None, None, None)


@settings(deadline=None, max_examples=repetitions(30))
@given(st.integers(0, 30), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 1e-9, 1e300, 5e-324]))
def test_whatever_load_was_a_forecast_is_finite_or_none(days: int, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.poisson(1, (3, days, 24)) * size * rng.choice([1.0, np.nan], (3, days, 24), p=[0.7, 0.3])
    found = forecasts(values, 10)
    for row in range(3):
        there = found.growth[row] is not None
        assert np.isfinite(found.expected[row]).all() == there
        assert there == (found.confidence[row] is not Confidence.NONE)
        assert found.reasons[row]
    chances = found.over(np.array([1.0, 1e-3, 1e6]))
    assert np.all(np.isnan(chances) | ((chances >= 0) & (chances <= 1)))
    assert LEAST_DAYS < FULL_DAYS
