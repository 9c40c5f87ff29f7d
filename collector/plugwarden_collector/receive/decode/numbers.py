"""Points whose numbers contradict each other, or say what cannot be: which are refused, and why.

OTLP's data model says what must hold of every point (opentelemetry-proto, metrics.proto); what must hold of durations besides is
ours: they are counted as calls, and a call neither takes less than no time nor more than there is. Whatever is not in here is
taken, odd as it may be: what other people measure may be negative, or no number. `numbers.c` has the same rules for the fast
way, which leaves a request to the general way when one is broken; tests/collector/receive/decode/test_numbers.py holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract.histogram import SCALE
from plugwarden.contract.metrics import CPU_TIME, DOWNSTREAM_DURATION, INVOCATION_DURATION

from plugwarden_collector.errors import PayloadTooLargeError

from .time_units import seconds_per

__all__ = ["MAX_BUCKETS", "REASONS", "Codes", "Measures", "faults", "masks"]

Codes = np.ndarray[Any, np.dtype[np.int8]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

DURATIONS = (INVOCATION_DURATION.name, DOWNSTREAM_DURATION.name)
"""Histograms that are counted."""
AMOUNTS = (CPU_TIME.name,)
"""Sums that are counted."""
MAX_SECONDS = 1e15
"""Seconds of all calls of one point: 2^32 calls of 36 hours, the contract's longest, are 5.6e14. So bounded, sums of doubles never
reach infinity."""
MAX_CALLS = 1 << 32
"""Calls of a point of one interval: four a nanosecond, were it a second. So bounded, sums over any time range stay in their types."""
MAX_CALLS_EVER = 1 << 53
"""Calls of a point that counts since its process began: so many as a double holds exactly."""
LEAST_SCALE = -10
"""One bucket from 1 to 2^1024, which is every double above 1: the least that any SDK has."""
LEAST_INDEX = -(1074 << SCALE) - 1
"""Bucket of the smallest double, 2^-1074, at the contract's scale."""
MOST_INDEX = 1024 << SCALE
"""Bucket of infinity, which Prometheus' native histograms count: the one after that of the largest double, just below 2^1024."""
MAX_LIST = 1 << 16
"""Buckets of one point; SDKs keep 160."""
MAX_BUCKETS = 1 << 20
"""Buckets of one request, empty ones too: each takes a byte of the request and a hundred while it is read. 6,500 points of 160."""

REASONS = (
    "",
    "bucket_counts must have one entry more than explicit_bounds",
    f"bucket_counts must have at most {MAX_LIST} entries",
    "explicit_bounds must ascend",
    "bucket_counts must add up to count",
    "zero_count and the buckets must add up to count",
    f"scale must be {LEAST_SCALE} or more",
    "offset must leave every bucket where numbers are",
    "sum must be 0 where count is 0",
    "min must not be above max",
    "quantile must be between 0 and 1",
    "the value of a quantile must not be negative",
    "unit of a duration must be one of time, such as s or ms",
    "aggregation_temporality of durations must be delta or cumulative",
    "count of durations must be below 2^32 in an interval, below 2^53 since the start",
    "sum of durations must be between 0 and 1e15 s",
    "min and max of durations must be between 0 and 1e15 s",
    "durations must not be in buckets below zero",
    "value of plugin.cpu.time must be between 0 and 1e15 s",
)
"""Reasons of refusals, by number; 0 is a point that can be taken. A point has the first that it meets, in the order in which they are
looked at."""
(
    GOOD, SHAPE, LONG, ASCENT, EXPLICIT_TOTAL, EXPONENTIAL_TOTAL, COARSE, PLACE, NOTHING, EXTREMES, QUANTILE, VALUE, UNIT,
    TEMPORALITY, CALLS, SECONDS, LONGEST, BELOW_ZERO, CPU,
) = range(len(REASONS))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measures:
    """What metrics measure, an entry each."""

    seconds: np.ndarray[Any, np.dtype[np.float64]]
    """Seconds of one of its unit; NaN where that is none of time. Only those that are counted have it."""
    durations: Flags
    amounts: Flags

    @classmethod
    def of(cls, names: pa.Array, units: pa.Array) -> Measures | None:
        """None where none of them is counted."""
        durations, amounts = (_flags(pc.is_in(names, pa.array(known))) for known in (DURATIONS, AMOUNTS))
        counted = np.flatnonzero(durations | amounts)
        if not len(counted):
            return None
        seconds = np.ones(len(names))
        told = [seconds_per(unit) for unit in units.take(pa.array(counted)).to_pylist()]
        seconds[counted] = [np.nan if one is None else one for one in told]
        return cls(seconds, durations, amounts)


