"""What was usual at each moment of a replay, from the hours before it; see `store.duckdb.calls.usual` for the live answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugwarden_collector.control.observe import USUAL_GAP, USUAL_SPAN
from plugwarden_collector.judge.arrivals import Past

from .tape import HOUR, MINUTE, Names

__all__ = ["PastHours", "UsualAt"]

MIN_CALLS = 20
"""`store.duckdb.calls.usual.MIN_CALLS`."""
QUARTILE = 0.75

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class UsualAt(Mapping[tuple[str, str, str], Past]):
    """What is usual at one moment, by plugin, version and operation, and for operations whatever the version under an empty one. A
    value is made when it is asked for: of a minute in which nothing goes on, none is."""

    names: Names
    calls: Floats
    """By number of the operation."""
    shares: Floats
    """Shares of calls that failed, and that were slow by threshold: a row each, by number of the operation."""

    def __getitem__(self, key: tuple[str, str, str]) -> Past:
        plugin, version, operation = key
        number = self._most(plugin, operation) if version == "" else self.names.known(key)
        if number is None or number >= len(self.calls) or not self.calls[number]:
            raise KeyError(key)
        failed, *slow = self.shares[:, number].tolist()
        return Past(*self.names.streams[number], int(self.calls[number]), failed, tuple(slow))

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        called = [self.names.streams[number] for number in np.flatnonzero(self.calls).tolist()]
        yield from dict.fromkeys([*called, *((plugin, "", operation) for plugin, _, operation in called)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def share(self, row: int, streams: Ints) -> Floats:
        """Return a row of `shares` for some operations; for a version without a past, that of the plugin's other versions."""
        known = streams[streams < len(self.calls)]
        found = np.zeros(len(streams))
        found[streams < len(self.calls)] = self.shares[row, known]
        calls = np.zeros(len(streams))
        calls[streams < len(self.calls)] = self.calls[known]
        for place in np.flatnonzero(calls == 0).tolist():
            plugin, _, operation = self.names.streams[streams[place]]
            other = self._most(plugin, operation)
            found[place] = 0.0 if other is None else self.shares[row, other]
        return found

    def _most(self, plugin: str, operation: str) -> int | None:
        """Return the operation's number in the version that is called most."""
        numbers = [number for number in self.names.versions_with(plugin, operation) if number < len(self.calls)]
        best = max(numbers, key=lambda number: self.calls[number], default=None)
        return None if best is None or not self.calls[best] else best


@dataclass(frozen=True, slots=True)
class _Settled:
    """What is known of hours that are over, by operation: the quartile of their shares, and between what it is with one hour more."""

    key: tuple[int, int, int]
    """First hour, the hour that is not over, and how many operations."""
    calls: Floats
    alone: Floats
    """Rows as in `UsualAt.shares`."""
    least: Floats
    most: Floats


class PastHours:
    """Fed in the order of time. Counts are rows: calls that ended, failed ones, and slow ones by threshold."""

    def __init__(self, thresholds: int, names: Names) -> None:
        self._rows, self._names = 2 + thresholds, names
        self._hours: dict[int, Floats] = {}
        self._newest: deque[tuple[int, Ints, Floats]] = deque()
        """Minutes, or seconds, that are too new to be usual."""
        self._settled: _Settled | None = None

    def add(self, second: int, streams: Ints, counts: Floats) -> None:
        """Add the calls of some operations in one slice, each operation once."""
        self._newest.append((second, streams, counts))

    def at(self, at: int) -> UsualAt:
        """Return what is usual at a moment: the third quartile of whole hours, and of what is over of the newest one."""
        size = len(self._names.streams)
        until = int(at - USUAL_GAP.total_seconds()) // MINUTE * MINUTE
        while self._newest and self._newest[0][0] < until:
            second, streams, counts = self._newest.popleft()
            self._sums(second // HOUR * HOUR, size)[:, streams] += counts
        first = -(-int(at - USUAL_SPAN.total_seconds()) // HOUR) * HOUR
        key = first, until // HOUR * HOUR, size
        if self._settled is None or self._settled.key != key:
            self._hours = {hour: sums for hour, sums in self._hours.items() if hour >= first}
            self._settled = self._settle(key)
        settled, open_ = self._settled, self._hours.get(key[1])
        if open_ is None:
            return UsualAt(self._names, settled.calls, settled.alone)
        open_ = self._sums(key[1], size)
        share = np.clip(open_[1:] / np.maximum(open_[0], 1.0), settled.least, settled.most)
        return UsualAt(
            self._names, settled.calls + open_[0], np.where(open_[0] >= MIN_CALLS, share, settled.alone)
        )  # fmt: skip

    def _settle(self, key: tuple[int, int, int]) -> _Settled:
        """One hour more moves a quartile between two neighbours among the sorted shares of the others at most."""
        _, open_, size = key
        hours = [self._sums(hour, size) for hour in sorted(self._hours) if hour < open_]
        if not hours:
            none = np.zeros((self._rows - 1, size))
            return _Settled(key, np.zeros(size), none, none - np.inf, none + np.inf)
        counts = np.stack(hours)
        total, telling = counts[:, 0], counts[:, 0] >= MIN_CALLS
        ratio = np.where(telling[:, None], counts[:, 1:] / np.maximum(total, 1.0)[:, None], np.inf)
        ratio.sort(axis=0)
        edge = np.full((1, self._rows - 1, size), np.inf)
        padded = np.concatenate([-edge, ratio, edge])
        """The share at place p stands in row p + 1."""
        of = telling.sum(axis=0)
        place = np.floor(QUARTILE * of).astype(np.int64)
        least, most = (_taken(padded, row) for row in (place, place + 1))
        alone = _taken(padded, np.floor(QUARTILE * np.maximum(of - 1, 0)).astype(np.int64) + 1)
        return _Settled(key, total.sum(axis=0), np.where(of > 0, alone, 0.0), least, most)

    def _sums(self, hour: int, size: int) -> Floats:
        known = self._hours.get(hour)
        if known is None or known.shape[1] < size:
            grown = np.zeros((self._rows, size))
            if known is not None:
                grown[:, : known.shape[1]] = known
            known = self._hours[hour] = grown
        return known


def _taken(shares: Floats, place: Ints) -> Floats:
    found: Floats = np.take_along_axis(shares, np.broadcast_to(place, (1, *shares.shape[1:])), axis=0)[0]
    return found
