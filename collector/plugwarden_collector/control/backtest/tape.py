"""The past as it is kept, some hours at a time: what every operation did in each slice, and further parts for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from plugwarden_collector.store.replay import Counts, PartSlices, Recorded, Replaying

__all__ = [
    "EPOCH",
    "LOOK_BACK",
    "MINUTE",
    "MINUTES_CHUNK",
    "Chunk",
    "Ints",
    "Names",
    "Row",
    "Slice",
    "Tape",
    "moment",
    "second_of",
    "stacked",
]

EPOCH = datetime(1970, 1, 1)
MINUTE, HOUR = 60, 3600
SECONDS_CHUNK = 600
"""Seconds that are in memory at a time where calls are kept by the second."""
MINUTES_CHUNK = 4 * HOUR
"""Seconds that are in memory at a time where calls are kept by the minute: four questions of an hour cost half as much again."""
LOOK_BACK = 2 * HOUR
"""The live judge finds parts among the seconds, which are kept for two hours; a replay looks back no further."""

Ints = np.ndarray[Any, np.dtype[np.int64]]


def second_of(at: datetime) -> int:
    """Return a time as a full second since 1970."""
    return (at - EPOCH) // timedelta(seconds=1)


def moment(second: float) -> datetime:
    """Return the other way round."""
    return EPOCH + timedelta(seconds=second)


class Row(NamedTuple):
    """What one part did in one slice."""

    names: tuple[str, ...]
    """Plugin, version, operation, service, instance, machine, tenant and error type."""
    total: int
    bad: int
    refused: int
    slow: tuple[int, ...]


@dataclass(slots=True)
class Names:
    """Numbers for operations, versions and plugins, in the order in which they were first seen."""

    streams: list[tuple[str, str, str]] = field(default_factory=list)
    versions: list[tuple[str, str]] = field(default_factory=list)
    plugins: list[str] = field(default_factory=list)
    version_of: list[int] = field(default_factory=list)
    """By number of an operation."""
    plugin_of: list[int] = field(default_factory=list)
    """By number of a version."""
    _streams: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _versions: dict[tuple[str, str], int] = field(default_factory=dict)
    _plugins: dict[str, int] = field(default_factory=dict)
    _of_plugins: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _versions_of: dict[str, list[int]] = field(default_factory=dict)

    @property
    def versions_by_stream(self) -> Ints:
        """Numbers of versions, by number of an operation."""
        return np.array(self.version_of, np.int64)

    def number(self, stream: tuple[str, str, str]) -> int:
        """Return the number of an operation."""
        found = self._streams.get(stream)
        if found is None:
            found = self._streams[stream] = len(self.streams)
            self.streams.append(stream)
            version = self._versions.setdefault(stream[:2], len(self.versions))
            if version == len(self.versions):
                self.versions.append(stream[:2])
                plugin = self._plugins.setdefault(stream[0], len(self.plugins))
                if plugin == len(self.plugins):
                    self.plugins.append(stream[0])
                self.plugin_of.append(plugin)
                self._versions_of.setdefault(stream[0], []).append(version)
            self.version_of.append(version)
            self._of_plugins.setdefault((stream[0], stream[2]), []).append(found)
        return found

    def known(self, stream: tuple[str, str, str]) -> int | None:
        """Return the number of an operation; None where it was not seen yet."""
        return self._streams.get(stream)

    def known_version(self, version: tuple[str, str]) -> int | None:
        """Return the number of a version of a plugin; None where it was not seen yet."""
        return self._versions.get(version)

    def known_plugin(self, plugin: str) -> int | None:
        """Return the number of a plugin; None where it was not seen yet."""
        return self._plugins.get(plugin)

    def versions_of(self, plugin: str) -> Sequence[int]:
        """Return the numbers of all versions of a plugin."""
        return self._versions_of.get(plugin, ())

    def versions_with(self, plugin: str, operation: str) -> Sequence[int]:
        """Return the numbers of an operation in all versions of a plugin."""
        return self._of_plugins.get((plugin, operation), ())


@dataclass(frozen=True, slots=True)
class Slice:
    """One second, or one minute: rows of a chunk."""

    begin: int
    end: int
    first: int
    before: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of the tape, in memory."""

    begin: int
    before: int
    unit: int
    """Seconds of a slice."""
    second: Ints
    stream: Ints
    """Numbers of `Names`."""
    counts: Ints
    """Rows: total, bad, refused, slow by threshold; a column for each row of the tape."""
    telling: np.ndarray[Any, np.dtype[np.bool_]]
    """Whether a row has calls that may count against somebody."""

    def slices(self) -> list[Slice]:
        """Return the slices with calls, in the order of time."""
        begins, first = np.unique(self.second, return_index=True)
        before = [*first[1:].tolist(), len(self.second)][: len(begins)]
        return [
            Slice(begin, begin + self.unit, row, end)
            for begin, row, end in zip(begins.tolist(), first.tolist(), before, strict=True)
        ]


