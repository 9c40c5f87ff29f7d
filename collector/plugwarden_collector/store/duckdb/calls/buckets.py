"""Buckets of many points at once, brought to the contract's scale: its 752 places hold whatever a sender's own do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from plugwarden.contract.histogram import MAX_INDEX, MIN_INDEX, SCALE

from plugwarden_collector.errors import UncountableError

__all__ = ["Buckets", "at_contract_scale"]

Numbers = np.ndarray[Any, np.dtype[Any]]

_PLACES = MAX_INDEX - MIN_INDEX + 1


@dataclass(frozen=True, slots=True)
class Buckets:
    """Histograms, one a row: places and counts, those of a row together, each place once and in order."""

    ends: Numbers
    """Where each row ends, 0 first (int64)."""
    places: Numbers
    """Indexes at the contract's scale (int64)."""
    counts: Numbers
    """Calls (int64); never 0."""

    @classmethod
    def of_lists(cls, lists: Sequence[tuple[Numbers, Numbers]]) -> Buckets:
        """Make them from the places and counts of each row."""
        ends = np.cumsum([0, *(len(places) for places, _ in lists)])
        places, counts = (
            np.concatenate([np.zeros(0, np.int64), *(pair[side] for pair in lists)]).astype(np.int64) for side in (0, 1)
        )
        return cls(ends, places, counts)

    @property
    def rows(self) -> Numbers:
        """Which row each entry is of."""
        return np.repeat(np.arange(len(self.ends) - 1), np.diff(self.ends))

    def of(self, row: int) -> tuple[Numbers, Numbers]:
        """Places and counts of one row."""
        part = slice(self.ends[row], self.ends[row + 1])
        return self.places[part], self.counts[part]

    def take(self, rows: Numbers) -> Buckets:
        """Those of some rows, in their order."""
        lengths = self.ends[rows + 1] - self.ends[rows]
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        at = np.arange(ends[-1]) + np.repeat(self.ends[rows] - ends[:-1], lengths)
        return Buckets(ends, self.places[at], self.counts[at])

    def followed_by(self, other: Buckets) -> Buckets:
        """The rows of both."""
        return Buckets(
            np.concatenate([self.ends, other.ends[1:] + self.ends[-1]]),
            np.concatenate([self.places, other.places]),
            np.concatenate([self.counts, other.counts]),
        )

    def since(self, before: Buckets, gained: Numbers) -> Buckets:
        """What each row has more than the same row of `before`, and no more than it gained in all.

        When a series went to a coarser scale its buckets seem to have gained more than it did: the slowest give way.
        """
        counts = self.counts.copy()
        keys, theirs = self._keys(), before._keys()
        at = np.searchsorted(keys, theirs)
        known = at < len(keys)
        known[known] = keys[at[known]] == theirs[known]
        counts[at[known]] -= before.counts[known]
        counts = np.maximum(counts, 0)
        # Sums over all rows may wrap around, and wrap back in the differences: those of one row are far below 2^63.
        upto = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        rows = self.rows
        slower = upto[self.ends[1:]][rows] - upto[1:]
        surplus = (upto[self.ends[1:]] - upto[self.ends[:-1]] - gained)[rows]
        counts -= np.clip(surplus - slower, 0, counts)
        return _of_entries(rows, self.places, counts, len(gained))

    def lists(self) -> tuple[pa.ListArray, pa.ListArray]:
        """Columns of places and of counts."""
        ends = pa.array(self.ends, pa.int32())
        return (
            pa.ListArray.from_arrays(ends, pa.array(self.places, pa.int32())),
            pa.ListArray.from_arrays(ends, pa.array(self.counts, pa.uint64())),
        )

    def _keys(self) -> Numbers:
        keys: Numbers = self.rows * _PLACES + (self.places - MIN_INDEX)
        return keys


