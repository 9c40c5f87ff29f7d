"""What is to come, with an interval that its own past has earned: every forecast is made again as of earlier days and compared with what
came. ADR 0066."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from .gaps import Floats, Ints, mean_known
from .season import WEEK, WEEKS_NEEDED, Growth, Season, levels_of, seasons_of

__all__ = ["FULL_DAYS", "LEAST_DAYS", "LEVELS", "MOST_DAYS", "Confidence", "Forecasts", "forecasts"]

LEAST_DAYS = 3
"""Days without which nothing is foreseen: two give one slope, and no idea how sure it is."""
FULL_DAYS = WEEKS_NEEDED * WEEK
"""Days from which on a forecast knows days of the week, and has a past to be tried on."""
MOST_DAYS = 90
"""Days of the past that are used: what was usual a quarter ago says little of tomorrow, and all pairs of days are compared."""
CHUNK = 32
"""Series of one turn: the pairs of 90 days of these take 1 MB, and their back-test a few."""
ORIGINS = 10
"""Days of the past that a forecast is made again for, at most."""
LEVELS = (0.80, 0.95)
"""Shares of what comes that the two intervals are to hold."""
DRIFT = 0.02
"""Growth of the variance with each day ahead, of that of a day: levels wander. Of 0, 0.02 and 0.05, with this one the interval held 75 to
83 of 100 values at each distance from a day to eight weeks (benchmarks/capacity_truth.py; ADR 0066)."""
KEEPS_LINE = 0.95
"""What the error of a line is taken times when ways to grow are compared: where they are alike, it is the line."""
WIDE_BY = 3.0
"""What the spread is taken times where there is no past to try a forecast on."""
SPREAD_LEAST = 0.01
"""Least half-width of an interval, as a logarithm: no past of a few weeks shows that a value is known to less than 1 %."""
GOOD_ERROR_RATIO = 0.15
"""Mean error of a week ahead up to which confidence is high."""
FAIR_ERROR_RATIO = 0.35
"""Mean error of a week ahead up to which confidence is medium."""
HIGH_DAYS = 28
"""Days below which confidence is not high: four of each day of the week."""
MOST_VALUE = 1e100
"""Values above are taken for this one, for sums and products of what strangers send must be finite."""
_EIGHTY = NormalDist().inv_cdf(0.5 + LEVELS[0] / 2)


class Confidence(StrEnum):
    """How far a forecast may be trusted, by how it did before."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Forecasts of some series. Arrays have a row a series; NaN: none is made, and `reasons` says why."""

    expected: Floats
    """(series, days, steps): the median of what is to come."""
    spread: Floats
    """(series, days): standard deviation of its logarithm."""
    half_widths: Floats
    """(2, series, days): half of the interval of each of `LEVELS`, as a logarithm."""
    growth: list[Growth | None]
    """How each is taken to grow."""
    confidence: list[Confidence]
    reasons: list[str]
    """Why confidence is what it is, in a few words."""
    days: list[int]
    """Days that each rests on."""
    error_ratio: Floats
    """(series): mean absolute error of the next seven days, of what came (MAPE); NaN where it was not tried."""
    coverage_ratio: Floats
    """(series): share of what came within the 80 % interval, each earlier day judged by the others; NaN where it was not tried."""

    def bounds(self, level: int) -> tuple[Floats, Floats]:
        """Return (series, days, steps) twice: the lower and upper end of the interval of `LEVELS[level]`."""
        wide = self.half_widths[level][:, :, None]
        return self.expected * np.exp(-wide), self.expected * np.exp(wide)

    def over(self, limits: Floats) -> Floats:
        """Return (series, days): how likely the highest step of each day is above a limit of each series; NaN where none is known."""
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = (np.log(limits)[:, None] - np.log(self.expected.max(2))) / self.spread
        found: Floats = np.vectorize(_above, otypes=[float])(distance)
        return found


