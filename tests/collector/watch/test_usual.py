"""What is usual at this time of the day, over worlds whose truth is known: false alarms of ordinary noise are counted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import pytest
from plugwarden_collector.rules.alert_keys import DEVIATIONS
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule, Measure
from plugwarden_collector.watch.usual import AROUND, DAYS, MIN_DAYS, Band, Counts, Windows, anomalies, band_of

from tests.share import repetitions

PER_DAY = 48
"""Windows of half an hour."""
Rate = Callable[[int], float]
"""Window from the beginning on -> calls that are to be expected in it."""


def rule(measure: Measure) -> AlertRule:
    return AlertRule("unusual", AlertKind.ANOMALY, measure=measure, over_seconds=1800.0, deviations=DEVIATIONS)


def poisson(chance: random.Random, mean: float) -> int:
    return max(0, round(chance.gauss(mean, math.sqrt(mean)))) if mean > 50 else _small(chance, mean)


def _small(chance: random.Random, mean: float) -> int:
    left, count = math.exp(-mean), 0
    product = chance.random()
    while product > left:
        product *= chance.random()
        count += 1
    return count


def office(peak: float) -> Rate:
    """Calls by day, few at night, and a tenth of them on Saturdays and Sundays."""

    def rate(window: int) -> float:
        day, hour = window // PER_DAY, (window % PER_DAY) / 2
        busy = peak * (0.05 + max(0.0, math.sin((hour - 7) / 12 * math.pi))) if 7 <= hour <= 19 else 0.05 * peak
        return busy * (0.1 if day % 7 >= 5 else 1.0)

    return rate


def world(rate: Rate, days: int, seed: int, *, failing: float = 0.02, seconds: float = 0.1) -> list[Counts]:
    """Independent calls, each of which fails by the same chance and takes its time; from day to day there are more or fewer by a tenth."""
    chance = random.Random(seed)
    found = []
    for window in range(days * PER_DAY):
        if window % PER_DAY == 0:
            more = chance.lognormvariate(0.0, 0.1)
        calls = poisson(chance, rate(window) * more)
        failed = poisson(chance, calls * failing) if calls else 0
        took = calls * seconds * chance.lognormvariate(0.0, 0.05) if calls else 0.0
        found.append(Counts(calls, calls, min(failed, calls), took))
    return found


def at(windows: list[Counts], index: int) -> Windows:
    """Return what is seen of a world after one of its windows."""
    past = {
        (day, beside): windows[place]
        for day in range(1, DAYS + 1)
        for beside in range(-AROUND, AROUND + 1)
        if (place := index - day * PER_DAY - beside) >= 0 and windows[place].calls
    }
    return Windows("csv", windows[index], past, index // PER_DAY)


def alarms(measure: Measure, windows: list[Counts], days: range) -> Iterator[int]:
    """Yield the windows of some days that are told as unusual and were not in the window before."""
    before = False
    for index in range(days.start * PER_DAY, days.stop * PER_DAY):
        (sample,) = anomalies(rule(measure), [at(windows, index)])
        if sample.met and not before:
            yield index
        before = bool(sample.met)


@pytest.mark.parametrize("measure", Measure)
def test_ordinary_noise_makes_less_than_one_false_alarm_a_month_in_fifty_plugins(measure: Measure) -> None:
    """A month each of fifty plugins, from one call in half an hour to 30,000, with nights, weekends and days that differ."""
    found, months = 0, repetitions(50)
    for seed in range(months):
        windows = world(office(10 ** (seed % 5) * 3), 15 + 30, seed)
        found += len(list(alarms(measure, windows, range(15, 45))))
    assert found <= 1, f"{found} false alarms in {months} months"


@pytest.mark.parametrize(
    ("measure", "changed"),
    [
        (Measure.CALLS, lambda was: Counts(was.calls * 5, was.ended * 5, was.failed * 5, was.seconds * 5)),
        (Measure.CALLS, lambda was: Counts(was.calls * 0.2, was.ended * 0.2, 0.0, was.seconds * 0.2)),
        (Measure.FAILED, lambda was: Counts(was.calls, was.ended, was.ended * 0.3, was.seconds)),
        (Measure.DURATION, lambda was: Counts(was.calls, was.ended, was.failed, was.seconds * 3)),
    ],
)
def test_what_is_truly_otherwise_by_day_is_found(measure: Measure, changed: Callable[[Counts], Counts]) -> None:
    missed = 0
    for seed in range(20):
        windows = world(office(1_000), 30, seed)
        index = 22 * PER_DAY + 26  # one o'clock on a working day
        windows[index] = changed(windows[index])
        (sample,) = anomalies(rule(measure), [at(windows, index)])
        missed += not sample.met
    assert missed == 0


def test_with_too_little_past_nothing_is_said() -> None:
    windows = world(office(1_000), 30, 1)
    for index in (0, PER_DAY, (MIN_DAYS - 1) * PER_DAY):
        (sample,) = anomalies(rule(Measure.CALLS), [at(windows, index)])
        assert (sample.met, sample.over) == (None, None)
    assert anomalies(rule(Measure.CALLS), [at(windows, 9 * PER_DAY)])[0].met is not None


def test_few_calls_say_nothing_of_shares_and_times() -> None:
    windows = world(office(1_000), 30, 1)
    seen = at(windows, 20 * PER_DAY + 26)
    few = Windows("csv", Counts(5, 5, 5, 100.0), seen.past, seen.age_days)
    for measure in (Measure.FAILED, Measure.DURATION):
        assert anomalies(rule(measure), [few])[0].met is None


def test_one_bad_day_bends_no_band() -> None:
    windows = world(office(1_000), 30, 2)
    index = 22 * PER_DAY + 26
    before = band_of(Measure.CALLS, at(windows, index), DEVIATIONS)
    bad = index - 2 * PER_DAY
    windows[bad] = Counts(windows[bad].calls * 100, windows[bad].ended, 0.0, 0.0)
    after = band_of(Measure.CALLS, at(windows, index), DEVIATIONS)
    assert isinstance(before, Band)
    assert isinstance(after, Band)
    assert after.high < before.high * 1.2


def test_what_is_told_names_the_band() -> None:
    past = {(day, beside): Counts(100, 100, 1, 10.0) for day in range(1, DAYS + 1) for beside in range(-1, 2)}
    (sample,) = anomalies(rule(Measure.CALLS), [Windows("csv", Counts(1_000, 1_000, 10, 100.0), past, 20)])
    assert sample.said == "calls: 1,000 within 30 min, above what is usual at this time (50 to 150)"
    assert sample.detail == {"value": 1_000, "low": 50.0, "high": 150.0, "middle": 100, "windows": 42}