def at_contract_scale(points: pa.Table, seconds: Numbers) -> tuple[Buckets, Numbers]:
    """The buckets of points (rows of `foreign_points`) at scale 4, and how many calls are in those of each (float64).

    A coarser bucket goes to its middle, a bounded one to its upper bound, one without an end just beyond the last bound, and
    zero to the lowest: the relative error is then that of the sender's own buckets. `seconds`: of one of each point's unit.
    """
    ends, counts = _pieces(points["bucket_count"])
    rows = np.repeat(np.arange(len(points)), np.diff(ends))
    counts = counts.astype(np.uint64)
    exponential = points["kind"].to_numpy() == "exponential_histogram"
    zero = np.where(exponential, points["zero_count"].to_numpy().astype(np.uint64), np.uint64(0))
    total = np.bincount(rows, counts.astype(np.float64), len(points)) + zero.astype(np.float64)
    places = np.zeros(len(counts), np.int64)
    of = exponential[rows]
    index_ends, indexes = _pieces(points["bucket_index"])
    if not np.array_equal(np.diff(index_ends)[exponential], np.diff(ends)[exponential]):
        raise UncountableError("bucket_count: has another length than bucket_index")
    if of.any():
        indexes = indexes[np.repeat(exponential, np.diff(index_ends))].astype(np.float64)
        scale = points["scale"].fill_null(SCALE).to_numpy().astype(np.float64)
        # The middle of the sender's bucket, in seconds.
        middle = np.floor((indexes + 0.5) * 2.0 ** (SCALE - scale[rows[of]]) + np.log2(seconds[rows[of]]) * 2**SCALE)
        places[of] = np.clip(middle, MIN_INDEX, MAX_INDEX)
    if not of.all():
        places[~of] = _bounded(points, seconds, rows[~of], (np.arange(len(counts)) - ends[:-1][rows])[~of])
    sane = total < 2.0**53
    kept = (counts > 0) & sane[rows]
    at_zero = np.flatnonzero((zero > 0) & sane)
    return (
        _of_entries(
            np.concatenate([at_zero, rows[kept]]),
            np.concatenate([np.full(len(at_zero), MIN_INDEX), places[kept]]),
            np.concatenate([zero[at_zero], counts[kept]]).astype(np.int64),
            len(points),
        ),
        total,
    )


def _bounded(points: pa.Table, seconds: Numbers, rows: Numbers, position: Numbers) -> Numbers:
    ends, bounds = _pieces(points["explicit_bounds"])
    # A bound of infinity bounds nothing: the bucket below it is the one without an end.
    finite = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.isfinite(bounds))])
    told = (finite[ends[1:]] - finite[ends[:-1]])[rows]
    first = np.zeros(len(rows), np.int64)
    below = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.isneginf(bounds))])
    skipped = (below[ends[1:]] - below[ends[:-1]])[rows]  # such a one may come first, and holds no duration
    at = ends[:-1][rows] + np.minimum(position, skipped + np.maximum(told, 1) - 1)
    bound = np.zeros(len(rows)) if not len(bounds) else bounds[np.minimum(at, len(bounds) - 1)]
    bound = np.where(told > 0, bound, 0.0) * seconds[rows]
    positive = bound > 0
    with np.errstate(all="ignore"):
        found = np.ceil(np.log2(np.where(positive, bound, 1.0)) * 2**SCALE) - 1
    first[:] = np.where(positive, np.clip(found, MIN_INDEX, MAX_INDEX), MIN_INDEX)
    beyond: Numbers = np.minimum(first + (position >= skipped + told), MAX_INDEX)
    return beyond


def _of_entries(rows: Numbers, places: Numbers, counts: Numbers, length: int) -> Buckets:
    """Entries in any order, those of one place added up."""
    filled = counts > 0
    keys, counts = rows[filled] * _PLACES + (places[filled] - MIN_INDEX), counts[filled]
    if len(keys) and not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        first = np.flatnonzero(np.concatenate([np.ones(1, bool), keys[1:] != keys[:-1]]))
        keys, counts = keys[first], np.add.reduceat(counts, first)
    ends = np.searchsorted(keys, np.arange(length + 1) * _PLACES)
    return Buckets(ends, keys % _PLACES + MIN_INDEX, counts)


def _pieces(lists: pa.ChunkedArray) -> tuple[Numbers, Numbers]:
    """Where each list ends, 0 first, and the values of all."""
    whole = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], lists.type)
    ends = whole.offsets.to_numpy().astype(np.int64)
    return ends - ends[0], whole.flatten().to_numpy(zero_copy_only=False)
