"""How load goes on: curves for one plugin, and for all limits when they are reached."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from .demand import PluginDemand
from .forecast import MOST_DAYS, Confidence, Forecasts, forecasts
from .full import AHEAD_DAYS, UntilFull, until_full
from .gaps import Floats
from .limit import Utilisation, tightest
from .load import HOUR, HOURS, Load, busiest, by_day
from .resource import Resource
from .season import WEEK, Growth, levels_of

__all__ = ["Curve", "CurvePoint", "CurveStep", "Outlook", "Record", "curve_of", "outlooks"]

FORESEEN = (Resource.CALLS, Resource.CONCURRENCY, Resource.CPU)
"""Resources that are known by the hour for longer than a week."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a forecast rests on, and how it did on its own past."""

    growth: Growth | None
    """How load is taken to grow; null: nothing is foreseen."""
    confidence: Confidence
    reason: str
    """Why it is trusted no more, in a few words."""
    days: int
    """Days of data."""
    error_ratio: float | None
    """Mean absolute error of the next seven days, of what came (MAPE), by forecasts made again as of earlier days; null: not tried."""
    coverage_ratio: float | None
    """Share of what came that was within the interval of 80 %; null: not tried."""


@dataclass(frozen=True, slots=True)
class CurveStep:
    """An hour that was."""

    time: datetime
    """Its beginning, UTC."""
    value: float | None
    """Mean over it; null where nobody was heard."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """An hour to come."""

    time: datetime
    """Its beginning, UTC."""
    expected: float
    """Median."""
    low_80: float
    high_80: float
    low_95: float
    high_95: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One plugin's load of a resource, as it was and as it is foreseen, by the hour."""

    plugin_id: str
    resource: Resource
    record: Record
    limit: Utilisation | None
    """The limit that is nearest; null where none is known."""
    past: list[CurveStep]
    ahead: list[CurvePoint]
    """Empty where nothing is foreseen."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """When one limit is reached by the busiest hour of a day."""

    limit: Utilisation
    until: UntilFull
    """Null days: not within a year, or, where the record has no growth, nothing is foreseen."""
    record: Record


def curve_of(load: Load, plugin: str, resource: Resource, limits: Iterable[Utilisation], ahead_days: int) -> Curve:
    """Return the curve of a plugin that is in `load`; `resource` is one of `FORESEEN`."""
    hours = load.of(plugin, resource)
    found = forecasts(by_day(hours[None, :]), ahead_days)
    first = load.until - len(hours) * HOUR
    past = [CurveStep(first + number * HOUR, _known(value)) for number, value in enumerate(hours)]
    known = next((number for number, step in enumerate(past) if step.value is not None), len(past))
    ahead: list[CurvePoint] = []
    if found.growth[0] is not None:
        columns = [found.expected, *found.bounds(0), *found.bounds(1)]
        rows = np.stack([column[0].reshape(-1) for column in columns], 1)
        ahead = [CurvePoint(load.until + number * HOUR, *map(float, row)) for number, row in enumerate(rows)]
    return Curve(plugin, resource, _record(found, 0), tightest(limits).get((plugin, resource)), past[known:], ahead)


def outlooks(load: Load, limits: Sequence[Utilisation], rows: Iterable[PluginDemand]) -> list[Outlook]:
    """Return when limits are reached, the soonest first; of each plugin, and of all machines together, the fullest limit of each resource.

    An operation is taken to keep its part of its plugin's load, and a machine its part of all: the limit of the whole is where the part is
    full. `rows` is the demand by plugin in the span that the limits' use is of.
    """
    peaks = {row.plugin_id: row for row in rows}
    nearest = tightest(limits)
    found: list[Outlook] = []
    for resource in FORESEEN:
        own = [item for (_, kind), item in nearest.items() if kind is resource]
        if not own:
            continue
        values, levels = _days_of(load, resource)
        whole_values, whole_levels = _together(load, resource)
        place = {plugin: number for number, plugin in enumerate(load.plugins)}
        series, means, ends = [], [], []
        for item in own:
            if item.plugin_id is None:
                series.append(whole_values[0])
                means.append(whole_levels[0])
                used = float(np.nanmax(whole_values[0, -WEEK:], initial=0.0))
            else:
                number = place.get(item.plugin_id)  # none before its first full hour
                series.append(values[number] if number is not None else np.full(whole_values[0].shape, np.nan))
                means.append(levels[number] if number is not None else np.full(whole_levels[0].shape, np.nan))
                used = getattr(peaks[item.plugin_id], _PEAKS[resource])
            ends.append(used / item.ratio if used and item.ratio else math.inf)
        foreseen = forecasts(np.stack(series), AHEAD_DAYS, np.stack(means))
        chances = foreseen.over(np.array(ends))
        found += [
            Outlook(item, until_full(chances[number], reached=item.ratio >= 1), _record(foreseen, number))
            for number, item in enumerate(own)
        ]
    return sorted(found, key=lambda item: (*item.until.rank, -item.limit.ratio))


_PEAKS: Mapping[Resource, str] = {
    Resource.CALLS: "peak_calls_per_second",
    Resource.CONCURRENCY: "peak_concurrency",
    Resource.CPU: "peak_cpu_cores",
}


def _days_of(load: Load, resource: Resource) -> tuple[Floats, Floats]:
    """Return the busiest hour of each day (plugins, days, 1), and the mean of each day (plugins, days)."""
    days = by_day(load.values[resource][:, -MOST_DAYS * HOURS :])
    return busiest(days), levels_of(days)


def _together(load: Load, resource: Resource) -> tuple[Floats, Floats]:
    """Return the same of all plugins, added up hour by hour, for they need not be busiest in the same one: (1, days, 1) and (1, days); NaN
    where nothing of any is known."""
    hours = load.values[resource]
    whole = np.where(np.isnan(hours).all(0), np.nan, np.nansum(hours, 0))[None, :]
    return _days_of(replace(load, values={resource: whole}), resource)


def _record(found: Forecasts, number: int) -> Record:
    return Record(
        found.growth[number], found.confidence[number], found.reasons[number], found.days[number],
        _known(found.error_ratio[number]), _known(found.coverage_ratio[number]),
    )  # fmt: skip


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
