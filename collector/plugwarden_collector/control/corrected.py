"""Counts of calls without what corrections leave out: of windows, and of spans of time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from plugwarden_collector.decide.correction import Correction, Stretch, stretches
from plugwarden_collector.judge.burn_down import SMALLEST
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.store.calls import Counts, Measure, PluginVersion
from plugwarden_collector.store.telemetry import Judging

__all__ = ["Corrected"]


class Corrected:
    """Asks once for each stretch that is left out, whatever it is left out of. Of one moment: what comes late is not in it."""

    def __init__(
        self,
        judging: Judging,
        objectives: Sequence[Objective],
        measures: Sequence[Measure],
        corrections: Sequence[Correction],
    ) -> None:
        self._judging, self._corrections = judging, corrections
        self._objectives = {item.name: item for item in objectives}
        self._measures = {item.name: item for item in measures}
        self._asked: dict[tuple[datetime, datetime, bool], Counts] = {}

    def windows(
        self, sizes: Collection[float], at: datetime, until: datetime, *, finest: bool = False
    ) -> dict[str, dict[PluginVersion, dict[float, CallCounts]]]:
        """Return counts by objective, plugin version and window, in seconds (`store.telemetry.Judging.windows`)."""
        counted = self._judging.windows(list(self._measures.values()), list(sizes), at, until)
        found = {name: {key: dict(windows) for key, windows in of.items()} for name, of in counted.items()}
        for size in sizes if self._corrections else ():
            first = at - timedelta(seconds=size) + SMALLEST
            for part in stretches(self._corrections, first, until + SMALLEST):
                for name, key, counts in self._left_out(part, found, finest=finest):
                    windows = found[name][key]
                    if size in windows:
                        windows[size] = windows[size].without(counts)
        return found

    def between(self, names: Collection[str], first: datetime, before: datetime) -> Counts:
        """Return counts of a span of time, by objective, of some, and plugin version."""
        counted = self._judging.between([self._measures[name] for name in names], first, before)
        found = {name: dict(of) for name, of in counted.items()}
        for part in stretches(self._corrections, first, before):
            for name, key, counts in self._left_out(part, found):
                found[name][key] = found[name][key].without(counts)
        return found

    def _left_out(
        self, part: Stretch, found: Mapping[str, Collection[PluginVersion]], *, finest: bool = False
    ) -> Iterator[tuple[str, PluginVersion, CallCounts]]:
        """Yield what a stretch leaves out of the objectives and versions that are there."""
        asked = part.first, part.before, finest
        if asked not in self._asked:
            measures = list(self._measures.values())
            self._asked[asked] = self._judging.between(measures, part.first, part.before, finest=finest)
        for name, versions in self._asked[asked].items():
            objective, there = self._objectives[name], found.get(name, ())
            for key, counts in versions.items():
                if key in there and any(item.covers(objective, key[0]) for item in part.corrections):
                    yield name, key, counts
