"""Remembers what whole hours hold per plugin version, so that a budget of 30 days adds up numbers and reads two hours of rows.

An hour that is over changes only when a call comes late; what the rollups count tells which hours these are, and they are
read again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from plugwarden_collector.store.duckdb.statements import statement

from .cells import MOST, Ints, distinct, moment, second_of, starts
from .kind import FAILURES, Kind
from .resolutions import Tiers
from .source import CallSource

__all__ = ["ClosedHours", "Counted"]

HOUR = 3600
MAX_ROWS = 4_000_000
"""Plugin versions times hours, 24 bytes each; more are left to SQL."""

Counted = dict[tuple[str, str], tuple[int, int]]
"""Plugin and version -> total and bad."""


@dataclass(frozen=True, slots=True)
class _Hour:
    version: Ints
    """Number of a plugin's version."""
    total: Ints
    bad: Ints


class ClosedHours:
    """Asked from any thread."""

    def __init__(self, source: CallSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._rolled = 0
        self._rows = 0
        self._hours: OrderedDict[tuple[Kind, int], _Hour] = OrderedDict()
        """What is counted and the hour's first second -> the hour."""
        self._numbers: dict[tuple[str, str], int] = {}

    def counts(self, span: dict[str, Any], kind: Kind = FAILURES) -> Counted | None:
        """Calls in a span of time as `Tiers.span` cut it: total and bad.

        None: there are more plugin versions than are kept here.
        """
        hours = range(second_of(span["first_hour"]), second_of(span["hours_end"]), HOUR)
        with self._lock:
            self._follow(self._source.tiers)
            found = self._sums(hours, kind) if hours else {}
        if found is None:
            return None
        for row in self._source.fetch(statement(f"edge_{kind.counted_by}"), {**span, **kind.asked}):
            key = (row["plugin_id"], row["plugin_version"])
            total, bad = found.get(key, (0, 0))
            found[key] = (total + row["total"], bad + row["bad"])
        return found

    def follow(self) -> None:
        """Take note of late calls while the rollups still tell of them."""
        with self._lock:
            self._follow(self._source.tiers)

    def forget_before(self, at: datetime) -> None:
        """The store let go of hours before this."""
        with self._lock:
            for kind, hour in [place for place in self._hours if place[1] < second_of(at)]:
                self._drop(kind, hour)

    def memory_bytes(self) -> int:
        """What the hours take."""
        return self._rows * 24

    def _follow(self, tiers: Tiers) -> None:
        late = tiers.late_since(self._rolled)
        self._rolled = max(self._rolled, tiers.rolled)
        if late is None:
            self._hours.clear()
            self._rows = 0
            return
        seconds = {second_of(hour) for hour in late}
        for kind, hour in [place for place in self._hours if place[1] in seconds]:
            self._drop(kind, hour)

    def _drop(self, kind: Kind, hour: int) -> None:
        self._rows -= len(self._hours.pop((kind, hour)).version)

    def _sums(self, hours: range, kind: Kind) -> Counted | None:
        kinds = len({known for known, _ in self._hours} | {kind})
        missing = [hour for hour in hours if (kind, hour) not in self._hours]
        while missing:
            largest = max((len(hour.version) for hour in self._hours.values()), default=0)
            if (
                kind.slices is None and largest * len(hours) * kinds > MAX_ROWS
            ):  # slices have a row for each plugin alone
                return None
            count = 1
            while count < len(missing) and missing[count] == missing[count - 1] + HOUR and count < 24 * 7:
                count += 1
            self._read(missing[:count], kind)
            missing = missing[count:]
        found = [self._hours[kind, hour] for hour in hours]
        for hour in hours:
            self._hours.move_to_end((kind, hour))
        while self._rows > MAX_ROWS and self._hours:
            self._drop(*next(iter(self._hours)))
        version = np.concatenate([hour.version for hour in found])
        size = len(self._numbers)
        total, bad = (
            np.minimum(np.bincount(version, np.concatenate(parts), size), MOST).astype(np.int64).tolist()
            for parts in ([hour.total for hour in found], [hour.bad for hour in found])
        )
        there = np.bincount(version, minlength=size).tolist()
        names = self._numbers.items()
        return {name: (total[number], bad[number]) for name, number in names if there[number]}

    def _read(self, run: list[int], kind: Kind) -> None:
        hours = {"first": moment(run[0]), "before": moment(run[-1] + HOUR)}
        table = self._source.fetch_arrow(statement(f"hour_{kind.counted_by}"), {**hours, **kind.asked})
        start = starts(table)
        names, place = distinct(table, ("plugin_id", "plugin_version"))
        version = np.array([self._numbers.setdefault((row[0], row[1]), len(self._numbers)) for row in names], np.int64)[
            place
        ]
        total, bad = (table[column].to_numpy().astype(np.int64) for column in ("total", "bad"))
        order = np.argsort(start, kind="stable")
        bounds = np.searchsorted(start[order], [*run, run[-1] + HOUR])
        for hour, begin, end in zip(run, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            rows = order[begin:end]
            self._hours[kind, hour] = _Hour(version[rows], total[rows], bad[rows])
            self._rows += end - begin
