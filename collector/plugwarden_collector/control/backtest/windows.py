"""Burn-rate windows and periods of budgets over a replay: running sums by plugin version, so that a turn costs the same however long
one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugwarden_collector.cycle.budgets import LEFT_AGAIN_RATIO
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import thresholds_of
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import PAGE, TICKET

__all__ = ["SlidingWindows"]

GRAINS = ((900.0, 1), (21_600.0, 60), (float("inf"), 3600))
"""Longest window, and the seconds to which its beginning is exact: as `store.telemetry.Judging.windows`."""

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(slots=True)
class _Past:
    """What has yet to leave windows of one grain."""

    times: list[int] = field(default_factory=list)
    versions: list[Ints] = field(default_factory=list)
    counts: list[Floats] = field(default_factory=list)
    offset: int = 0
    """Entries that were let go."""


class SlidingWindows:
    """Fed in the order of time. Counts are rows: judged calls, bad ones, calls that ended, and slow ones by threshold."""

    def __init__(self, rules: Rules) -> None:
        self._objectives = rules.objectives
        self._thresholds = thresholds_of(rules.objectives)
        self.sizes = sorted({size for item in rules.objectives for size in item.windows})
        self._rows = 3 + len(self._thresholds)
        self._sums: dict[float, Floats] = {size: np.zeros((self._rows, 0)) for size in self.sizes}
        self._grain = {size: next(grain for most, grain in GRAINS if size <= most) for size in self.sizes}
        self._past = {grain: _Past() for _, grain in GRAINS}
        self._left = dict.fromkeys(self.sizes, 0)
        """By window: entries that have left it."""
        self._covered: dict[str, Mask] = {}
        """By objective: which versions it is about."""
        self._owner: Ints = np.zeros(0, np.int64)
        """The number of each version's plugin, by that of the version."""
        self._plugins: dict[str, int] = {}
        self._covers: dict[str, Mask] = {}
        """By objective: which plugins it is about."""

    def know(self, plugins: Sequence[tuple[str, str]]) -> None:
        """Make room for all versions, by number."""
        known = len(self._owner)
        if len(plugins) == known:
            return
        owners = [self._plugins.setdefault(plugin, len(self._plugins)) for plugin, _ in plugins[known:]]
        self._owner = np.concatenate([self._owner, np.array(owners, np.int64)])
        more = np.zeros((self._rows, len(plugins) - known))
        self._sums = {size: np.concatenate([sums, more], axis=1) for size, sums in self._sums.items()}
        covers: dict[str, Callable[[str], bool]] = {item.name: item.covers for item in self._objectives}
        self._covers = {name: np.array([of(plugin) for plugin in self._plugins], bool) for name, of in covers.items()}
        self._covered = {name: mine[self._owner] for name, mine in self._covers.items()}

    def plugin(self, name: str) -> int | None:
        """Return the number of a plugin; None where it was not seen yet."""
        return self._plugins.get(name)

    def add(self, second: int, versions: Ints, counts: Floats, plugins: Sequence[tuple[str, str]]) -> None:
        """Add calls of some versions, each once; `plugins` are all versions by number."""
        self.know(plugins)
        for sums in self._sums.values():
            sums[:, versions] += counts
        for grain, past in self._past.items():
            time = second // grain * grain
            if past.times and past.times[-1] == time and grain > 1:
                past.versions[-1], past.counts[-1] = _added(past.versions[-1], past.counts[-1], versions, counts)
            else:
                past.times.append(time)
                past.versions.append(versions)
                past.counts.append(counts)

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

    def burning(self, objective: Objective, severity: str) -> Mask | None:
        """Return which versions (pages) or plugins (tickets) burn too fast in a tier of a severity; None where none does."""
        covered, found = (self._covered if severity == PAGE else self._covers).get(objective.name), None
        if covered is None:
            return None
        for tier in objective.tiers:
            if severity != tier.severity:
                continue
            total, bad = self._of(objective, tier.long_seconds, severity)
            enough = covered & (bad >= max(1, objective.min_failures)) & (total >= objective.min_events)
            number = np.flatnonzero(enough)
            for size in (tier.long_seconds, tier.short_seconds) if len(number) else ():
                total, bad = self._of(objective, size, severity)
                number = number[_rates(objective, bad[number], total[number]) >= tier.factor]
            if len(number):
                found = np.zeros(len(enough), bool) if found is None else found
                found[number] = True
        return found

    def quiet(self, objective: Objective, severity: str, number: int) -> bool:
        """Whether calls of a version or a plugin came in every short window of a severity, and did not burn too fast."""
        for tier in objective.tiers:
            if tier.severity == severity:
                total, bad = (row[number : number + 1] for row in self._of(objective, tier.short_seconds, severity))
                if not (total[0] > 0 and _rates(objective, bad, total)[0] < tier.factor):
                    return False
        return True

    def called(self, objective: Objective, size: float, severity: str, number: int) -> bool:
        """Whether a window of a version or a plugin knows a call."""
        return bool(self._of(objective, size, severity)[0][number] > 0)

    def spent(self, objective: Objective) -> tuple[Mask, Mask]:
        """Return which plugins of those that run have nothing left of a budget, and which a share again (`cycle.budgets.spent`)."""
        covered = self._covers.get(objective.name)
        if covered is None:
            return np.zeros(0, bool), np.zeros(0, bool)
        total, bad = self._of(objective, objective.period_seconds, TICKET)
        left = 1.0 - bad / (np.maximum(total, 1.0) * (1.0 - objective.target_ratio))
        longest = max(tier.long_seconds for tier in objective.tiers)
        known = covered & (total > 0) & (self._of(objective, longest, TICKET)[0] > 0)
        gone = known & (left <= 0) & (bad >= max(1, objective.min_failures)) & (total >= objective.min_events)
        return gone, known & (left >= LEFT_AGAIN_RATIO)

    @property
    def empty(self) -> bool:
        """Whether every call has left every window, so that time moves nothing any more."""
        return all(self._left[size] - past.offset == len(past.times) for size, past in
                   ((size, self._past[self._grain[size]]) for size in self.sizes))  # fmt: skip

    def counts(
        self, alerting: Mapping[str, AbstractSet[str]] | None, plugins: Sequence[tuple[str, str]]
    ) -> Mapping[str, Mapping[tuple[str, str], Mapping[float, CallCounts]]]:
        """Return the counts of all versions of plugins of which something burns or is spent, or that have an alert: objective -> their
        names. Of no other can an alert come to anything (`cycle.alerts`, `cycle.budgets`); None asks for all."""
        found: dict[str, dict[tuple[str, str], dict[float, CallCounts]]] = {}
        for objective in self._objectives:
            mine = found[objective.name] = {}
            wanted = self._wanted(objective, alerting)
            sizes = [size for size in objective.windows if size != objective.period_seconds]
            for number in wanted:
                counted = {size: [row[number] for row in self._of(objective, size, PAGE)] for size in sizes}
                mine[plugins[number]] = {
                    size: _counts(objective, int(total), int(bad)) for size, (total, bad) in counted.items() if total
                }
                if not mine[plugins[number]]:
                    del mine[plugins[number]]
        return found

    def periods(
        self, alerting: Mapping[str, AbstractSet[str]] | None, plugins: Sequence[tuple[str, str]]
    ) -> Mapping[str, Mapping[tuple[str, str], CallCounts]]:
        """Return the counts over the periods, of the same."""
        found: dict[str, dict[tuple[str, str], CallCounts]] = {}
        for objective in self._objectives:
            wanted = self._wanted(objective, alerting)
            total, bad = (row[wanted].tolist() for row in self._of(objective, objective.period_seconds, PAGE))
            found[objective.name] = {
                plugins[number]: _counts(objective, int(calls), int(failed))
                for number, calls, failed in zip(wanted, total, bad, strict=True)
                if calls
            }
        return found

    def _wanted(self, objective: Objective, alerting: Mapping[str, AbstractSet[str]] | None) -> list[int]:
        """Return the numbers of all versions of the plugins that a turn must know of."""
        covers = self._covers.get(objective.name)
        if covers is None:
            return []
        if alerting is None:
            return np.flatnonzero(self._covered[objective.name]).tolist()
        wanted = self.spent(objective)[0]
        if (tickets := self.burning(objective, TICKET)) is not None:
            wanted |= tickets
        if (pages := self.burning(objective, PAGE)) is not None:
            wanted[self._owner[pages]] = True
        for name in alerting.get(objective.name, ()):
            if (number := self._plugins.get(name)) is not None:
                wanted[number] = True
        return np.flatnonzero(wanted[self._owner]).tolist()

    def _of(self, objective: Objective, size: float, severity: str) -> tuple[Floats, Floats]:
        """Return calls and bad ones in a window: of versions for pages, of plugins for tickets."""
        sums = self._sums[size]
        if objective.threshold_index is None:
            total, bad = sums[0], sums[1]
        else:
            total, bad = sums[2], sums[3 + self._thresholds.index(objective.threshold_index)]
        if severity == PAGE:
            return total, bad
        of, most = self._owner, len(self._plugins)
        return np.bincount(of, total, most).astype(np.float64), np.bincount(of, bad, most).astype(np.float64)


def _counts(objective: Objective, total: int, bad: int) -> CallCounts:
    return CallCounts(total, failed=bad) if objective.threshold_index is None else CallCounts(total, slow=bad)


def _rates(objective: Objective, bad: Floats, total: Floats) -> Floats:
    """Return what `judge.burn.burn_rate` does, of many at once: by the same divisions, so that they are equal to the last bit."""
    return np.where(total > 0, bad / np.maximum(total, 1.0) / (1.0 - objective.target_ratio), 0.0)


def _added(known: Ints, sums: Floats, versions: Ints, counts: Floats) -> tuple[Ints, Floats]:
    found, place = np.unique(np.concatenate([known, versions]), return_inverse=True)
    both = np.concatenate([sums, counts], axis=1)
    return found, np.stack([np.bincount(place, row, len(found)) for row in both])
