"""Where latency bends as load grows: how much a plugin can do, as its calls have shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .gaps import Floats, Ints

__all__ = ["Bend", "Ceiling", "LoadStep", "ceiling_of"]

LEAST_STEPS = 120
"""Steps without which nothing is said: six in each of twenty classes of load."""
CLASSES = 20
"""Classes of load, with as many steps each."""
LIGHT_CLASSES = 6
"""Classes with the least load, whose time is that of a call by itself."""
SLOWER = 2.0
"""How many times as long as by itself a call takes at the ceiling: half of its time it waits. (Of a queue with one server this is at
half of what it can do, of one with eight at nine tenths.)"""
BENT = 1.25
"""How many times as long a call must take at the most load seen, for a bend to be seen at all: noise of minutes is a few per cent."""
FARTHEST = 10.0
"""How many times the most load a ceiling is reckoned for: a line that meets it later is level, but for noise."""
DRAWS = 200
"""Times that the steps are drawn anew for the interval."""
BLOCK = 60
"""Steps that are drawn together, an hour of minutes: what slows one minute slows the next ones, and drawn one by one such minutes look like
as many witnesses."""
INTERVAL = (0.10, 0.90)
"""Quantiles of these draws: of what chance does, an interval of 80 %; with the classes beside it more."""
SEED = 66
"""Seed of the draws, so that an interval is the same however often it is asked for."""


@dataclass(frozen=True, slots=True)
class LoadStep:
    """Calls of one plugin within a minute."""

    calls_per_second: float
    seconds: float
    """Mean time of those that ran."""


class Bend(StrEnum):
    """Whether latency bends."""

    SEEN = "seen"
    NEAR = "near"
    """It rises, and has not doubled: the ceiling lies beyond what was seen, and is reckoned from the rise."""
    NOT_SEEN = "not_seen"
    """Load never came near the ceiling."""
    UNKNOWN = "unknown"
    """Too few steps to say."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How much a plugin can do, as far as its calls have shown."""

    bend: Bend
    calls_per_second: float | None
    """Where a call takes twice as long as by itself; null where no bend was seen."""
    low: float | None
    """Load up to which calls are faster, in nine of ten draws of the hours that were seen; of `near` the most load that was seen, for how a
    curve goes on is no matter of chance."""
    high: float | None
    """Load from which on they are slower, in nine of ten; of `near` where the rise would double the time in nine of ten, null where it
    would not. Between both lies at least a class of load, a twentieth of the steps: nothing is known finer."""
    concurrency: float | None
    """Calls under way there (Little's law)."""
    most_seen: float | None
    """Most calls a second that were seen: at least so many it can do."""
    alone_seconds: float | None
    """Time of a call at light load."""
    reason: str
    """In a few words."""


def ceiling_of(steps: Sequence[LoadStep]) -> Ceiling:
    """Return the ceiling of a plugin.

    Time is fitted against calls a second and not against concurrency, which a slow minute raises by itself, whatever its load. The fit
    is the rising curve nearest to the medians of classes of load; beyond what was seen, the line of 1/time, as a queue has it.
    """
    used = [step for step in steps if step.calls_per_second > 0 and step.seconds > 0]
    if len(used) < LEAST_STEPS:
        said = f"{len(used)} minutes with calls; {LEAST_STEPS} are the least"
        return Ceiling(Bend.UNKNOWN, None, None, None, None, None, None, said)
    rate = np.array([step.calls_per_second for step in used])
    seconds = np.array([step.seconds for step in used])
    most = float(rate.max())
    fit = _fit(rate, seconds)
    found, alone, rise = fit.place, fit.alone, fit.rise
    draws = [_fit(rate[picked], seconds[picked]) for picked in _drawn(len(rate))]
    sure = float(np.quantile([draw.rise for draw in draws], INTERVAL[0])) >= BENT
    if not sure or found is None:
        said = f"latency does not bend up to {most:.3g} calls/s, the most that was seen"
        return Ceiling(Bend.NOT_SEEN, None, None, None, None, most, alone, said)
    # Order statistics, and no means of them: of a draw whose latency never doubles, the place is infinite.
    low = float(np.quantile([draw.low for draw in draws], INTERVAL[0], method="lower"))
    high = float(np.quantile([draw.high for draw in draws], INTERVAL[1], method="higher"))
    bend = Bend.SEEN if rise >= SLOWER else Bend.NEAR
    if bend is Bend.NEAR:
        # Draws say nothing of how a curve goes on: it may be met as soon as what was seen ends, for queues bend ever steeper.
        low = float(np.quantile(rate, 1 - 1 / CLASSES))
    said = (
        f"a call takes {SLOWER:g} times as long from {found:.3g} calls/s on"
        if bend is Bend.SEEN
        else f"a call takes {rise:.2g} times as long at the most load seen; twice is reckoned from the rise"
    )
    upper = max(high, found) if math.isfinite(high) else None
    return Ceiling(bend, found, min(low, found), upper, found * SLOWER * alone, most, alone, said)


def _drawn(steps: int) -> Iterator[Ints]:
    """Yield the steps of each draw: blocks of neighbours in time, from a circle, so that each step is as likely as any."""
    size = max(1, min(BLOCK, steps // CLASSES))
    starts = np.random.default_rng(SEED).integers(0, steps, (DRAWS, -(-steps // size)))
    for row in starts:
        yield ((row[:, None] + np.arange(size)).reshape(-1)[:steps]) % steps


@dataclass(frozen=True, slots=True)
class _Fit:
    place: float | None
    """Calls a second at which a call takes `SLOWER` times as long as alone; None: nothing says when."""
    low: float
    """Load of the class before, of the place itself where it is reckoned from the rise; infinite where there is none."""
    high: float
    """Load of the class after it; likewise."""
    alone: float
    """Its time alone, in seconds."""
    rise: float
    """How many times as long it takes at the most load."""


def _fit(rate: Floats, seconds: Floats) -> _Fit:
    parts = np.array_split(np.argsort(rate, kind="stable"), CLASSES)
    load = np.array([np.median(rate[part]) for part in parts])
    time = np.array([np.median(seconds[part]) for part in parts])
    alone = float(np.median(time[:LIGHT_CLASSES]))
    rising = _rising(time) / alone
    rise = float(rising[-1])
    if rise >= SLOWER:
        place = int(np.argmax(rising >= SLOWER))
        if place == 0:
            return _Fit(float(load[0]), 0.0, float(load[0]), alone, rise)
        low, high = float(load[place - 1]), float(load[place])
        part = (SLOWER - rising[place - 1]) / (rising[place] - rising[place - 1])
        return _Fit(low + float(part) * (high - low), low, high, alone, rise)
    upper = slice(CLASSES // 2, None)
    slope, start = np.polyfit(load[upper], 1 / rising[upper], 1)
    reckoned = float((1 / SLOWER - start) / slope) if slope < 0 else math.inf
    if reckoned > FARTHEST * load[-1]:
        return _Fit(None, math.inf, math.inf, alone, rise)
    return _Fit(reckoned, reckoned, reckoned, alone, rise)


def _rising(values: Floats) -> Floats:
    """Return the curve that never falls and is nearest to values (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (before, many), (last, few) = blocks[-2:]
            blocks[-2:] = [((before * many + last * few) / (many + few), many + few)]
    return np.repeat([value for value, _ in blocks], [count for _, count in blocks])