def faults(
    kind: str, points: pa.StructArray, temporality: pa.Array, metric: pa.Array, measures: Measures | None
) -> Codes:
    """What is wrong with each point of one kind, as a number of `REASONS`. `metric`: which metric each point is of."""
    found = _Found(len(points))
    of = None if measures is None else metric.to_numpy()
    if kind in {"gauge", "sum"}:
        if measures is not None and of is not None and measures.amounts[of].any():
            _look_at_amounts(found, points, measures.amounts[of], measures.seconds[of])
        return found.codes
    count = _whole(points, "count")
    if kind == "histogram":
        _look_at_bounds(found, points, count)
    elif kind == "exponential_histogram":
        _look_at_exponents(found, points, count)
    else:
        _look_at_quantiles(found, points)
    total = _real(points, "sum", 0.0)
    found.note((count == 0) & (total != 0), NOTHING)
    if kind != "summary":
        low, high = _real(points, "min", -np.inf), _real(points, "max", np.inf)
        found.note((count > 0) & (low > high), EXTREMES)
        if measures is not None and of is not None and measures.durations[of].any():
            _look_at_durations(found, points, kind, temporality, measures.durations[of], measures.seconds[of])
    return found.codes


def masks(codes: Codes) -> dict[str, Flags]:
    """A mask for each reason that there is."""
    return {REASONS[code]: codes == code for code in np.unique(codes[codes > 0]).tolist()}


class _Found:
    def __init__(self, rows: int) -> None:
        self.codes: Codes = np.zeros(rows, np.int8)

    def note(self, wrong: Flags, code: int) -> None:
        """Those that nothing else was wrong with."""
        if wrong.any():
            self.codes[wrong & (self.codes == GOOD)] = code


@dataclass(frozen=True, slots=True)
class _Lists:
    """A list of numbers in each row."""

    lengths: np.ndarray[Any, np.dtype[np.int64]]
    values: np.ndarray[Any, Any]

    @classmethod
    def of(cls, lists: pa.ListArray) -> _Lists:
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(lengths, lists.flatten().to_numpy(zero_copy_only=False))

    @property
    def rows(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Which row each value is of."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def places(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Which of its row each value is."""
        starts = np.cumsum(self.lengths) - self.lengths
        found: np.ndarray[Any, np.dtype[np.int64]] = np.arange(len(self.values)) - np.repeat(starts, self.lengths)
        return found

    def any(self, wrong: Flags) -> Flags:
        """Rows with a value that is wrong."""
        found = np.zeros(len(self.lengths), bool)
        found[self.rows[wrong]] = True
        return found

    def halves(self) -> tuple[Any, Any]:
        """Sums of the upper and of the lower 32 bits, by row: of neither can so many be added that 64 bits do not hold it."""
        ends = np.cumsum(self.lengths)
        found = []
        for part in (self.values >> np.uint64(32), self.values & np.uint64(0xFFFFFFFF)):
            sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(part, dtype=np.uint64)])
            found.append(sums[ends] - sums[ends - self.lengths])
        return found[0], found[1]


def _look_at_bounds(found: _Found, points: pa.StructArray, count: Any) -> None:
    counts, bounds = (_Lists.of(pc.struct_field(points, name)) for name in ("bucket_counts", "explicit_bounds"))
    _bounded([counts, bounds])
    # Both may be empty; else there is one bucket more than there are bounds.
    found.note((counts.lengths != bounds.lengths + 1) & ((counts.lengths != 0) | (bounds.lengths != 0)), SHAPE)
    found.note(counts.lengths > MAX_LIST, LONG)
    if len(bounds.values) > 1:
        falls = np.zeros(len(bounds.values), bool)
        falls[1:] = ~(bounds.values[1:] > bounds.values[:-1])
        found.note(bounds.any((falls & (bounds.places > 0)) | np.isnan(bounds.values)), ASCENT)
    else:
        found.note(bounds.any(np.isnan(bounds.values)), ASCENT)
    found.note((counts.lengths > 0) & ~_adds_up([counts], None, count), EXPLICIT_TOTAL)


