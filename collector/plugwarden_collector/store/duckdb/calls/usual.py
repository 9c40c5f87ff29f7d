"""What is usual for each operation: the third quartile of its hours, of which all but the newest are over and remembered.

The hour that is not over is read minute by minute; what comes late for one of its minutes is seen when the hour is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from plugwarden_collector.judge.arrivals import Past
from plugwarden_collector.store.duckdb.statements import statement

from .cells import Ints, distinct, moment, second_of
from .resolutions import Tiers
from .source import CallSource

__all__ = ["MIN_CALLS", "Usual"]

HOUR = 3600
MIN_CALLS = 20
"""Calls of an hour below which its shares say little: one failure of nineteen is 5 %."""
QUARTILE = 0.75
MAX_STREAMS = 200_000
"""Operations that were numbered; beyond that everything is forgotten and begun anew."""
MAX_ROWS = 2_000_000
"""Operations times hours, 24 bytes each and 8 more for each threshold; of more, the oldest hours are left out."""

_KEYS = ("plugin_id", "plugin_version", "plugin_operation")
_Stream = tuple[str, str, str]
_Counts = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class _Hour:
    """Calls of one hour, or of the part of it that is over."""

    stream: Ints
    """Numbers of operations, each once."""
    counts: _Counts
    """Rows: calls that ended by themselves, those that failed, and those above each threshold; a column for each operation."""

    def with_more(self, other: _Hour) -> _Hour:
        """Return the calls of both."""
        stream, place = np.unique(np.concatenate([self.stream, other.stream]), return_inverse=True)
        both = np.concatenate([self.counts, other.counts], axis=1)
        return _Hour(stream, np.stack([np.bincount(place, row, len(stream)) for row in both]))


class Usual:
    """Asked from the thread of the judge."""

    def __init__(self, source: CallSource) -> None:
        self._source = source
        self._forget(())

    def _forget(self, thresholds: tuple[int, ...]) -> None:
        self._thresholds = thresholds
        self._numbers: dict[_Stream, int] = {}
        self._hours: dict[int, _Hour] = {}
        """First second of an hour that is over -> its calls."""
        self._part: dict[int, _Hour] = {}
        """The same of hours that are not over, from minutes within the span that was read."""
        self._part_first = self._part_before = 0
        self._rolled = self._source.tiers.rolled

    def past(self, since: datetime, until: datetime, thresholds: Sequence[int]) -> list[Past]:
        """Return what is usual; whole hours from `since` on, and what is over of the one that `until` is in."""
        tiers, wanted = self._source.tiers, tuple(thresholds)
        if wanted != self._thresholds or len(self._numbers) > MAX_STREAMS:
            self._forget(wanted)
        self._follow(tiers)
        first = -(-second_of(since) // HOUR) * HOUR
        before = min(second_of(until), second_of(tiers.hours)) // HOUR * HOUR
        hours = self._closed(range(first, before, HOUR))
        self._read_part(max(first, before), min(second_of(until), second_of(tiers.minutes)) // 60 * 60)
        return self._quartiles([*hours, *self._part.values()])

    def memory_bytes(self) -> int:
        """What the hours take; asked from any thread."""
        return sum(hour.stream.nbytes + hour.counts.nbytes for hour in (*self._hours.values(), *self._part.values()))

    def _follow(self, tiers: Tiers) -> None:
        """Let go of hours that late calls came in for."""
        late = tiers.late_since(self._rolled)
        self._rolled = max(self._rolled, tiers.rolled)
        if late is None:
            self._hours.clear()
            return
        for hour in late:
            self._hours.pop(second_of(hour), None)

    def _closed(self, hours: range) -> list[_Hour]:
        """Return hours that are over, the newest that there is room for.

        They are read twice as many at a time as before, backwards: few statements, and never many more hours than are kept.
        """
        for hour in [hour for hour in self._hours if hour not in hours]:
            del self._hours[hour]
        largest = max((len(hour.stream) for hour in self._hours.values()), default=0)
        read, unread, at_once = dict[int, _Hour](), hours.stop, 1
        for hour in reversed(hours):
            if hour not in self._hours:
                if hour < unread:
                    unread, before = max(hours.start, hour - (at_once - 1) * HOUR), hour + HOUR
                    read, at_once = self._read("hours", unread, before), 2 * at_once
                self._hours[hour] = read.get(hour, self._nothing())
            largest = max(largest, len(self._hours[hour].stream))
            if largest * len(self._hours) > MAX_ROWS:
                break
        return list(self._hours.values())

    def _read_part(self, first: int, before: int) -> None:
        if first != self._part_first or before < self._part_before:
            self._part, self._part_first, self._part_before = {}, first, first
        for hour, more in self._read("minutes", self._part_before, before).items():
            held = self._part.get(hour)
            self._part[hour] = more if held is None else held.with_more(more)
        self._part_before = max(before, first)

    def _read(self, tier: str, first: int, before: int) -> dict[int, _Hour]:
        if first >= before:
            return {}
        span = {"tier": tier, "first": moment(first), "before": moment(before)}
        calls = self._source.fetch_arrow(statement("usual_calls"), span)
        if not len(calls):
            return {}
        slow: pa.Table | None = None
        if self._thresholds:
            asked = {**span, "thresholds": sorted(set(self._thresholds))}
            slow = self._source.fetch_arrow(statement("usual_slow"), asked)
        hour, stream = _hours_of(calls), self._numbered(calls)
        found = {}
        for begin in np.unique(hour).tolist():
            rows = hour == begin
            found[begin] = _Hour(stream[rows], np.zeros((2 + len(self._thresholds), int(rows.sum()))))
            found[begin].counts[:2] = [calls[name].to_numpy()[rows] for name in ("total", "bad")]
        if slow is not None and len(slow):
            self._add_slow(found, slow)
        return found

    def _add_slow(self, found: dict[int, _Hour], slow: pa.Table) -> None:
        hours, streams, fast = _hours_of(slow), self._numbered(slow), slow["fast"].to_numpy()
        counts = slow["slow"].to_numpy()
        for begin, hour in found.items():
            order = np.argsort(hour.stream)
            for number, threshold in enumerate(self._thresholds):
                rows = (hours == begin) & (fast == threshold)
                places = order[np.searchsorted(hour.stream, streams[rows], sorter=order)]
                hour.counts[2 + number, places] = counts[rows]

    def _numbered(self, table: pa.Table) -> Ints:
        names, place = distinct(table, _KEYS)
        numbers = [self._numbers.setdefault((name[0], name[1], name[2]), len(self._numbers)) for name in names]
        found: Ints = np.array(numbers, np.int64)[place]
        return found

    def _nothing(self) -> _Hour:
        return _Hour(np.empty(0, np.int64), np.empty((2 + len(self._thresholds), 0)))

    def _quartiles(self, hours: list[_Hour]) -> list[Past]:
        if not hours:
            return []
        stream = np.concatenate([hour.stream for hour in hours])
        counts = np.concatenate([hour.counts for hour in hours], axis=1)
        size = len(self._numbers)
        calls = np.bincount(stream, counts[0], size)
        telling = counts[0] >= MIN_CALLS
        stream, counts = stream[telling], counts[:, telling]
        of = np.bincount(stream, minlength=size)
        # The lower of two hours where the quartile is between them: of two, the worse one is not what is usual.
        place = np.cumsum(of) - of + np.floor(QUARTILE * (of - 1)).astype(np.int64)
        found = []
        for row in counts[1:]:
            ratio = row / counts[0]
            ratio = np.append(ratio[np.lexsort((ratio, stream))], 0.0)
            found.append(ratio[np.where(of > 0, place, -1)].tolist())
        failed, *slow = found
        slow_of = list(zip(*slow, strict=True)) if slow else [()] * size
        whole = calls.astype(np.int64).tolist()
        return [
            Past(plugin, version, operation, whole[number], failed[number], slow_of[number])
            for (plugin, version, operation), number in self._numbers.items()
            if whole[number]
        ]


def _hours_of(table: pa.Table) -> Ints:
    found: Ints = table["hour"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return found
