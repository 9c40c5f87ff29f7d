"""Counts of slices of time: of windows and periods that end with the last slice that is over, without those that corrections touch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from plugwarden_collector.decide.correction import Correction, excluded_seconds, stretches, widened
from plugwarden_collector.judge.burn_down import counted_span
from plugwarden_collector.judge.sli import NO_CALLS, CallCounts
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.slices import EmptySlices, Slices
from plugwarden_collector.store.calls import Counts, Measure, PluginVersion
from plugwarden_collector.store.telemetry import Judging

__all__ = ["Sliced"]


class Sliced:
    """Of one moment; whatever spans objectives share is asked once."""

    def __init__(self, judging: Judging, measures: Mapping[str, Measure], corrections: Sequence[Correction]) -> None:
        self._judging, self._measures, self._corrections = judging, measures, corrections

    def windows(
        self, objectives: Sequence[Objective], at: datetime
    ) -> dict[str, dict[PluginVersion, dict[float, CallCounts]]]:
        """Return counts of slices by objective, plugin (of no version) and window, in seconds."""
        asked: dict[tuple[datetime, datetime, float], list[Objective]] = {}
        for objective, slices in _sliced(objectives):
            until = slices.floor(at)
            for size in objective.windows:
                asked.setdefault((until - timedelta(seconds=size), until, size), []).append(objective)
        found: dict[str, dict[PluginVersion, dict[float, CallCounts]]] = {}
        for (first, before, size), mine in sorted(asked.items(), key=lambda item: -item[0][2]):
            for name, counted in self._between(mine, first, before, found).items():
                for key, counts in counted.items():
                    found.setdefault(name, {}).setdefault(key, {})[size] = counts
        return found

    def periods(self, objectives: Sequence[Objective], at: datetime) -> Counts:
        """Return counts of slices by objective and plugin (of no version), of each objective's period as far as its slices are over."""
        asked: dict[tuple[datetime, datetime], list[Objective]] = {}
        for objective, _ in _sliced(objectives):
            asked.setdefault(counted_span(objective, at, at), []).append(objective)
        found: dict[str, Mapping[PluginVersion, CallCounts]] = {}
        for (first, before), mine in asked.items():
            found |= self._between(mine, first, before)
        return found

    def _between(
        self,
        objectives: Sequence[Objective],
        first: datetime,
        before: datetime,
        known: Mapping[str, Iterable[PluginVersion]] = MappingProxyType({}),
    ) -> dict[str, dict[PluginVersion, CallCounts]]:
        """Return counts of a span; `known` are plugins that longer spans tell of: in this one they may have empty slices alone."""
        measures = [self._measures[item.name] for item in objectives]
        counted = self._judging.between(measures, first, before)
        return {
            item.name: self._without_corrected(
                item,
                slices,
                dict.fromkeys(known.get(item.name, ()), NO_CALLS) | {**counted.get(item.name, {})},
                first,
                before,
            )
            for item, slices in _sliced(objectives)
        }

    def _without_corrected(
        self,
        objective: Objective,
        slices: Slices,
        found: dict[PluginVersion, CallCounts],
        first: datetime,
        before: datetime,
    ) -> dict[PluginVersion, CallCounts]:
        name = objective.name
        left_out = list(stretches(widened(self._corrections, slices), first, before))
        for part in left_out:
            for key, counts in (
                self._judging.between([self._measures[name]], part.first, part.before).get(name, {}).items()
            ):
                if key in found and any(item.covers(objective, key[0]) for item in part.corrections):
                    found[key] = found[key].without(counts)
        if slices.empty is EmptySlices.GOOD:
            whole = (before - first).total_seconds()
            for key, counts in found.items():
                rest = slices.count(whole - excluded_seconds(left_out, objective, key[0]))
                found[key] = CallCounts(rest, failed=counts.failed)
        return found


def _sliced(objectives: Sequence[Objective]) -> list[tuple[Objective, Slices]]:
    return [(item, item.cut) for item in objectives if item.cut is not None]
