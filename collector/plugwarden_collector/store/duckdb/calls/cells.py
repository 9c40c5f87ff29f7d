"""Rows of rollups as numpy columns, for adding up in memory what SQL would take too long to add up for every page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from sys import getsizeof
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract import ErrorSource, Outcome

__all__ = [
    "BUCKETS",
    "MOST",
    "NO_CELLS",
    "ZERO",
    "Cells",
    "Floats",
    "Ints",
    "Keys",
    "distinct",
    "moment",
    "second_of",
    "starts",
]

BUCKETS = 1024
"""Places for the buckets of one plugin; bucket i stands at i + ZERO. The rollups keep them between
the contract's MIN_INDEX and MAX_INDEX (-480 and 271 today), which lie within."""
ZERO = 512
MOST = 2**53
"""Largest count, so that doubles hold it; as `bounded` in SQL (migration 5)."""
EPOCH = datetime(1970, 1, 1)
FAILED = frozenset(item for item in Outcome if item.failed)

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def second_of(at: datetime) -> int:
    """A full second as a number; what is below a second is cut off."""
    return (at - EPOCH) // timedelta(seconds=1)


def moment(second: int) -> datetime:
    """The other way round."""
    return EPOCH + timedelta(seconds=int(second))


KEY_BYTES = 300
"""Memory of one key without its texts, in bytes: the tuple (72 bytes), its place in a dictionary and its number (about 150), three
places in lists and four in arrays."""


class Keys:
    """Numbers for plugins, and for what is told apart of each of them: version, outcome and error source."""

    def __init__(self) -> None:
        self.plugins: list[str] = []
        """Name by number."""
        self.rows: list[tuple[str, str, str, str]] = []
        """Plugin, version, outcome and error source by number of a key."""
        self._plugin_numbers: dict[str, int] = {}
        self._numbers: dict[tuple[str, str, str, str], int] = {}
        self._plugin_of: list[int] = []
        self._arrays: tuple[Ints, Mask, Mask, Mask] | None = None
        self.nbytes = 0
        """What all of it takes in memory, about."""

    def number(self, row: tuple[str, str, str, str]) -> int:
        """The number of a key."""
        found = self._numbers.get(row)
        if found is None:
            plugin = self._plugin_numbers.setdefault(row[0], len(self.plugins))
            if plugin == len(self.plugins):
                self.plugins.append(row[0])
            found = self._numbers[row] = len(self.rows)
            self.rows.append(row)
            self._plugin_of.append(plugin)
            self._arrays = None
            self.nbytes += KEY_BYTES + sum(map(getsizeof, row))
        return found

    def arrays(self) -> tuple[Ints, Mask, Mask, Mask]:
        """Return, by number of a key: the plugin's number, whether its calls failed, through the plugin's fault, were rejected."""
        if self._arrays is None:
            failed = np.array([row[2] in FAILED for row in self.rows], bool)
            blamed = np.array([row[3] == ErrorSource.PLUGIN for row in self.rows], bool)
            rejected = np.array([row[2] == Outcome.REJECTED for row in self.rows], bool)
            self._arrays = np.array(self._plugin_of, np.int64), failed, failed & blamed, rejected
        return self._arrays