def _look_at_exponents(found: _Found, points: pa.StructArray, count: Any) -> None:
    sides = [pc.struct_field(points, name) for name in ("positive", "negative")]
    lists = [_Lists.of(pc.struct_field(side, "bucket_counts")) for side in sides]
    _bounded(lists)
    scale = pc.struct_field(points, "scale").to_numpy(zero_copy_only=False).astype(np.int64)
    found.note(scale < LEAST_SCALE, COARSE)
    for side, counts in zip(sides, lists, strict=True):
        found.note(counts.lengths > MAX_LIST, LONG)
        filled = np.flatnonzero(counts.values)
        rows = counts.rows[filled]
        offset = pc.fill_null(pc.struct_field(side, "offset"), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        index = (counts.places[filled] + offset[rows]) >> np.clip(scale[rows] - SCALE, 0, 62)
        coarser = np.clip(SCALE - scale[rows], 0, SCALE - LEAST_SCALE)
        wrong = np.zeros(len(scale), bool)
        wrong[rows[(index < LEAST_INDEX >> coarser) | (index > MOST_INDEX >> coarser)]] = True
        found.note(wrong, PLACE)
    found.note(~_adds_up(lists, _whole(points, "zero_count"), count), EXPONENTIAL_TOTAL)


def _look_at_quantiles(found: _Found, points: pa.StructArray) -> None:
    lists = pc.struct_field(points, "quantile_values")
    pairs = lists.flatten()
    if not len(pairs):
        return
    of = _Lists(pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64), pairs)
    at, value = (pc.struct_field(pairs, name).to_numpy(zero_copy_only=False) for name in ("quantile", "value"))
    found.note(of.any(~((at >= 0) & (at <= 1))), QUANTILE)
    found.note(of.any(value < 0), VALUE)  # of an empty one it is no number


def _look_at_durations(
    found: _Found, points: pa.StructArray, kind: str, temporality: pa.Array, durations: Flags, seconds: Any
) -> None:
    told = temporality.to_numpy(zero_copy_only=False)
    count = _whole(points, "count")
    found.note(durations & np.isnan(seconds), UNIT)
    found.note(durations & (told != 1) & (told != 2), TEMPORALITY)
    most = np.where(told == 1, np.uint64(MAX_CALLS), np.uint64(MAX_CALLS_EVER))
    found.note(durations & (count >= most), CALLS)
    for name, code in (("sum", SECONDS), ("min", LONGEST), ("max", LONGEST)):
        if name != "sum":
            durations = durations & (
                count > 0
            )  # without a call there is none that was the longest, and SDKs say infinity
        found.note(durations & ~_is_time(_real(points, name, 0.0), seconds), code)
    if kind == "histogram":
        counts, bounds = (_Lists.of(pc.struct_field(points, name)) for name in ("bucket_counts", "explicit_bounds"))
        fit = counts.lengths == bounds.lengths + 1
        below = np.zeros(len(counts.values), bool)
        # Every bucket but the last of a row ends at the bound of the same place.
        ends = np.repeat(fit, counts.lengths) & (counts.places < np.repeat(counts.lengths - 1, counts.lengths))
        below[ends] = bounds.values[np.repeat(fit, bounds.lengths)] < 0
        found.note(durations & counts.any(below & (counts.values > 0)), BELOW_ZERO)
    else:
        counts = _Lists.of(pc.struct_field(pc.struct_field(points, "negative"), "bucket_counts"))
        found.note(durations & counts.any(counts.values > 0), BELOW_ZERO)


def _look_at_amounts(found: _Found, points: pa.StructArray, amounts: Flags, seconds: Any) -> None:
    found.note(amounts & np.isnan(seconds), UNIT)
    whole = pc.struct_field(points, "as_int").cast(pa.float64(), safe=False)
    value = pc.coalesce(pc.struct_field(points, "as_double"), whole).fill_null(0.0).to_numpy(zero_copy_only=False)
    found.note(amounts & ~_is_time(value, seconds), CPU)


def _is_time(values: Any, seconds: Any) -> Flags:
    """Neither negative nor without end; what is no number is neither above nor below anything."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is an answer
        found: Flags = (values * seconds >= 0) & (values * seconds <= MAX_SECONDS)
    return found


def _adds_up(lists: Sequence[_Lists], zero: Any, count: Any) -> Flags:
    """Whether the counts of each row are `count` in all, in numbers that do not wrap around."""
    upper, lower = (sum(halves) for halves in zip(*(one.halves() for one in lists), strict=True))
    if zero is not None:
        upper, lower = upper + (zero >> np.uint64(32)), lower + (zero & np.uint64(0xFFFFFFFF))
    upper = upper + (lower >> np.uint64(32))
    same: Flags = (upper == count >> np.uint64(32)) & (lower & np.uint64(0xFFFFFFFF) == count & np.uint64(0xFFFFFFFF))
    return same


def _bounded(lists: Sequence[_Lists]) -> None:
    if sum(len(one.values) for one in lists) > MAX_BUCKETS:
        raise PayloadTooLargeError(f"more than {MAX_BUCKETS} buckets; send smaller batches")


def _whole(points: pa.StructArray, name: str) -> Any:
    return pc.struct_field(points, name).to_numpy(zero_copy_only=False).astype(np.uint64, copy=False)


def _real(points: pa.StructArray, name: str, missing: float) -> Any:
    return pc.fill_null(pc.struct_field(points, name), missing).to_numpy(zero_copy_only=False)


def _flags(values: pa.Array) -> Flags:
    found: Flags = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return found
