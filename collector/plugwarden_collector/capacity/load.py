"""Load by the hour: what forecasts are made of. NaN: nothing is known of an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from .gaps import Floats, Ints, mean_known
from .resource import Resource

__all__ = ["HOUR", "HOURS", "Load", "busiest", "by_day", "load_of"]

HOUR = timedelta(hours=1)
HOURS = 24
"""Hours of a day."""


@dataclass(frozen=True, slots=True)
class Load:
    """Means of each full hour of some plugins."""

    plugins: tuple[str, ...]
    until: datetime
    """End of the last hour, UTC."""
    values: dict[Resource, Floats]
    """(plugins, hours) of each resource that is known by the hour."""

    @classmethod
    def nothing(cls, plugin: str, until: datetime) -> Load:
        """Return that of a plugin of which no hour is known."""
        return cls((plugin,), until, {resource: np.empty((1, 0)) for resource in Resource})

    def of(self, plugin: str, resource: Resource) -> Floats:
        """Return (hours) of one plugin."""
        found: Floats = self.values[resource][self.plugins.index(plugin)]
        return found


def load_of(
    names: Sequence[str], place: Ints, hours: Ints, sums: dict[Resource, Floats], first: datetime, until: datetime
) -> Load:
    """Return loads from sums of hours: place of the plugin in `names`, number of the hour since `first`, and calls, busy and CPU seconds
    within it, row by row.

    An hour in which no plugin was called is one in which nobody was heard: NaN. So are those before a plugin's second hour, for the
    first may have begun within it. CPU of a plugin of which none was ever measured is NaN.
    """
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    size = (len(names), max(0, round((until - first) / HOUR)))
    cells = (rank[place], hours)
    there = np.zeros(size, bool)
    there[cells] = True
    heard, begun = there.any(0), np.zeros(size, bool)
    begun[:, 1:] = np.logical_or.accumulate(there, 1)[:, :-1]
    unknown = ~(heard & begun)
    values = {}
    for resource, amounts in sums.items():
        found = np.zeros(size)
        np.add.at(found, cells, amounts / HOUR.total_seconds())
        if resource is Resource.CPU:
            found[~(found > 0).any(1)] = np.nan
        found[unknown] = np.nan
        values[resource] = found
    return Load(tuple(names[number] for number in order), until, values)


def by_day(hours: Floats) -> Floats:
    """Return (series, days, 24) of (series, hours); days end where the hours do, and the first may be unknown in part."""
    series, count = hours.shape
    days = -(-count // HOURS)
    padded = np.full((series, days * HOURS), np.nan)
    padded[:, days * HOURS - count :] = hours
    return padded.reshape(series, days, HOURS)


def busiest(days: Floats) -> Floats:
    """Return (series, days, 1): the busiest hour of each day; NaN where too little of the day is known to say."""
    known = np.where(np.isnan(days), -np.inf, days).max(2, keepdims=True)
    return np.where(np.isnan(mean_known(days, 2, HOURS * 3 // 4))[:, :, None], np.nan, known)
