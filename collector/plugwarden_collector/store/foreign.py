"""Call histograms that no sidecar made, brought into the rollups' form: deltas at the contract's scale.

Any OpenTelemetry SDK may send `plugin.invocation.duration`, and by default sends it cumulative and with bounds of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract.histogram import MAX_INDEX, MIN_INDEX, SCALE, bucket_index

__all__ = ["CUMULATIVE", "KEYS", "Increase", "Level", "at_contract_scale", "increase", "to_calls"]

KEYS = (
    "service_name", "instance_id", "plugin_id", "plugin_version", "plugin_operation", "outcome", "error_source", "error_type",
)  # fmt: skip
CUMULATIVE = 2
MAX_GAIN = 2**32 - 1
"""Calls of one series between two exports; more cannot be meant, as in fresh_points.sql."""
YOUNG = timedelta(minutes=10)
"""A series seen for the first time is counted from its start when that was this recent, and else from now on: what an old
process counted long before we listened did not happen within this second."""

Histogram = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Level:
    """What a cumulative series had counted at a moment."""

    started_at: datetime
    time: datetime
    count: int
    sum: float
    buckets: Histogram


@dataclass(frozen=True, slots=True)
class Increase:
    """Calls between two moments of a series."""

    count: int = 0
    sum: float = 0.0
    buckets: Histogram = field(default_factory=dict)


def to_calls(
    rows: Iterable[Mapping[str, Any]], levels: Mapping[int, Level]
) -> tuple[list[dict[str, Any]], dict[int, Level]]:
    """Rows of `foreign_points` to rows of `call_seconds`, and the levels that moved. `levels`: where each series stood."""
    calls: list[dict[str, Any]] = []
    moved: dict[int, Level] = {}
    for row in rows:
        unit = 0.001 if row["unit"] == "ms" else 1.0
        level = Level(row["started_at"], row["time"], row["count"], row["sum"] * unit, at_contract_scale(row, unit))
        if row["temporality"] == CUMULATIVE:
            before = moved.get(row["series"], levels.get(row["series"]))
            if before is not None and level.time <= before.time:
                continue  # out of order: what it tells is in the later point already
            gained = increase(before, level)
            moved[row["series"]] = level
        else:
            gained = Increase(level.count, level.sum, level.buckets)
        if 0 < gained.count <= MAX_GAIN:
            indexes = sorted(gained.buckets)
            calls.append(
                {
                    "bucket_start": row["time"].replace(microsecond=0),
                    **{key: row[key] for key in KEYS},
                    "calls": gained.count,
                    "duration_seconds_sum": gained.sum,
                    "duration_seconds_max": row["max"] * unit,
                    "cpu_seconds": 0.0,
                    "bucket_index": indexes,
                    "bucket_count": [gained.buckets[index] for index in indexes],
                }
            )
    return calls, moved


def increase(before: Level | None, after: Level) -> Increase:
    """What a cumulative series gained; a reset (a later start, or a count that fell) begins again at nothing.

    A sender need not say when it started; its points then start when they end, and only a count that fell tells a reset.
    """
    told = after.started_at < after.time
    if before is None:
        young = told and after.time - after.started_at <= YOUNG
        return Increase(after.count, after.sum, after.buckets) if young else Increase()
    restarted = told and before.started_at < before.time and after.started_at > before.started_at
    if restarted or after.count < before.count:
        return Increase(after.count, after.sum, after.buckets)
    count = after.count - before.count
    grown = {
        index: counted - before.buckets.get(index, 0)
        for index, counted in after.buckets.items()
        if counted > before.buckets.get(index, 0)
    }
    return Increase(count, max(0.0, after.sum - before.sum), _at_most(grown, count))


def _at_most(buckets: dict[int, int], count: int) -> Histogram:
    """When a series went to a coarser scale its buckets seem to have gained more than it did: the slowest give way."""
    surplus = sum(buckets.values()) - count
    for index in sorted(buckets, reverse=True):
        if surplus <= 0:
            break
        taken = min(surplus, buckets[index])
        buckets[index] -= taken
        surplus -= taken
    return {index: counted for index, counted in buckets.items() if counted}


def at_contract_scale(row: Mapping[str, Any], unit: float = 1.0) -> Histogram:
    """The buckets of a point at scale 4. A coarser bucket goes to its middle, a bounded one to its upper bound, and zero
    to the lowest: the relative error is then that of the sender's own buckets."""
    found: dict[int, int] = {}

    def add(index: int, count: int) -> None:
        if count:
            place = min(max(index, MIN_INDEX), MAX_INDEX)
            found[place] = found.get(place, 0) + count

    if row["kind"] == "histogram":
        bounds = row["explicit_bounds"]
        for position, count in enumerate(row["bucket_count"]):
            bound = bounds[min(position, len(bounds) - 1)] * unit if bounds else 0.0
            beyond = 1 if position >= len(bounds) else 0
            add(bucket_index(bound) + beyond if math.isfinite(bound) else MAX_INDEX, count)
        return found
    add(MIN_INDEX, row["zero_count"])
    steps = SCALE - row["scale"]
    shift = round(math.log2(unit) * 2**SCALE)
    for index, count in zip(row["bucket_index"], row["bucket_count"], strict=True):
        finer = (index << steps) + (1 << steps >> 1) if steps > 0 else index
        add(finer + shift, count)
    return found
