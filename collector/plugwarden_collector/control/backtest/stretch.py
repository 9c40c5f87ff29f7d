"""Slices that follow each other while nothing that is isolated changes, and which of their calls come through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.store.replay import PartSlices

from .tape import Chunk, Ints, Names, Row, Slice, stacked

__all__ = ["Isolated", "Stretch", "stretch_of"]


@dataclass(frozen=True, slots=True)
class Isolated:
    """A plugin of which something is isolated, and nothing is on probation."""

    table: PartSlices
    held_by: Sequence[Quarantine | None]
    """What isolates each part, by number; None: nothing does."""

    def through(self, begin: int, before: int, names: Names) -> tuple[Ints, Ints, Ints]:
        """Return second, operation and counts of what comes through from one moment to another, summed by both."""
        rows = self._rows(begin, before, through=True)
        stream = np.array([names.number((name[0], name[1], name[2])) for name in self.table.names], np.int64)
        code, place = np.unique(
            self.table.second[rows] * len(names.streams) + stream[self.table.part[rows]], return_inverse=True
        )
        counts = stacked(self.table.counts)[:, rows]
        summed = np.stack([np.bincount(place, row, len(code)) for row in counts]).astype(np.int64)
        return code // len(names.streams), code % len(names.streams), summed

    def passed(self, begin: int, before: int, unit: int) -> list[tuple[int, Row]]:
        """Return what comes through, each with the end of its slice of so many seconds."""
        rows = self._rows(begin, before, through=True)
        columns = self.table.second[rows], self.table.part[rows], stacked(self.table.counts)[:, rows].T
        return [
            (second + unit, Row(self.table.names[part], total, bad, refused, tuple(slow)))
            for second, part, (total, bad, refused, *slow) in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def held_back(self, begin: int, before: int) -> list[tuple[Row, Quarantine]]:
        """Return what does not come through, summed by part, in the order in which parts were first called."""
        rows = self._rows(begin, before, through=False)
        rows = rows[self.table.counts.total[rows] > 0]
        parts, first = np.unique(self.table.part[rows], return_index=True)
        counts = stacked(self.table.counts)[:, rows]
        found = []
        for part in parts[np.argsort(first)].tolist():
            total, bad, refused, *slow = counts[:, self.table.part[rows] == part].sum(axis=1).tolist()
            item = self.held_by[part]
            if item is not None:
                found.append((Row(self.table.names[part], total, bad, refused, tuple(slow)), item))
        return found

    def _rows(self, begin: int, before: int, *, through: bool) -> Ints:
        first, last = np.searchsorted(self.table.second, [begin, before]).tolist()
        wanted = np.array([(item is None) == through for item in self.held_by], bool)
        rows: Ints = first + np.flatnonzero(wanted[self.table.part[first:last]])
        return rows


@dataclass(frozen=True, slots=True)
class Stretch:
    """Columns of what comes through of some slices, in the order of time."""

    begins: Ints
    place: Ints
    """In which of the slices each column is."""
    stream: Ints
    counts: Ints
    """Rows as `Chunk.counts`."""

    def rows(self, place: int) -> slice:
        """Return which columns one slice has."""
        first, before = np.searchsorted(self.place, [place, place + 1]).tolist()
        return slice(first, before)


def stretch_of(
    chunk: Chunk, slices: Sequence[Slice], beside: Any, isolated: Sequence[Isolated], names: Names
) -> Stretch:
    """Return what comes through of slices of a chunk. `beside` says of each operation, by number, whether nothing of its plugin is
    isolated; `isolated` are the others."""
    begins = np.array([part.begin for part in slices], np.int64)
    rows = slice(slices[0].first, slices[-1].before)
    second, stream, counts = chunk.second[rows], chunk.stream[rows], chunk.counts[:, rows]
    if isolated:
        mine = beside[stream]
        told = [(second[mine], stream[mine], counts[:, mine])]
        told += [item.through(slices[0].begin, slices[-1].end, names) for item in isolated]
        second, stream, counts = (np.concatenate(column, axis=-1) for column in zip(*told, strict=True))
        order = np.argsort(second, kind="stable")
        second, stream, counts = second[order], stream[order], counts[:, order]
    return Stretch(begins, np.searchsorted(begins, second), stream, counts)