def forecasts(values: Floats, ahead: int, levels: Floats | None = None) -> Forecasts:
    """Return forecasts of the next `ahead` days of (series, days, steps); NaN is missing, and all end on the same day.

    `levels` is (series, days), the mean of each day, where a step is not a part of it, such as the busiest hour. Days before the first
    that is known are not counted. Memory is bounded by `CHUNK`.
    """
    values = np.clip(values[:, -MOST_DAYS:], 0, MOST_VALUE)
    levels = levels_of(values) if levels is None else np.clip(levels[:, -MOST_DAYS:], 0, MOST_VALUE)
    series, days, steps = values.shape
    made = Forecasts(
        np.full((series, ahead, steps), np.nan),
        np.full((series, ahead), np.nan),
        np.full((len(LEVELS), series, ahead), np.nan),
        [None] * series,
        [Confidence.NONE] * series,
        [f"no day of data; a forecast needs {LEAST_DAYS}"] * series,
        [0] * series,
        np.full(series, np.nan),
        np.full(series, np.nan),
    )
    known = ~np.isnan(levels)
    first = np.sum(~np.logical_or.accumulate(known, 1), axis=1)
    counts = known.sum(1)
    for length in sorted({days - int(start) for start in first}):  # those that are as old go together
        rows = np.flatnonzero(days - first == length)
        for begin in range(0, len(rows), CHUNK):
            part = rows[begin : begin + CHUNK]
            _foresee(made, part, values[part, days - length :], levels[part, days - length :], counts[part], ahead)
    return made


def _foresee(made: Forecasts, rows: Ints, values: Floats, levels: Floats, counts: Ints, ahead: int) -> None:
    """Write the forecasts of series that are equally old into their rows of `made`."""
    days = values.shape[1]
    if days < LEAST_DAYS:
        for row, count in zip(rows, counts, strict=True):
            if count:
                made.days[row] = int(count)
                made.reasons[row] = f"{_days(int(count))} of data; a forecast needs {LEAST_DAYS}"
        return
    seasons = seasons_of(values, levels)
    tried = _Trial(values, levels) if days >= FULL_DAYS else None
    chosen = [Growth.LINEAR] * len(rows) if tried is None else tried.choose()
    for place, row in enumerate(rows):
        growth, count = chosen[place], int(counts[place])
        season = seasons[growth]
        made.days[row] = count
        if count < max(LEAST_DAYS, days / 2) or not _rises_above_nothing(season, place):
            made.reasons[row] = f"{_days(count)} with calls of {_days(days)}; too few to foresee anything"
            continue
        made.growth[row] = growth
        if tried is None:
            residuals = _residuals(values[place : place + 1], _past(season, place, days), season.least[[place]])
            scale = WIDE_BY * max(SPREAD_LEAST, float(np.nanquantile(np.abs(residuals), LEVELS[0])))
            scales: tuple[float, ...] = (scale, 2 * scale)
            made.confidence[row] = Confidence.LOW
            made.reasons[row] = f"{_days(count)} of data; no season before {FULL_DAYS}: a line with a wide band"
        else:
            scales = tried.scales(place, growth)
            made.error_ratio[row], made.coverage_ratio[row] = tried.record(place, growth)
            made.confidence[row], made.reasons[row] = _trusted(count, float(made.error_ratio[row]))
        wide = _widths(days, np.arange(1, ahead + 1), growth)
        for level, scale in enumerate(scales):
            made.half_widths[level, row] = scale * wide
        made.spread[row] = scales[0] / _EIGHTY * wide
        made.expected[row] = _one(season, place).expected(ahead)[0]


