"""What burn-rate windows and periods of budgets hold at each of some moments, and what follows from it: of versions, and of plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plugwarden_collector.judge.budget_state import LEFT_AGAIN_RATIO
from plugwarden_collector.ratios import DIGITS
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import PAGE, TICKET

from .tape import Ints, Names

__all__ = ["Covered", "Floats", "Mask", "Sums", "covered_by"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Covered:
    """Which versions and plugins there are, by number, and which of them objectives are about."""

    owner: Ints
    """The number of each version's plugin."""
    plugins: Mapping[str, Mask]
    """By objective."""
    versions: Mapping[str, Mask]
    """By objective."""
    order: Ints
    """Versions, those of a plugin after each other."""
    first: Ints
    """Where in that order each plugin begins."""

    def by_plugin(self, rows: Floats) -> Floats:
        """Return sums over the versions of each plugin: moments x versions become moments x plugins."""
        if len(self.first) == len(self.order):  # no plugin has two versions yet
            return rows
        summed: Floats = np.add.reduceat(rows.take(self.order, axis=-1), self.first, axis=-1)
        return summed


def covered_by(objectives: Sequence[Objective], names: Names) -> Covered:
    """Return what of the names that are known objectives are about."""
    owner = np.array(names.plugin_of, np.int64)
    order = np.argsort(owner, kind="stable")
    plugins = {item.name: np.array([item.covers(name) for name in names.plugins], bool) for item in objectives}
    versions = {name: mine[owner] for name, mine in plugins.items()}
    return Covered(owner, plugins, versions, order, np.searchsorted(owner[order], np.arange(len(names.plugins))))


@dataclass(frozen=True, slots=True)
class Sums:
    """Asked for pages it tells of versions, for all else of plugins (ADR 0048); both go by their numbers."""

    thresholds: Sequence[int]
    covered: Covered
    of_size: Mapping[float, Floats]
    """By window: moments x rows of counts x versions."""

    def burning(self, objective: Objective, severity: str) -> Mask:
        """Return which versions or plugins burn too fast in a tier of a severity: moments x numbers."""
        covered = self._covered(objective, severity)
        found: Mask = np.zeros((self._moments, len(covered)), bool)
        for tier in objective.tiers:
            if tier.severity != severity:
                continue
            long = self.of(objective, tier.long_seconds, severity)
            place = np.nonzero(covered & _enough(objective, *long))
            if not len(place[0]):
                continue
            for total, bad in (long, self.of(objective, tier.short_seconds, severity)):
                met = _rates(objective, bad[place], total[place]) >= tier.factor
                place = place[0][met], place[1][met]
            found[place] = True
        return found

    def quiet(self, objective: Objective, severity: str, number: int) -> Mask:
        """Return when calls of one came in every short window of a severity, and did not burn too fast."""
        found: Mask = np.ones(self._moments, bool)
        for tier in objective.tiers:
            if tier.severity == severity:
                total, bad = (row[:, number] for row in self.of(objective, tier.short_seconds, severity))
                found &= (total > 0) & (_rates(objective, bad, total) < tier.factor)
        return found

    def called(self, objective: Objective, size: float, severity: str, number: int) -> Mask:
        """Return when a window of one knows a call."""
        found: Mask = self.of(objective, size, severity)[0][:, number] > 0
        return found

    def spent(self, objective: Objective) -> tuple[Mask, Mask]:
        """Return which plugins of those that run have nothing left of a budget, and which a share again (`judge.budget_state`): moments
        x plugins each."""
        total, bad = self.of(objective, objective.period_seconds, TICKET)
        left = np.round(1.0 - bad / (np.maximum(total, 1.0) * (1.0 - objective.target_ratio)), DIGITS)
        longest = max(tier.long_seconds for tier in objective.tiers)
        running = self._covered(objective, TICKET) & (total > 0) & (self.of(objective, longest, TICKET)[0] > 0)
        return running & (left <= 0) & _enough(objective, total, bad), running & (left >= LEFT_AGAIN_RATIO)

    def of(self, objective: Objective, size: float, severity: str) -> tuple[Floats, Floats]:
        """Return all calls and bad ones in a window: moments x numbers each."""
        sums = self.of_size[size]
        index = objective.threshold_index
        total, bad = sums[:, 0], sums[:, 1 if index is None else 2 + self.thresholds.index(index)]
        return (total, bad) if severity == PAGE else (self.covered.by_plugin(total), self.covered.by_plugin(bad))

    def _covered(self, objective: Objective, severity: str) -> Mask:
        return (self.covered.versions if severity == PAGE else self.covered.plugins)[objective.name]

    @property
    def _moments(self) -> int:
        return next((len(sums) for sums in self.of_size.values()), 1)


def _enough(objective: Objective, total: Floats, bad: Floats) -> Mask:
    found: Mask = (bad >= max(1, objective.min_failures)) & (total >= objective.min_events)
    return found


def _rates(objective: Objective, bad: Floats, total: Floats) -> Floats:
    """Return what `judge.burn.burn_rate` does, of many at once: by the same divisions, so that they are equal to the last bit."""
    return np.where(total > 0, bad / np.maximum(total, 1.0) / (1.0 - objective.target_ratio), 0.0)
