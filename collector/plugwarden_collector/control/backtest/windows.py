"""Burn-rate windows over a replay: running sums by plugin version, so that a turn costs the same however long a window is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import thresholds_of
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective

__all__ = ["SlidingWindows", "Sums"]

GRAINS = ((900.0, 1), (21_600.0, 60), (float("inf"), 3600))
"""Longest window, and the seconds to which its beginning is exact: as `store.telemetry.Judging.windows`."""

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Sums:
    """What the windows hold at each of some moments."""

    thresholds: Sequence[int]
    covered: Mapping[str, Mask]
    """By objective: the versions that it covers."""
    of_size: Mapping[float, Floats]
    """By window: moments x rows of counts x versions."""

    def burning(self, objective: Objective, severity: str | None = None) -> Mask | None:
        """Return which versions burn too fast in a tier of a severity, or of any: moments x versions; None where none ever does."""
        covered, found = self.covered.get(objective.name), None
        if covered is None:
            return None
        for tier in objective.tiers:
            if severity not in {None, tier.severity}:
                continue
            total, bad = self.of(objective, tier.long_seconds)
            enough = covered & (bad >= max(1, objective.min_failures)) & (total >= objective.min_events)
            place = np.nonzero(enough)
            for size in (tier.long_seconds, tier.short_seconds):
                total, bad = self.of(objective, size)
                met = _rates(objective, bad[place], total[place]) >= tier.factor
                place = place[0][met], place[1][met]
            if len(place[0]):
                found = np.zeros(enough.shape, bool) if found is None else found
                found[place] = True
        return found

    def quiet(self, objective: Objective, severity: str, number: int) -> Mask:
        """Return when calls of a version came in every short window of a severity, and did not burn too fast."""
        found: Mask = np.ones(self._moments, bool)
        for tier in objective.tiers:
            if tier.severity == severity:
                total, bad = (row[:, number] for row in self.of(objective, tier.short_seconds))
                found &= (total > 0) & (_rates(objective, bad, total) < tier.factor)
        return found

    def called(self, objective: Objective, size: float, number: int) -> Mask:
        """Return when a window of a version knows a call."""
        found: Mask = self.of(objective, size)[0][:, number] > 0
        return found

    def of(self, objective: Objective, size: float) -> tuple[Floats, Floats]:
        """Return all calls and bad ones in a window: moments x versions each."""
        sums = self.of_size.get(size)
        if sums is None:  # the period itself is counted for budgets alone
            none = np.zeros((self._moments, len(self.covered[objective.name])))
            return none, none
        if objective.threshold_index is None:
            return sums[:, 0], sums[:, 1]
        return sums[:, 2], sums[:, 3 + self.thresholds.index(objective.threshold_index)]

    @property
    def _moments(self) -> int:
        return next((len(sums) for sums in self.of_size.values()), 1)


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
    """Fed in the order of time. Counts are slices x rows x versions; rows are judged calls, bad ones, calls that ended, and slow ones by
    threshold."""

    def __init__(self, rules: Rules) -> None:
        self._objectives = rules.objectives
        self._thresholds = thresholds_of(rules.objectives)
        self.sizes = sorted({size for item in rules.objectives for size in item.windows if size != item.period_seconds})
        self._rows = 3 + len(self._thresholds)
        self._sums: dict[float, Floats] = {size: np.zeros((self._rows, 0)) for size in self.sizes}
        self._grain = {size: next(grain for most, grain in GRAINS if size <= most) for size in self.sizes}
        self._past = {grain: _Past() for _, grain in GRAINS}
        self._left = dict.fromkeys(self.sizes, 0)
        """By window: entries that have left it."""
        self._covered: dict[str, Mask] = {}

    def know(self, plugins: Sequence[tuple[str, str]]) -> None:
        """Make room for all versions, by number."""
        known = next(iter(self._sums.values())).shape[1] if self._sums else 0
        if len(plugins) == known:
            return
        more = np.zeros((self._rows, len(plugins) - known))
        self._sums = {size: np.concatenate([sums, more], axis=1) for size, sums in self._sums.items()}
        covers: dict[str, Callable[[str], bool]] = {item.name: item.covers for item in self._objectives}
        self._covered = {name: np.array([of(plugin) for plugin, _ in plugins], bool) for name, of in covers.items()}

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
        """Whether every call has left every window, so that time moves nothing any more."""
        return all(self._left[size] - past.offset == len(past.times) for size, past in
                   ((size, self._past[self._grain[size]]) for size in self.sizes))  # fmt: skip

    def counts(
        self, alerting: Mapping[str, AbstractSet[str]] | None, plugins: Sequence[tuple[str, str]]
    ) -> Mapping[str, Mapping[tuple[str, str], Mapping[float, CallCounts]]]:
        """Return the counts of all versions that burn, and of plugins that have an alert: objective -> their names. Of no other can an
        alert come to anything (`cycle.alerts`); None asks for all."""
        found: dict[str, dict[tuple[str, str], dict[float, CallCounts]]] = {}
        now = self.now
        for objective in self._objectives:
            mine = found[objective.name] = {}
            covered = self._covered.get(objective.name)
            if covered is None:
                continue
            met = covered[None] if alerting is None else now.burning(objective)
            wanted = set() if met is None else set(np.flatnonzero(met[0]).tolist())
            named = frozenset[str]() if alerting is None else alerting.get(objective.name, frozenset[str]())
            if named:
                wanted |= {number for number, (plugin, _) in enumerate(plugins) if plugin in named}
            sizes = [size for size in objective.windows if size in self._sums]
            for number in sorted(wanted):
                counted = {size: [row[0, number] for row in now.of(objective, size)] for size in sizes}
                mine[plugins[number]] = {
                    size: _counts(objective, int(total), int(bad)) for size, (total, bad) in counted.items() if total
                }
                if not mine[plugins[number]]:
                    del mine[plugins[number]]
        return found


def _counts(objective: Objective, total: int, bad: int) -> CallCounts:
    return CallCounts(total, failed=bad) if objective.threshold_index is None else CallCounts(total, slow=bad)


def _rates(objective: Objective, bad: Floats, total: Floats) -> Floats:
    """Return what `judge.burn.burn_rate` does, of many at once: by the same divisions, so that they are equal to the last bit."""
    return np.where(total > 0, bad / np.maximum(total, 1.0) / (1.0 - objective.target_ratio), 0.0)


def _added(known: Ints, sums: Floats, versions: Ints, counts: Floats) -> tuple[Ints, Floats]:
    found, place = np.unique(np.concatenate([known, versions]), return_inverse=True)
    both = np.concatenate([sums, counts], axis=1)
    return found, np.stack([np.bincount(place, row, len(found)) for row in both])