@dataclass(frozen=True, slots=True)
class Cells:
    """Some rows of rollups, and the histograms of those whose calls ran."""

    time: Ints
    """Second in which a row's bucket starts."""
    key: Ints
    calls: Ints
    busy_seconds: Floats
    cpu_seconds: Floats
    pair_time: Ints
    pair_code: Ints
    """Plugin * BUCKETS + place of the bucket."""
    pair_count: Ints

    @classmethod
    def read(cls, table: pa.Table, keys: Keys) -> Cells:
        """Make them from rows of a tier."""
        time = starts(table)
        key = _numbered(table, keys)
        plugins, _, _, rejected = keys.arrays()
        lists, counts = table["bucket_index"].combine_chunks(), table["bucket_count"].combine_chunks()
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        index = lists.flatten().to_numpy(zero_copy_only=False)
        code = np.repeat(plugins[key] * BUCKETS + ZERO, lengths) + np.clip(index, -ZERO, BUCKETS - ZERO - 1)
        count = _whole(counts.flatten().to_numpy(zero_copy_only=False))
        pair_time = np.repeat(time, lengths)
        ran = ~rejected[key]
        if not ran.all():  # a call that was refused took no time that tells anything
            pairs = np.repeat(ran, lengths)
            code, count, pair_time = code[pairs], count[pairs], pair_time[pairs]
        return cls(
            time, key, _whole(table["calls"].to_numpy()), _column(table, "duration_seconds_sum", np.float64),
            _column(table, "cpu_seconds", np.float64), pair_time, code, count,
        )  # fmt: skip

    @classmethod
    def read_apart(cls, table: pa.Table, keys: Keys, length: int) -> dict[int, Cells]:
        """The same, apart by the multiple of `length` seconds that they start in."""
        group = starts(table) // length
        if not len(group):
            return {}
        if np.any(group[1:] < group[:-1]):
            order = np.argsort(group, kind="stable")
            table, group = table.take(pa.array(order)), group[order]
        begins, first = np.unique(group, return_index=True)
        ends = [*first[1:].tolist(), len(group)]
        return {
            int(start) * length: cls.read(table.slice(begin, end - begin), keys)
            for start, begin, end in zip(begins, first.tolist(), ends, strict=True)
        }

    @classmethod
    def joined(cls, parts: Sequence[Cells]) -> Cells:
        """Return all rows of several."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return NO_CELLS
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def where(self, rows: Mask, pairs: Mask) -> Cells:
        """Those of some rows."""
        return Cells(
            self.time[rows], self.key[rows], self.calls[rows], self.busy_seconds[rows], self.cpu_seconds[rows],
            self.pair_time[pairs], self.pair_code[pairs], self.pair_count[pairs],
        )  # fmt: skip

    def between(self, first: int, before: int) -> Cells:
        """Those of a span of time."""
        return self.where(
            (self.time >= first) & (self.time < before), (self.pair_time >= first) & (self.pair_time < before)
        )

    def multiples(self, length: int) -> list[int]:
        """The multiples of `length` seconds that there are rows in, in order."""
        return (np.unique(self.time // length) * length).tolist()  # type: ignore[no-any-return]

    def merged(self, time: int | None = None) -> Cells:
        """One row a key, one pair a bucket: all as if at one time, or each row at its key's last one."""
        key, row = _grouped(self.key)
        code, pair = _grouped(self.pair_code)
        last: Ints = np.broadcast_to(np.int64(time or 0), len(key))
        if time is None:
            last = np.zeros(len(key), np.int64)
            np.maximum.at(last, row, self.time)
        return Cells(
            last, key.astype(np.int32), _sums(row, self.calls, len(key)),
            _totals(row, self.busy_seconds, len(key)), _totals(row, self.cpu_seconds, len(key)),
            np.broadcast_to(np.int64(time or 0), len(code)), code.astype(np.int32), _sums(pair, self.pair_count, len(code)),
        )  # fmt: skip

    def by_second(self) -> Cells:
        """One row a key and second, without histograms and times that calls took."""
        base = int(self.time.min()) if len(self.time) else 0
        width = int(self.key.max()) + 1 if len(self.key) else 1
        cell, row = _grouped((self.time - base) * width + self.key)
        none = np.broadcast_to(np.float64(0), len(cell))
        return Cells(
            (cell // width + base).astype(np.int64), (cell % width).astype(np.int32), _sums(row, self.calls, len(cell)),
            none, none, _NO_INTS, _NO_INTS, _NO_INTS,
        )  # fmt: skip

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        columns = (getattr(self, name) for name in self.__slots__)
        return sum(column.nbytes for column in columns if column.strides != (0,))


_NO_INTS: Ints = np.empty(0, np.int64)
_NO_FLOATS: Floats = np.empty(0, np.float64)
NO_CELLS = Cells(_NO_INTS, _NO_INTS, _NO_INTS, _NO_FLOATS, _NO_FLOATS, _NO_INTS, _NO_INTS, _NO_INTS)
DENSE = 4_000_000
"""Numbers up to this are grouped by counting them, which takes a tenth of sorting them."""


def _grouped(codes: Ints) -> tuple[Ints, Ints]:
    """Which numbers there are, in order, and for each one its place among them."""
    if len(codes) and int(codes.max()) < DENSE:
        present = np.bincount(codes) > 0
        return np.flatnonzero(present), (np.cumsum(present) - 1)[codes]
    return np.unique(codes, return_inverse=True)


def _totals(places: Ints, values: Floats, size: int) -> Floats:
    return np.bincount(places, values, size).astype(np.float64, copy=False)


def _sums(places: Ints, values: Ints, size: int) -> Ints:
    return np.minimum(np.bincount(places, values, size), MOST).astype(np.int64)


def _whole(counts: Any) -> Ints:
    """As `bounded` in SQL."""
    found: Ints = np.minimum(counts, MOST).astype(np.int64)
    return found


def starts(table: pa.Table) -> Ints:
    """The second in which each row's bucket starts."""
    time: Ints = table["bucket_start"].to_numpy().astype("datetime64[us]").astype(np.int64) // 1_000_000
    return time


def _column(table: pa.Table, name: str, kind: Any) -> Any:
    return table[name].to_numpy().astype(kind)


def _numbered(table: pa.Table, keys: Keys) -> Ints:
    rows, place = distinct(table, ("plugin_id", "plugin_version", "outcome", "error_source"))
    numbers = np.array([keys.number((row[0], row[1], row[2], row[3])) for row in rows], np.int64)
    return numbers[place]


def distinct(table: pa.Table, columns: Sequence[str]) -> tuple[list[tuple[str, ...]], Ints]:
    """The different rows of some columns of text, and for each row of the table its place among them."""
    combined: Ints = np.zeros(len(table), np.int64)
    values: list[list[str]] = []
    for name in columns:
        encoded = pc.dictionary_encode(table[name].combine_chunks())
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        values.append(encoded.dictionary.to_pylist())
        combined = combined * max(1, len(values[-1])) + encoded.indices.to_numpy(zero_copy_only=False)
    found, place = np.unique(combined, return_inverse=True)
    return [_split(int(code), values) for code in found], place


def _split(code: int, values: Sequence[list[str]]) -> tuple[str, ...]:
    parts: list[str] = []
    for names in reversed(values):
        code, place = divmod(code, len(names))
        parts.append(names[place])
    return tuple(reversed(parts))