class _Trial:
    """Forecasts made again as of earlier days, and how they did."""

    def __init__(self, values: Floats, levels: Floats) -> None:
        days, steps = values.shape[1:]
        first = max(FULL_DAYS, days // 2)
        origins = sorted({round(at) for at in np.linspace(first, days - 1, ORIGINS)}) if days > first else []
        self._origin = np.concatenate([np.full((days - at) * steps, at) for at in origins] or [np.empty(0, int)])
        self._ahead = np.concatenate([np.repeat(np.arange(days - at), steps) for at in origins] or [np.empty(0, int)])
        found: dict[Growth, list[Floats]] = {growth: [] for growth in Growth}
        for at in origins:
            for growth, season in seasons_of(values[:, :at], levels[:, :at]).items():
                error = _residuals(values[:, at:], season.expected(days - at), season.least)
                found[growth].append(error.reshape(len(values), -1))
        nothing = np.empty((len(values), 0))
        self._errors = {growth: np.concatenate(parts or [nothing], 1) for growth, parts in found.items()}
        """(series, what came after each origin): logarithm of what came, of what was expected."""
        self._widths = {
            growth: np.concatenate(
                [np.repeat(_widths(at, np.arange(1, days - at + 1), growth), steps) for at in origins]
            )
            if origins
            else np.empty(0)
            for growth in Growth
        }

    def choose(self) -> list[Growth]:
        """Return how each series is taken to grow: as would have been wrong the least."""
        ways = list(Growth)
        errors = np.stack([mean_known(np.abs(self._errors[way]), 1) for way in ways], 1)
        errors[:, ways.index(Growth.LINEAR)] *= KEEPS_LINE
        best = np.argmin(np.where(np.isnan(errors), np.inf, errors), 1)
        untried = np.flatnonzero(np.isnan(errors).all(1))
        return [Growth.LINEAR if row in untried else ways[way] for row, way in enumerate(best)]

    def scales(self, place: int, growth: Growth) -> tuple[float, ...]:
        """Return what widths are taken times for each of `LEVELS`: as held that share of what came (split conformal prediction; source:
        Lei et al., "Distribution-free predictive inference for regression", 2018)."""
        scores = self._scores(place, growth)
        return tuple(max(SPREAD_LEAST, _quantile(scores, level)) for level in LEVELS)

    def record(self, place: int, growth: Growth) -> tuple[float, float]:
        """Return the mean error of the next seven days, of what came, and the share of all that came within the 80 % interval."""
        errors, scores = self._errors[growth][place], self._scores(place, growth, known=False)
        near = errors[self._ahead < WEEK]
        near = near[~np.isnan(near)]
        wrong = float(np.mean(np.abs(np.expm1(-near)))) if len(near) else math.nan
        held = []
        for origin in np.unique(self._origin):
            own = self._origin == origin
            others, came = scores[~own], scores[own]
            if not np.isnan(came).all() and not np.isnan(others).all():
                held.append(came[~np.isnan(came)] <= _quantile(others[~np.isnan(others)], LEVELS[0]))
        return wrong, float(np.concatenate(held).mean()) if held else math.nan

    def _scores(self, place: int, growth: Growth, *, known: bool = True) -> Floats:
        scores: Floats = np.abs(self._errors[growth][place]) / self._widths[growth]
        return scores[~np.isnan(scores)] if known else scores


def _widths(days: int, ahead: Ints, growth: Growth) -> Floats:
    """Return how uncertain each day ahead is, of a day whose level is known: what a slope that was found in some days adds, as in a
    regression, and what levels drift by."""
    slope = 0.0 if growth is Growth.NONE else 12 * (ahead + days / 2) ** 2 / days**3
    found: Floats = np.sqrt(1 + slope + DRIFT * ahead)
    return found


def _residuals(came: Floats, expected: Floats, least: Floats) -> Floats:
    """Return logarithms of (series, days, steps), of what was expected; NaN where nothing came to be known."""
    lowest = least[:, None, None]
    return np.log(np.maximum(came, lowest)) - np.log(np.maximum(expected, lowest))


def _quantile(scores: Floats, level: float) -> float:
    """Return the least score that holds a share of all, and of one more."""
    if not len(scores):
        return math.inf
    rank = min(len(scores), math.ceil((len(scores) + 1) * level))
    return float(np.partition(scores, rank - 1)[rank - 1])


def _past(season: Season, place: int, days: int) -> Floats:
    """Return (1, days, steps): what a season says of the days that it was found in."""
    one = _one(season, place)
    start = one.start if one.growth is Growth.NONE else one.start - one.by_day * days
    of_week, of_day = (np.roll(factors, days % WEEK, 1) for factors in (one.of_week, one.of_day))
    turned = Season(days, one.growth, start, one.by_day, of_week, of_day, one.least)
    return turned.expected(days)


def _one(season: Season, place: int) -> Season:
    row = slice(place, place + 1)
    return Season(
        season.days, season.growth, season.start[row], season.by_day[row], season.of_week[row], season.of_day[row], season.least[row]
    )  # fmt: skip


def _rises_above_nothing(season: Season, place: int) -> bool:
    return bool(season.least[place] > np.finfo(float).tiny and np.isfinite(season.start[place]))


def _trusted(days: int, error: float) -> tuple[Confidence, str]:
    """Return how far a forecast is trusted that was tried on its past, and why."""
    if math.isnan(error):
        return Confidence.LOW, f"{_days(days)} of data; too few to try it on"
    said = f"{_days(days)} of data; a week ahead it was wrong by {error:.0%}".replace("%", " %")
    if days >= HIGH_DAYS and error <= GOOD_ERROR_RATIO:
        return Confidence.HIGH, said
    return (Confidence.MEDIUM if error <= FAIR_ERROR_RATIO else Confidence.LOW), said


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"


def _above(distance: float) -> float:
    """Return the share of a normal distribution above so many standard deviations."""
    return math.nan if math.isnan(distance) else 0.5 * math.erfc(distance / math.sqrt(2))
