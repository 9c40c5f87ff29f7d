"""Burn-rate windows and periods of budgets over a replay: running sums by plugin version, so that a turn costs the same however long
one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np

from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import thresholds_of
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import PAGE, TICKET

from .sums import Floats, Sums, covered_by
from .tape import Ints, Names

__all__ = ["SlidingWindows"]

GRAINS = ((900.0, 1), (21_600.0, 60), (float("inf"), 3600))
"""Longest window, and the seconds to which its beginning is exact: as `store.telemetry.Judging.windows`."""

Over = Mapping[str, Mapping[tuple[str, str], CallCounts]]
"""By objective and version: counts over its period."""
ByWindow = Mapping[str, Mapping[tuple[str, str], Mapping[float, CallCounts]]]
"""By objective, version and window."""


@dataclass(slots=True)
class _Past:
    """What has yet to leave windows of one grain."""

    times: list[int] = field(default_factory=list)
    versions: list[Ints] = field(default_factory=list)
    counts: list[Floats] = field(default_factory=list)
    offset: int = 0
    """Entries that were let go."""

    def add(self, time: int, counts: Floats) -> None:
        """Add rows of counts by version."""
        versions = np.flatnonzero(counts.any(axis=0))
        if self.times and self.times[-1] == time:
            self.versions[-1], self.counts[-1] = _added(
                self.versions[-1], self.counts[-1], versions, counts[:, versions]
            )
        else:
            self.times.append(time)
            self.versions.append(versions)
            self.counts.append(counts[:, versions])


class SlidingWindows:
    """Fed in the order of time. Counts are slices x rows x versions; rows are judged calls, bad ones, and by threshold those without
    an answer in time."""

    def __init__(self, rules: Rules, names: Names) -> None:
        self._objectives, self._names = rules.objectives, names
        self._thresholds = thresholds_of(rules.objectives)
        self.sizes = sorted({size for item in rules.objectives for size in (*item.windows, item.period_seconds)})
        self._rows = 2 + len(self._thresholds)
        self._sums: dict[float, Floats] = {size: np.zeros((self._rows, len(names.versions))) for size in self.sizes}
        self._grain = {size: next(grain for most, grain in GRAINS if size <= most) for size in self.sizes}
        self._past = {grain: _Past() for _, grain in GRAINS}
        self._left = dict.fromkeys(self.sizes, 0)
        """By window: entries that have left it."""
        self._covered = covered_by(self._objectives, names)

    def know(self) -> None:
        """Make room for all versions that have a number."""
        more = len(self._names.versions) - len(self._covered.owner)
        if more:
            room = np.zeros((self._rows, more))
            self._sums = {size: np.concatenate([sums, room], axis=1) for size, sums in self._sums.items()}
            self._covered = covered_by(self._objectives, self._names)

    def add(self, begins: Ints, counts: Floats) -> None:
        """Add calls by slice and version; `know` had all versions."""
        summed = counts.sum(axis=0)
        for sums in self._sums.values():
            sums += summed
        for grain, past in self._past.items():
            times, first = np.unique(begins // grain * grain, return_index=True)
            for time, rows in zip(times.tolist(), np.add.reduceat(counts, first, axis=0), strict=True):
                past.add(time, rows)

    def advance(self, at: float) -> None:
        """Let what is too old leave its windows."""
        for size in self.sizes:
            past, sums = self._past[self._grain[size]], self._sums[size]
            place = self._left[size] - past.offset
            while place < len(past.times) and past.times[place] <= at - size:
                sums[:, past.versions[place]] -= past.counts[place]
                place += 1
            self._left[size] = place + past.offset
        for grain, past in self._past.items():
            mine = [self._left[size] for size in self.sizes if self._grain[size] == grain]
            gone = (min(mine) if mine else past.offset + len(past.times)) - past.offset
            if gone > 0 and (gone > 64 or not mine):
                keep = len(past.times) - gone if mine else 1
                past.offset += len(past.times) - keep
                for column in (past.times, past.versions, past.counts):
                    del column[: len(column) - keep]

    @property
    def now(self) -> Sums:
        """What the windows hold at one moment, this one."""
        self.know()
        return Sums(self._thresholds, self._covered, {size: sums[None] for size, sums in self._sums.items()})

    def ahead(self, begins: Ints, ends: Ints, counts: Floats) -> Sums:
        """Return what the windows would hold at the ends of slices, were they added and left behind one after the other."""
        coming, found = counts.cumsum(axis=0), {}
        for size in self.sizes:
            grain = self._grain[size]
            past, leaving = self._past[grain], np.zeros_like(counts)
            for place in range(self._left[size] - past.offset, len(past.times)):
                if past.times[place] > ends[-1] - size:
                    break
                left = int(np.searchsorted(ends, past.times[place] + size))
                leaving[left][:, past.versions[place]] += past.counts[place]
            left_by = np.searchsorted(ends, begins // grain * grain + size)
            leaves = left_by < len(ends)
            np.add.at(leaving, left_by[leaves], counts[leaves])
            found[size] = self._sums[size] + coming - leaving.cumsum(axis=0)
        return Sums(self._thresholds, self._covered, found)

    @property
    def empty(self) -> bool:
        """Whether every call has left every burn-rate window, so that time moves nothing any more: budgets are of those that run."""
        sizes = {
            size for item in self._objectives for tier in item.tiers for size in (tier.long_seconds, tier.short_seconds)
        }
        pasts = ((size, self._past[self._grain[size]]) for size in sizes)
        return all(self._left[size] - past.offset == len(past.times) for size, past in pasts)

    def counts(self, alerting: Mapping[str, AbstractSet[str]] | None) -> tuple[ByWindow, Over]:
        """Return the counts of all versions of plugins of which something burns or is spent, or that have an alert: over windows, and over
        periods. Of no other can an alert come to anything (`cycle.alerts`, `cycle.budgets`); None asks for all."""
        now, names = self.now, self._names.versions
        windows: dict[str, dict[tuple[str, str], dict[float, CallCounts]]] = {}
        periods: dict[str, dict[tuple[str, str], CallCounts]] = {}
        for objective in self._objectives:
            wanted = self._wanted(now, objective, alerting)
            counted = {size: _counted(now, objective, size, wanted) for size in objective.windows}
            over = _counted(now, objective, objective.period_seconds, wanted)
            periods[objective.name] = {names[number]: counts for number, counts in over.items()}
            mine = windows[objective.name] = {}
            for number in wanted:
                known = {size: of[number] for size, of in counted.items() if number in of}
                if known:
                    mine[names[number]] = known
        return windows, periods

    def _wanted(self, now: Sums, objective: Objective, alerting: Mapping[str, AbstractSet[str]] | None) -> list[int]:
        """Return the numbers of all versions of the plugins that a turn must know of."""
        if alerting is None:
            return np.flatnonzero(now.covered.versions[objective.name]).tolist()
        plugins = now.spent(objective)[0][0] | now.burning(objective, TICKET)[0]
        plugins[now.covered.owner[now.burning(objective, PAGE)[0]]] = True
        for name in alerting.get(objective.name, ()):
            if (number := self._names.known_plugin(name)) is not None:
                plugins[number] = True
        return np.flatnonzero(plugins[now.covered.owner]).tolist()


def _counted(now: Sums, objective: Objective, size: float, wanted: Sequence[int]) -> dict[int, CallCounts]:
    """Return the counts in one window, of those of some versions that have any."""
    totals, bads = (row[0, wanted].astype(np.int64).tolist() for row in now.of(objective, size, PAGE))
    slow = objective.threshold_index is not None
    return {
        number: CallCounts(calls, slow=bad) if slow else CallCounts(calls, failed=bad)
        for number, calls, bad in zip(wanted, totals, bads, strict=True)
        if calls
    }


def _added(known: Ints, sums: Floats, versions: Ints, counts: Floats) -> tuple[Ints, Floats]:
    found, place = np.unique(np.concatenate([known, versions]), return_inverse=True)
    both = np.concatenate([sums, counts], axis=1)
    return found, np.stack([np.bincount(place, row, len(found)) for row in both])