@dataclass(slots=True)
class Tape:
    """Reads chunks in the order of time."""

    replaying: Replaying
    recorded: Recorded
    thresholds: Sequence[int]
    names: Names = field(default_factory=Names)
    _parts: dict[tuple[int, str], PartSlices] = field(default_factory=dict)
    """What was read of a plugin, by beginning of the chunk."""
    _failing: dict[int, PartSlices] = field(default_factory=dict)
    """What was read last of the parts that fail, by beginning of the chunk."""

    def hours(self, since: int, before: int) -> tuple[Ints, Ints, Ints]:
        """Return hours, operations and counts of whole hours from before the replay."""
        found = self.replaying.hours(moment(since), moment(before), self.thresholds)
        return found.second, self._numbered(found.names, found.stream), stacked(found.counts)

    def chunks(self, since: int, before: int) -> Iterator[Chunk]:
        """Return the tape from one moment to another."""
        at = since
        while at < before:
            begin, end, unit = self._span(at)
            begin, end = max(begin, since // unit * unit), min(end, before)
            seconds = unit == 1
            found = self.replaying.streams(moment(begin), moment(end), self.thresholds, seconds=seconds)
            counts = stacked(found.counts)
            telling = counts[1:].sum(axis=0) > 0
            stream = self._numbered(found.names, found.stream)
            yield Chunk(begin, end, unit, found.second, stream, counts, telling)
            at = end

    def parts(self, plugins: Sequence[str], chunk: Chunk) -> list[PartSlices]:
        """Return everything that some plugins did in a chunk: a table each."""
        span = chunk.begin, chunk.before, chunk.unit
        self._read([plugin for plugin in plugins if (chunk.begin, plugin) not in self._parts], *span)
        return [self._of(plugin, *span) for plugin in plugins]

    def rows(self, plugin: str, chunk: Chunk, part: Slice) -> list[Row]:
        """Return everything that a plugin did in a slice."""
        found = self._of(plugin, chunk.begin, chunk.before, chunk.unit)
        return _rows_of(found, part.begin)

    def failing(self, chunk: Chunk, part: Slice) -> list[Row]:
        """Return the parts with calls that count against them in a slice; of most chunks nobody asks."""
        found = self._failing.get(chunk.begin)
        if found is None:
            span = moment(chunk.begin), moment(chunk.before)
            found = self.replaying.failing(*span, self.thresholds, seconds=chunk.unit == 1)
            self._failing = {chunk.begin: found}
        return _rows_of(found, part.begin)

    def sums(
        self, plugin: str, after: int, upto: int, marks: Mapping[tuple[str, str], int]
    ) -> dict[tuple[str, ...], Ints]:
        """Return what a plugin did in slices that ended after one moment and up to another, by part; `marks` says for some of its
        operations, by version, after which moment."""
        least = max(min([after, *marks.values()]), upto - LOOK_BACK)
        found: dict[tuple[str, ...], Ints] = {}
        at = max(least, second_of(self.recorded.minutes_from))
        while at < upto:
            begin, before, unit = self._span(at)
            at = before
            table = self._of(plugin, begin, before, unit)
            if not len(table.second):
                continue
            begins = np.array(
                [max(marks.get((name[1], name[2]), after), least) for name in table.names],
                np.int64,
            )
            end = table.second + unit
            chosen = np.flatnonzero((end > begins[table.part]) & (end <= upto))
            part, counts = table.part[chosen], stacked(table.counts)[:, chosen]
            summed = np.stack([np.bincount(part, row, len(table.names)) for row in counts]).astype(np.int64)
            for number in np.unique(part).tolist():
                before_that = found.get(table.names[number])
                found[table.names[number]] = summed[:, number] + (0 if before_that is None else before_that)
        return found

    def forget(self, before: int) -> None:
        """Let go of chunks that began before a moment."""
        for key in [key for key in self._parts if key[0] < before]:
            del self._parts[key]

    def load(self, plugins: Sequence[str], after: int, upto: int) -> None:
        """Read several plugins at once, for who is about to ask for each of them."""
        at = max(after, upto - LOOK_BACK, second_of(self.recorded.minutes_from))
        while at < upto:
            begin, before, unit = self._span(at)
            at = before
            self._read([plugin for plugin in plugins if (begin, plugin) not in self._parts], begin, before, unit)

    def _of(self, plugin: str, begin: int, before: int, unit: int) -> PartSlices:
        if (begin, plugin) not in self._parts:
            self._read([plugin], begin, before, unit)
        return self._parts[begin, plugin]

    def _read(self, plugins: Sequence[str], begin: int, before: int, unit: int) -> None:
        if not plugins:
            return
        found = self.replaying.parts(moment(begin), moment(before), self.thresholds, plugins, seconds=unit == 1)
        owners: dict[str, list[int]] = {plugin: [] for plugin in plugins}
        place = np.zeros(len(found.names), np.int64)
        owner = np.zeros(len(found.names), np.int64)
        numbers = {plugin: number for number, plugin in enumerate(owners)}
        for number, names in enumerate(found.names):
            place[number] = len(owners[names[0]])
            owner[number] = numbers[names[0]]
            owners[names[0]].append(number)
        of = owner[found.part]
        for plugin, mine in owners.items():
            rows = np.flatnonzero(of == numbers[plugin])
            counts = found.counts
            self._parts[begin, plugin] = PartSlices(
                [found.names[number] for number in mine],
                found.second[rows],
                place[found.part[rows]],
                Counts(
                    counts.total[rows], counts.bad[rows], counts.refused[rows], [column[rows] for column in counts.slow]
                ),
            )

    def _span(self, at: int) -> tuple[int, int, int]:
        """Return the bounds of the chunk that a moment is in, and the length of its slices."""
        seconds_from = second_of(self.recorded.seconds_from)
        if at >= seconds_from:
            begin = at // SECONDS_CHUNK * SECONDS_CHUNK
            return max(begin, seconds_from), begin + SECONDS_CHUNK, 1
        begin = at // MINUTES_CHUNK * MINUTES_CHUNK
        return begin, min(begin + MINUTES_CHUNK, seconds_from), MINUTE

    def _numbered(self, names: Sequence[tuple[str, str, str]], of: Ints) -> Ints:
        numbers: Ints = np.array([self.names.number(name) for name in names], np.int64)
        return numbers[of] if len(of) else of


def _rows_of(table: PartSlices, begin: int) -> list[Row]:
    """Return the rows of one slice."""
    first, before = np.searchsorted(table.second, [begin, begin + 1]).tolist()
    counts = table.counts
    return [
        Row(
            table.names[int(table.part[row])],
            int(counts.total[row]),
            int(counts.bad[row]),
            int(counts.refused[row]),
            tuple(int(column[row]) for column in counts.slow),
        )
        for row in range(first, before)
    ]


def stacked(counts: Counts) -> Ints:
    """Return counts as rows: total, bad, refused, slow by threshold."""
    found: Ints = np.stack([counts.total, counts.bad, counts.refused, *counts.slow])
    return found
