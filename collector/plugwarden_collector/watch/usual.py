"""What is usual for a plugin at this time of the day: a band around the same hours of the days before, by statistics that a bad day
does not bend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import number, percent
from plugwarden_collector.rules.alert_rule import AlertRule, Measure

from .sample import Sample
from .statement import MAX_ROWS

__all__ = ["AROUND", "DAYS", "Band", "Counts", "Windows", "anomalies", "band_of"]

DAYS = 14
"""Days whose same hours make the band: each day of the week twice."""
AROUND = 1
"""Windows before and after the same time of a day that count as well: what is done at a time is not done on the minute."""
MIN_DAYS = 7
"""Days with calls at this time below which nothing is said: a week has a weekend."""
MIN_CALLS = 20
"""Calls in a window below which neither a share nor a duration says anything (as `min_events` of an objective)."""
NORMAL = 1.4826
"""A normal distribution's standard deviation in units of its median absolute deviation."""
MAX_LOG = 20.0
"""Largest logarithm of a factor: beyond a hundred million nothing is unusual."""
MIN_RELATIVE = 0.05
"""Least deviation in units of the middle that counts as one: what is within a few hundredths is noticed by nobody."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls of a plugin in one window."""

    calls: float = 0.0
    """Those that were asked for, refused ones too."""
    ended: float = 0.0
    """Those that ended by themselves."""
    failed: float = 0.0
    seconds: float = 0.0
    """What those that ended took together."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Calls of a plugin in the window that ends now, and in those at the same time of the days before."""

    plugin: str
    now: Counts
    past: Mapping[tuple[int, int], Counts] = field(default_factory=dict)
    """(days ago, windows beside the same time) -> calls; a window without any is not there."""
    age_days: int = 0
    """Whole days since its first call that is looked at."""


@dataclass(frozen=True, slots=True)
class Band:
    """Values that are usual."""

    middle: float
    low: float
    high: float
    windows: int
    """Windows that it was made of."""


def anomalies(rule: AlertRule, found: Iterable[Windows]) -> list[Sample]:
    """Return a sample for each plugin that the rule is about and of which is known what is usual."""
    samples = []
    for item in found:
        if not rule.covers(item.plugin, ""):
            continue
        value, band = _value(rule.measure, item.now), band_of(rule.measure, item, rule.deviations)
        if band is None or value is None:
            samples.append(Sample({"plugin": item.plugin}, None, None, "too little is known to say what is usual"))
            continue
        met = not band.low <= value <= band.high
        side = "above" if value > band.high else "below" if value < band.low else "within"
        shown = {Measure.CALLS: number, Measure.FAILED: percent, Measure.DURATION: duration}[rule.measure]
        usual = f"{shown(band.low)} to {shown(band.high)}" if band.low > 0 else f"at most {shown(band.high)}"
        said = f"{rule.measure.words} {shown(value)} within {duration(rule.over_seconds)}, {side} what is usual at this time ({usual})"
        detail = {"value": value, "low": band.low, "high": band.high, "middle": band.middle, "windows": band.windows}
        samples.append(Sample({"plugin": item.plugin}, met, not met, said, detail))
    missed = [sample for sample in samples if sample.met]
    if len(missed) <= MAX_ROWS:
        return samples
    said = f"{len(missed)} plugins are not as usual"
    held = [Sample(sample.labels, None, None, said) for sample in samples]
    return [*held, Sample({}, True, False, said, {"value": len(missed), "limit": MAX_ROWS})]


def band_of(measure: Measure, item: Windows, deviations: float) -> Band | None:
    """Return what is usual for a plugin at this time; None where too little is known.

    The deviation is that of the windows, or what chance alone does to so many calls where that is more. What was so on the same day of a
    week before is usual as well: a Sunday is no bad Monday.
    """
    days = range(1, min(DAYS, item.age_days) + 1)
    places = [(day, beside) for day in days for beside in range(-AROUND, AROUND + 1)]
    empty = Counts()
    values = [value for place in places if (value := _value(measure, item.past.get(place, empty))) is not None]
    if len(days) < MIN_DAYS or len({day for day, _ in item.past}) < MIN_DAYS or len(values) < MIN_DAYS:
        return None
    middle = median(values)
    low, high = _around(measure, values, middle, deviations)
    wide = deviations * _least(measure, middle, item.now.ended)
    low, high = min(low, middle - wide), max(high, middle + wide)
    for place in places:
        if place[0] % 7 == 0 and (value := _value(measure, item.past.get(place, empty))) is not None:
            wide = deviations * _least(measure, value, item.now.ended)
            low, high = min(low, value - wide), max(high, value + wide)
    if measure is not Measure.CALLS:  # nobody is troubled by what fails more rarely, or is faster
        low = 0.0
    return Band(middle, max(0.0, low), high, len(values))


def _value(measure: Measure, counts: Counts) -> float | None:
    """Return what is measured; None where so few calls say nothing of it."""
    if measure is Measure.CALLS:
        return counts.calls
    if counts.ended < MIN_CALLS:
        return None
    return (counts.failed if measure is Measure.FAILED else counts.seconds) / counts.ended


def _around(measure: Measure, values: Sequence[float], middle: float, deviations: float) -> tuple[float, float]:
    """Return the band of so many deviations of some values around their middle.

    Calls and times differ by factors (a busy day has a tenth more, whatever the hour), so that theirs is measured in logarithms.
    """
    if measure is Measure.FAILED:
        wide = deviations * NORMAL * median(abs(value - middle) for value in values)
        return middle - wide, middle + wide
    least = 0.5 if measure is Measure.CALLS else 1e-9  # half a call, or a nanosecond, stands for none
    origin = math.log(max(middle, least))
    wide = deviations * NORMAL * median(abs(math.log(max(value, least)) - origin) for value in values)
    factor = math.exp(min(wide, MAX_LOG))
    return middle / factor, max(middle, least) * factor


def _least(measure: Measure, usual: float, ended: float) -> float:
    """Return the least deviation that counts as one: what chance alone gives a count, or a share of so many calls."""
    chance = 0.0
    if measure is Measure.CALLS:
        chance = math.sqrt(max(1.0, usual))
    elif measure is Measure.FAILED:
        share = min(max(usual, 1.0 / max(1.0, ended)), 0.5)
        chance = math.sqrt(share * (1.0 - share) / max(1.0, ended))
    return max(chance, MIN_RELATIVE * usual)
