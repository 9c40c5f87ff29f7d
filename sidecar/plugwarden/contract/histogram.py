"""Base-2 exponential histograms at one fixed scale, so that any two merge by adding counts.

At scale 4 a bucket spans a factor of 2^(1/16) = 1.0443, so a quantile read at a bucket's middle is wrong by at
most 2.2 % ((base - 1) / (base + 1); OpenTelemetry metrics data model, exponential histogram). Buckets are sparse
(index -> count); index i holds values in (base^i, base^(i+1)].
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "BASE",
    "CLASSIC_EDGES_SECONDS",
    "MAX_INDEX",
    "MIDDLE",
    "MIN_INDEX",
    "PER_OCTAVE",
    "SCALE",
    "bucket_index",
    "bucket_index_of_ns",
    "bucket_indexes_of_ns",
    "lower_bound_seconds",
    "merge",
    "quantile_seconds",
    "threshold_index",
    "upper_bound_seconds",
]

SCALE = 4
PER_OCTAVE = 1 << SCALE
"""Buckets from a duration to its double."""
BASE = 2.0 ** (2.0**-SCALE)
MIN_INDEX: int = -30 << SCALE
"""About a nanosecond: a shorter call cannot be measured, so the histogram's size is bounded."""
MAX_INDEX: int = (17 << SCALE) - 1
"""About 36 hours."""
CLASSIC_EDGES_SECONDS: tuple[float, ...] = tuple(2.0**power for power in range(-13, 7))
"""Seconds of the classic buckets that `/metrics` shows, from 122 µs to 64 s: powers of two, which are bounds of buckets here too."""
MIDDLE: float = 2 * BASE / (BASE + 1)
"""Point of a bucket from 1 to BASE whose relative error to both edges is the same."""
_log2 = math.log2
_ceil = math.ceil


def bucket_index(seconds: float) -> int:
    """The bucket that holds a duration, clamped to [MIN_INDEX, MAX_INDEX]; zero and below go to MIN_INDEX."""
    if seconds <= 0.0:
        return MIN_INDEX
    index: int = _ceil(_log2(seconds) * PER_OCTAVE) - 1
    if index < MIN_INDEX:
        return MIN_INDEX
    return index if index < MAX_INDEX else MAX_INDEX


_UPPER_BOUNDS_NS: tuple[int, ...] = tuple(
    math.floor(2.0 ** ((index + 1) / PER_OCTAVE) * 1e9) for index in range(MIN_INDEX, MAX_INDEX)
)


_bucket_of = functools.partial(bisect_left, _UPPER_BOUNDS_NS)


def bucket_index_of_ns(nanoseconds: int) -> int:
    """The same for a duration in whole nanoseconds, by a search that costs a third of a logarithm."""
    return bisect_left(_UPPER_BOUNDS_NS, nanoseconds) + MIN_INDEX


def bucket_indexes_of_ns(durations: Iterable[int]) -> Iterator[int]:
    """The same for many."""
    return map(MIN_INDEX.__add__, map(_bucket_of, durations))


def lower_bound_seconds(index: int) -> float:
    """The exclusive lower edge of a bucket."""
    return float(2.0 ** (index / PER_OCTAVE))


def upper_bound_seconds(index: int) -> float:
    """The inclusive upper edge of a bucket."""
    return float(2.0 ** ((index + 1) / PER_OCTAVE))


def threshold_index(seconds: float) -> int:
    """The last bucket counted as "at most `seconds`": a threshold inside a bucket takes the whole bucket."""
    return bucket_index(seconds)


def merge(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The histogram of all values together. Associative and commutative."""
    merged: dict[int, int] = {}
    for histogram in histograms:
        for index, count in histogram.items():
            merged[index] = merged.get(index, 0) + count
    return merged


def quantile_seconds(indexes: Sequence[int], counts: Sequence[int], q: float) -> float | None:
    """The q-quantile (q in [0, 1]) of a histogram given as index-ordered pairs; None when it is empty.

    Uses the nearest-rank definition and answers the point of the bucket whose relative error to both edges is the same.
    """
    total = sum(counts)
    if total == 0:
        return None
    rank = max(1, _ceil(q * total))
    seen = 0
    for index, count in zip(indexes, counts, strict=True):
        seen += count
        if seen >= rank:
            return float(lower_bound_seconds(index) * MIDDLE)
    return None
