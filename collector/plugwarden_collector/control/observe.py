"""Asks telemetry for what one tick judges: one question a kind, for all plugins at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plugwarden_collector.cycle import Observation
from plugwarden_collector.decide.quarantine import Probes, Quarantine
from plugwarden_collector.judge.blame import Cell
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.store.calls import Measure, PluginVersion, Windows
from plugwarden_collector.store.telemetry import Judging, Telemetry

__all__ = ["LongWindows", "StoredEvidence", "observe"]

RECENT_SECONDS = 10.0
"""Seconds of waits for downstreams that are compared with those before."""
BASELINE_SECONDS = 600.0
"""Seconds of waits for downstreams that recent ones are compared with."""
SKEW = timedelta(minutes=1)
"""Calls from hosts whose clocks run ahead by up to this much are counted; later ones wait for their time."""
RUNNING_SECONDS = 300.0
"""A plugin with a call this recently is running."""

EVIDENT_TRACES = 5
"""Failed traces that a decision names."""

SHORT_SECONDS = 900.0
"""Longest window that is counted on every tick; longer ones move slowly."""
LONG_EVERY = timedelta(seconds=5)
"""Time after which longer windows are counted again."""


@dataclass(slots=True)
class LongWindows:
    """What the long windows held when they were last counted, per objective."""

    at: datetime | None = None
    rules: Rules | None = None
    counted: Windows = field(default_factory=dict)


def observe(
    judging: Judging,
    rules: Rules,
    at: datetime,
    *,
    since: datetime,
    budgets: bool,
    skew: timedelta = SKEW,
    long: LongWindows | None = None,
) -> Observation:
    """Return what the counts say at `at`. Versions are looked for from `since` on; `budgets` adds the full periods.

    A replay sets `skew` to zero, so that it knows nothing of its own future, and gives no `long`: it counts everything anew.
    """
    until, measures = at + skew, _measures(rules)
    sizes = {size for item in rules.objectives for size in item.windows if size != item.period_seconds}
    short = judging.windows(measures, [size for size in sizes if size <= SHORT_SECONDS], at, until)
    long = LongWindows() if long is None else long
    if long.at is None or long.rules is not rules or not timedelta(0) <= at - long.at < LONG_EVERY:
        long.counted = judging.windows(measures, [size for size in sizes if size > SHORT_SECONDS], at, until)
        long.at, long.rules = at, rules
    seen = judging.versions(since, until)
    active = {item.plugin for item in seen if item.last_at > at - timedelta(seconds=RUNNING_SECONDS)}
    return Observation(
        at,
        {item.name: _together(short.get(item.name, {}), long.counted.get(item.name, {})) for item in rules.objectives},
        _periods(judging, rules, measures, at, until) if budgets else None,
        judging.waits(at, until, RECENT_SECONDS, BASELINE_SECONDS),
        len(active),
        {(item.plugin, item.version): item.first_at for item in seen},
        {(item.plugin, item.version): item.last_at for item in seen},
    )


class StoredEvidence:
    """Answers the tick's further questions from stored telemetry."""

    def __init__(self, telemetry: Telemetry, skew: timedelta = SKEW) -> None:
        self._judging, self._traces, self._skew = telemetry.judging, telemetry.traces, skew

    def cells(self, plugin: str, at: datetime, window_seconds: float) -> Sequence[Cell]:
        """Return what each version, operation and instance did, in the window up to `at`."""
        return self._judging.cells(plugin, at - timedelta(seconds=window_seconds), at + self._skew)

    def probes(self, quarantine: Quarantine, at: datetime) -> Probes:
        """Calls in the scope since it last changed."""
        return self._judging.probes(quarantine.scope, quarantine.changed_at, at + self._skew)

    def errors(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[ErrorCount]:
        """Return failed calls by error type, most first."""
        return self._judging.errors(plugin, version, since, until)

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Return the newest failed spans."""
        found = self._traces.failing(plugin, since, until, EVIDENT_TRACES, version=version)
        return [FailingSpan(span.trace_id) for span in found]


def _measures(rules: Rules) -> list[Measure]:
    return [Measure(item.name, item.covers, item.threshold_index) for item in rules.objectives]


def _periods(
    judging: Judging, rules: Rules, measures: Sequence[Measure], at: datetime, until: datetime
) -> dict[str, dict[PluginVersion, CallCounts]]:
    """Return the counts of each objective over its own period."""
    found: dict[str, dict[PluginVersion, CallCounts]] = {}
    for size in {item.period_seconds for item in rules.objectives}:
        asked = {item.name for item in rules.objectives if item.period_seconds == size}
        counted = judging.windows([item for item in measures if item.name in asked], [size], at, until)
        for name, versions in counted.items():
            found[name] = {key: windows.get(size, CallCounts()) for key, windows in versions.items()}
    return {item.name: found.get(item.name, {}) for item in rules.objectives}


def _together(
    short: Mapping[PluginVersion, Mapping[float, CallCounts]], long: Mapping[PluginVersion, Mapping[float, CallCounts]]
) -> dict[PluginVersion, Mapping[float, CallCounts]]:
    """Return both kinds of windows of each plugin version."""
    return {**short, **{key: {**short.get(key, {}), **windows} for key, windows in long.items()}}
