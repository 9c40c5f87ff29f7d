"""Worlds of load whose truth is known: growth, seasons, noise, outliers, gaps; and when each will be full."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from plugwarden_collector.capacity.gaps import Floats

__all__ = ["World", "Worlds", "made_worlds", "queue_steps"]

HOURS = 24
WARM = 200
"""Days of truth after what is seen."""


@dataclass(frozen=True)
class Worlds:
    """Many series; arrays have a row each."""

    seen: Floats
    """(series, days, 24): what was measured, with gaps."""
    future: Floats
    """(series, days, 24): what came after."""
    busiest: Floats
    """(series, days): the usual busiest hour of each day, seen and after, without its noise."""
    growth: Floats
    """(series): by day, of the first."""
    steady: Floats
    """(series): whether it grows by a line, by half a per cent a day and more, and its level does not wander."""


World = Worlds


def made_worlds(count: int, days: int, seed: int, after: int = WARM) -> Worlds:
    """Return worlds that were seen for some days: a third each does not grow, grows by a line, or by a ratio; in 3 of 10 the level wanders
    by up to 2 % a day; 1 value in 200 is up to four times as high, 1 in 50 is missing, and in every other a whole day."""
    rng = np.random.default_rng(seed)
    whole = days + after
    day, hour = np.arange(whole), np.arange(HOURS)
    kind = rng.integers(0, 3, count)
    growth = np.where(kind == 0, 0.0, rng.uniform(-0.002, 0.015, count))
    line, ratio = 1 + growth[:, None] * day, np.exp(0.7 * growth[:, None] * day)
    level = np.where((kind == 1)[:, None], line, ratio)
    of_week = np.ones((count, 7))
    weekend, begins = rng.uniform(0.3, 1.1, count), rng.integers(0, 7, count)
    for row in range(count):
        of_week[row, (begins[row] + np.arange(2)) % 7] = weekend[row]
    turn = 2 * np.pi * (hour - rng.uniform(0, HOURS, count)[:, None]) / HOURS
    of_day = 1 + rng.uniform(0.1, 0.8, count)[:, None] * (np.cos(turn) + 0.2 * np.cos(2 * turn))
    of_day = np.maximum(of_day, 0.02)
    base = 10 ** rng.uniform(-1, 3, count)
    usual = base[:, None, None] * (level * of_week[:, day % 7])[:, :, None] * of_day[:, None, :]
    noise = _wandering(rng, count, whole, rng.uniform(0, 0.6, count)) * rng.uniform(0.02, 0.12, count)[:, None]
    hourly = rng.normal(size=usual.shape) * rng.uniform(0.03, 0.15, count)[:, None, None]
    drifts = rng.random(count) < 0.3
    drift = np.cumsum(rng.normal(size=(count, whole)) * (rng.uniform(0, 0.02, count) * drifts)[:, None], 1)
    came = usual * np.exp(noise + drift)[:, :, None] * np.exp(hourly)
    came = np.where(rng.random(came.shape) < 0.005, came * rng.uniform(2, 4, came.shape), came)
    seen = came[:, :days].copy()
    seen[rng.random(seen.shape) < 0.02] = np.nan
    for row in np.flatnonzero(rng.random(count) < 0.5):
        seen[row, rng.integers(1, days)] = np.nan
    higher = np.median(came[:, days:].max(2) / usual[:, days:].max(2) / np.exp(drift[:, days:]), 1)
    busiest = usual.max(2) * higher[:, None] * np.exp(drift)
    steady = (kind == 1) & (growth >= 0.005) & ~drifts
    return Worlds(seen, came[:, days:], busiest, growth, steady)


def _wandering(rng: np.random.Generator, count: int, days: int, kept: Floats) -> Floats:
    """Return noise of variance 1 of which each day keeps a part of the day before."""
    made = rng.normal(size=(count, days))
    for day in range(1, days):
        made[:, day] = kept * made[:, day - 1] + np.sqrt(1 - kept**2) * made[:, day]
    return made


def queue_steps(seed: int, most_ratio: float, minutes: int = 2000, servers: int = 8) -> tuple[Floats, Floats, float]:
    """Return calls a second and mean seconds of each minute of a queue with some servers (M/M/c, Erlang C) that was loaded up to a share of
    what it can do, and the calls a second at which a call takes twice as long as alone."""
    rng = np.random.default_rng(seed)
    alone = float(10 ** rng.uniform(-2.5, 0))
    most = servers / alone
    rate = most * most_ratio * rng.beta(2, 2, minutes)
    seconds = alone * _slowed(rate / most, servers) * np.exp(rng.normal(0, 0.08, minutes))
    share = np.linspace(0.01, 0.999, 5000)
    bend = share[np.argmax(_slowed(share, servers) >= 2)]
    return rate, seconds, float(bend * most)


def _slowed(share: Floats, servers: int) -> Floats:
    """Return how many times as long a call takes at a share of what the servers can do."""
    offered = share * servers
    blocked = np.ones_like(offered)
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    waits = blocked / (1 - share * (1 - blocked))
    found: Floats = 1 + waits / (servers * (1 - share))
    return found
