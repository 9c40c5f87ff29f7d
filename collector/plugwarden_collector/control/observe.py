"""Asks telemetry for what one tick judges: one question a kind, for all plugins at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plugwarden.contract import Scope

from plugwarden_collector.control.corrected import Corrected
from plugwarden_collector.control.sliced import Sliced
from plugwarden_collector.cycle import Observation, within
from plugwarden_collector.cycle.forecast import SPAN, Forecast, forecast
from plugwarden_collector.decide.correction import Correction
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import STALE, Cell, Past, Wanted
from plugwarden_collector.judge.burn_down import counted_span
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.pace import LATELY, Pace
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import Suspect, thresholds_of
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.pattern import EVERY
from plugwarden_collector.store.calls import Counts, Limits, Measure, PluginVersion, Span, Windows
from plugwarden_collector.store.telemetry import Judging, Telemetry

__all__ = ["SKEW", "LongWindows", "StoredEvidence", "UsualPast", "foreseen", "observe", "spans"]

BEFORE = timedelta(minutes=10)
"""So much of what came before a trouble is what it is compared with."""
TOLD_LATER = timedelta(seconds=6)
"""A trouble begins when it is told of, and its calls may have begun so long before: sidecars tell every five seconds."""
SKEW = timedelta(minutes=1)
"""Calls from hosts whose clocks run ahead by up to this much are counted; later ones wait for their time."""
RUNNING_SECONDS = 300.0
"""A plugin with a call this recently is running."""

WAYS_EVERY = timedelta(seconds=5)
"""Time after which it is asked again which versions hosts kept: they tell every five seconds."""
TOLD_AGAIN = timedelta(minutes=2)
"""Sidecars tell again what they declared within a minute."""
LIMITS_SPAN = timedelta(hours=1)
"""Sidecars tell of limits each minute: who told of none for so long has none."""
EVIDENT_TRACES = 5
"""Failed traces that a decision names."""

SHORT_SECONDS = 900.0
"""Longest window that is counted on every tick; longer ones move slowly."""
LONG_EVERY = timedelta(seconds=5)
"""Time after which longer windows are counted again."""
USUAL_EVERY = timedelta(minutes=1)
"""Time after which it is asked again what is usual: it is told by the hour."""
USUAL_SPAN = timedelta(days=1)
"""Nights and days are in it, and a fix of yesterday is not held against anybody tomorrow."""
USUAL_GAP = timedelta(minutes=10)
"""A trouble that began just now is not usual."""


@dataclass(slots=True)
class LongWindows:
    """What the long windows held when they were last counted, per objective."""

    at: datetime | None = None
    rules: Rules | None = None
    corrections: Sequence[Correction] = ()
    counted: Windows = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    """Those that were told of lately, where an objective is of some."""


@dataclass(slots=True)
class UsualPast:
    """What was usual when it was last asked for."""

    at: datetime | None = None
    rules: Rules | None = None
    past: dict[tuple[str, str, str], Past] = field(default_factory=dict)


def observe(
    judging: Judging,
    rules: Rules,
    at: datetime,
    *,
    mark: int = 0,
    since: datetime,
    budgets: bool,
    corrections: Sequence[Correction] = (),
    skew: timedelta = SKEW,
    long: LongWindows | None = None,
    usual: UsualPast | None = None,
) -> Observation:
    """Return what the counts say at `at`, and what arrived after `mark`. Versions are looked for from `since` on; `budgets` adds
    the full periods. What `corrections` leave out is in no window and no period; what arrived is, whatever they say.

    A replay sets `skew` to zero, so that it knows nothing of its own future, and gives no `long`: it counts everything anew.
    """
    until = at + skew
    whole = [item for item in rules.objectives if item.cut is None]
    corrected = Corrected(judging, whole, _measures(whole), corrections)
    slices = [item for item in rules.objectives if item.cut is not None]
    sliced = Sliced(judging, {item.name: item for item in _measures(slices)}, corrections)
    sizes = {size for item in whole for size in item.windows}
    short = corrected.windows([size for size in sizes if size <= SHORT_SECONDS], at, until, finest=True)
    long = LongWindows() if long is None else long
    known = long.rules is rules and long.corrections is corrections
    if long.at is None or not known or not timedelta(0) <= at - long.at < LONG_EVERY:
        counted = corrected.windows([size for size in sizes if size > SHORT_SECONDS], at, until)
        long.counted = {**counted, **sliced.windows(slices, at)}
        limited = any(item.saturation is not None for item in slices)
        long.limits = judging.limits(at - LIMITS_SPAN, at) if limited else {}
        long.at, long.rules, long.corrections = at, rules, corrections
    thresholds = thresholds_of(rules.isolating)
    usual = UsualPast() if usual is None else usual
    if usual.at is None or usual.rules is not rules or not timedelta(0) <= at - usual.at < USUAL_EVERY:
        found = judging.past(at - USUAL_SPAN, at - USUAL_GAP, thresholds)
        usual.past = {(item.plugin, item.version, item.operation): item for item in found}
        usual.past |= _of_plugins(found)
        usual.at, usual.rules = at, rules
    seen = judging.versions(since, until)
    active = {item.plugin for item in seen if item.last_at > at - timedelta(seconds=RUNNING_SECONDS)}
    return Observation(
        at,
        {item.name: _together(short.get(item.name, {}), long.counted.get(item.name, {})) for item in rules.objectives},
        {**_periods(corrected, whole, at, until), **sliced.periods(slices, at)} if budgets else None,
        len(active),
        {(item.plugin, item.version): item.first_at for item in seen},
        {(item.plugin, item.version): item.last_at for item in seen},
        judging.arrivals(mark, thresholds, (), at - STALE, until),
        usual.past,
        long.limits,
    )


def _of_plugins(found: Sequence[Past]) -> dict[tuple[str, str, str], Past]:
    """Return what is usual for an operation whatever the version, under an empty one: a new version has no past of its own."""
    most: dict[tuple[str, str, str], Past] = {}
    for item in found:
        key = (item.plugin, "", item.operation)
        known = most.get(key)
        if known is None or item.calls > known.calls:
            most[key] = item
    return most


def foreseen(judging: Judging, standing: Standing, scope: Scope, at: datetime) -> Forecast:
    """Return what isolating a scope will cost, from the calls of the last minutes."""
    cells = judging.cells([Wanted(scope.plugin, at - SPAN)], (), at + SKEW)
    told = () if scope.version is None else judging.ways_back(scope.plugin, at - TOLD_AGAIN, at + SKEW)
    return forecast(standing, scope, cells, told, at)


class StoredEvidence:
    """Answers the tick's further questions from stored telemetry."""

    def __init__(self, telemetry: Telemetry, rules: Callable[[], Rules], skew: timedelta = SKEW) -> None:
        self._judging, self._traces, self._rules, self._skew = telemetry.judging, telemetry.traces, rules, skew
        self._ways: dict[str, tuple[datetime, Sequence[WayBack]]] = {}
        """By plugin, with when it was asked."""

    def cells(self, suspects: Sequence[Suspect], at: datetime) -> Sequence[Cell]:
        """Return all that the suspects' plugins did since the trouble of each of their operations began."""
        # Of what is slow nobody tells at once, and the first report of it is of the trouble as any other.
        failing = {item.name for item in self._rules().isolating if item.threshold_index is None}
        wanted = [
            Wanted(
                item.plugin,
                item.since - STALE,
                item.mark,
                {stream: began.mark for stream, began in item.streams.items()},
                began={stream: began.at for stream, began in item.streams.items()} if item.objective in failing else {},
            )
            for item in suspects
        ]
        return self._cells(wanted, at)

    def before(self, suspects: Sequence[Suspect], seconds: float) -> Sequence[Cell]:
        """Return what the suspects' plugins did in so many seconds before their trouble began."""
        span = timedelta(seconds=seconds)
        wanted = [
            Wanted(item.plugin, item.since - span, upto=item.mark)
            if item.before_mark is None
            else Wanted(item.plugin, item.since - span - STALE, item.before_mark, upto=item.mark)
            for item in suspects
        ]
        return self._cells(wanted, max(item.since for item in suspects))

    def waits(self, since: datetime, at: datetime) -> Sequence[Waits]:
        """Return how plugins' waits for downstreams go lately, beside how they went before a trouble began."""
        return self._judging.waits(*spans(since, at, self._skew))

    def paces(self, instances: Sequence[str], since: datetime, at: datetime) -> Sequence[Pace]:
        """Return how long calls take lately in some processes, beside how long they took before a trouble began."""
        return self._judging.paces(instances, *spans(since, at, self._skew))

    def lately(self, plugins: Sequence[str], since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return all calls of some plugins that arrived after a mark, and are not from long before a moment."""
        return self._cells([Wanted(plugin, since - STALE, mark) for plugin in plugins], at)

    def probes(self, scope: Scope, since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return the calls in a scope that arrived after a mark, and are not from long before a moment."""
        return [cell for cell in self.lately([scope.plugin], since, mark, at) if within(scope, cell)]

    def ways_back(self, plugin: str, at: datetime) -> Sequence[WayBack]:
        """Return to which earlier versions the hosts of a plugin can go back."""
        # Each look asks for as long as something is suggested or only observed.
        self._ways = {name: known for name, known in self._ways.items() if timedelta(0) <= at - known[0] < WAYS_EVERY}
        if plugin not in self._ways:
            self._ways[plugin] = at, self._judging.ways_back(plugin, at - TOLD_AGAIN, at + self._skew)
        return self._ways[plugin][1]

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Return failed calls by error type, most first."""
        return self._judging.errors(plugin, version, since, until, operations=operations)

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> Sequence[UpstreamCounts]:
        """Return plugins' calls of upstreams in windows that end now."""
        return self._judging.upstreams(sizes, fast_index, at)

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Return the newest failed spans."""
        found = self._traces.failing(plugin, since, until, EVIDENT_TRACES, version=version)
        return [FailingSpan(span.trace_id) for span in found]

    def _cells(self, wanted: Sequence[Wanted], at: datetime) -> Sequence[Cell]:
        return self._judging.cells(wanted, thresholds_of(self._rules().isolating), at + self._skew)


def spans(since: datetime, at: datetime, skew: timedelta) -> tuple[Span, Span]:
    """Return before and lately, for a trouble that began at `since`."""
    began = since - TOLD_LATER
    return (began - BEFORE, began), (max(began, at - LATELY), at + skew)


def _measures(objectives: Sequence[Objective]) -> list[Measure]:
    return [Measure.of(item) for item in objectives]


def _periods(corrected: Corrected, objectives: Sequence[Objective], at: datetime, until: datetime) -> Counts:
    """Return the counts of each objective over its own period: one question for all that have the same."""
    asked: dict[tuple[datetime, datetime], list[str]] = {}
    for objective in objectives:
        asked.setdefault(counted_span(objective, at, until), []).append(objective.name)
    found: dict[str, Mapping[PluginVersion, CallCounts]] = {item.name: {} for item in objectives}
    for span, names in asked.items():
        found |= corrected.between(names, *span)
    return found


def _together(
    short: Mapping[PluginVersion, Mapping[float, CallCounts]], long: Mapping[PluginVersion, Mapping[float, CallCounts]]
) -> dict[PluginVersion, Mapping[float, CallCounts]]:
    """Return both kinds of windows of each plugin version."""
    return {**short, **{key: {**short.get(key, {}), **windows} for key, windows in long.items()}}
