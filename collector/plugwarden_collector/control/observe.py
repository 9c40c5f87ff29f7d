"""Reads the rollups for one tick: one query per kind, for all plugins at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract import OVERFLOW

from plugwarden_collector.cycle import Observation
from plugwarden_collector.decide.quarantine import Probes, Quarantine
from plugwarden_collector.judge.blame import Cell, Waits
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.store import Database, statement
from plugwarden_collector.store.duckdb.calls.hour_cache import Counted
from plugwarden_collector.store.duckdb.calls.resolutions import WIDE
from plugwarden_collector.store.duckdb.traces.search import failing_spans

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
"""Longest window that is counted on every tick, by the second; longer ones move slowly."""
LONG_EVERY = timedelta(seconds=5)
"""Time after which longer windows are counted again, from minutes and hours."""

_Counted = dict[tuple[str, str], dict[float, CallCounts]]


@dataclass(slots=True)
class LongWindows:
    """What the long windows held when they were last counted, per objective."""

    at: datetime | None = None
    rules: Rules | None = None
    counted: dict[str, _Counted] = field(default_factory=dict)


def observe(
    database: Database,
    rules: Rules,
    at: datetime,
    *,
    since: datetime,
    budgets: bool,
    skew: timedelta = SKEW,
    long: LongWindows | None = None,
) -> Observation:
    """What the rollups say at `at`. Versions are looked for from `since` on; `budgets` adds the full periods.

    A replay sets `skew` to zero, so that it knows nothing of its own future, and gives no `long`: it counts everything anew.
    """
    until = at + skew
    sizes = {size for item in rules.objectives for size in item.windows if size != item.period_seconds}
    counted = [_windows(database, rules, at, until, sorted(size for size in sizes if size <= SHORT_SECONDS))]
    long = LongWindows() if long is None else long
    if long.at is None or long.rules is not rules or not timedelta(0) <= at - long.at < LONG_EVERY:
        # By the minute: a whole hour would be in or out of each window as one. A span that is wider is cut into hours.
        narrow = (WIDE - skew).total_seconds()
        passes = [
            sorted(size for size in sizes if SHORT_SECONDS < size <= narrow),
            *([size] for size in sizes if size > narrow),
        ]
        long.counted = _merged(_windows(database, rules, at, until, together) for together in passes)
        long.at, long.rules = at, rules
    windows = _merged([*counted, long.counted])
    periods: dict[str, dict[tuple[str, str], CallCounts]] = {}
    if budgets:
        full = _merged(
            _windows(database, rules, at, until, [size]) for size in {item.period_seconds for item in rules.objectives}
        )
        for objective in rules.objectives:
            periods[objective.name] = {
                key: found.get(objective.period_seconds, CallCounts())
                for key, found in full.get(objective.name, {}).items()
            }
    seen = list(filter(_told_apart, database.fetch(statement("versions_seen"), database.tiers.span(since, until))))
    active = {row["plugin_id"] for row in seen if row["last_at"] > at - timedelta(seconds=RUNNING_SECONDS)}
    return Observation(
        at,
        {objective.name: windows.get(objective.name, {}) for objective in rules.objectives},
        periods if budgets else None,
        _waits(database, at, until),
        len(active),
        {(row["plugin_id"], row["plugin_version"]): row["first_at"] for row in seen},
        {(row["plugin_id"], row["plugin_version"]): row["last_at"] for row in seen},
    )


class StoredEvidence:
    """Answers the tick's further questions from the database."""

    def __init__(self, database: Database, skew: timedelta = SKEW) -> None:
        self._database = database
        self._skew = skew

    def cells(self, plugin: str, at: datetime, window_seconds: float) -> Sequence[Cell]:
        """Return what each version, operation and instance did, in the window up to `at`."""
        span = _finest(self._database, at - timedelta(seconds=window_seconds), at + self._skew)
        return [
            Cell(
                row["plugin_version"],
                row["plugin_operation"],
                row["instance_id"],
                CallCounts(int(row["total"]), failed=int(row["bad"])),
            )
            for row in self._database.fetch(statement("failure_cells"), {"plugin": plugin, **span})
        ]

    def probes(self, quarantine: Quarantine, at: datetime) -> Probes:
        """Calls in the scope since it last changed."""
        scope = quarantine.scope
        parameters = {
            "plugin": scope.plugin,
            "version": scope.version,
            "operation": scope.operation,
            "instance": scope.instance,
            "tenant": scope.tenant,
            "since": quarantine.changed_at,
            "until": at + self._skew,
        }
        row = self._database.fetch(statement("probe_counts"), parameters)[0]
        return Probes(int(row["total"]), int(row["bad"]))

    def errors(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[ErrorCount]:
        """Return failed calls by error type, most first."""
        span = _finest(self._database, since, until)
        return [
            ErrorCount(row["outcome"], str(row["error_type"]), str(row["error_source"]), int(row["calls"]))
            for row in self._database.fetch(statement("error_types"), {"plugin": plugin, "version": version, **span})
        ]

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Return the newest failed spans."""
        rows = failing_spans(self._database, plugin, since, until, EVIDENT_TRACES, version=version)
        return [FailingSpan(row["trace_id"]) for row in rows]


def _windows(
    database: Database, rules: Rules, at: datetime, until: datetime, sizes: list[float]
) -> dict[str, _Counted]:
    """Counts per objective, all `sizes` in one pass: from seconds where they are short, else from the fewest rows."""
    found: dict[str, _Counted] = {}
    if not sizes:
        return found
    since = at - timedelta(seconds=max(sizes))
    if len(sizes) == 1 and sizes[0] > WIDE.total_seconds():
        wide = _wide_windows(database, rules, database.tiers.span(since, until), sizes[0])
        if wide is not None:
            return wide
    span = _finest(database, since, until) if max(sizes) <= SHORT_SECONDS else database.tiers.span(since, until)
    by_failures = [item for item in rules.objectives if item.threshold_index is None]
    by_slowness = [item for item in rules.objectives if item.threshold_index is not None]
    rows = database.fetch(statement("window_counts"), {**span, "at": at, "windows": sizes})
    for objective in by_failures:
        found[objective.name] = _grouped((row for row in rows if objective.covers(row["plugin_id"])), _failed)
    if by_slowness:
        plugins = sorted({row["plugin_id"] for row in rows})
        pairs = [(item, plugin) for item in by_slowness for plugin in plugins if item.covers(plugin)]
        if pairs:
            slow = database.fetch(
                statement("window_slow"),
                {
                    **span,
                    "at": at,
                    "windows": sizes,
                    "slos": [item.name for item, _ in pairs],
                    "plugins": [plugin for _, plugin in pairs],
                    "indexes": [item.threshold_index for item, _ in pairs],
                },
            )
            for objective in by_slowness:
                found[objective.name] = _grouped((row for row in slow if row["slo"] == objective.name), _slow)
    return found


def _wide_windows(database: Database, rules: Rules, span: dict[str, Any], size: float) -> dict[str, _Counted] | None:
    """The same for one window of many hours, most of which are over and known."""
    of_threshold: dict[int | None, Counted] = {}
    found: dict[str, _Counted] = {}
    for objective in rules.objectives:
        fast = objective.threshold_index
        counted_as = _failed if fast is None else _slow
        if fast not in of_threshold:
            counted = database.closed_hours.counts(span, fast)
            if counted is None:
                return None
            of_threshold[fast] = counted
        found[objective.name] = {
            key: {size: counted_as(*counts)}
            for key, counts in of_threshold[fast].items()
            if OVERFLOW not in key and objective.covers(key[0])
        }
    return found


def _told_apart(row: Mapping[str, Any]) -> bool:
    """Whether a row is about one version of one plugin: what stands for many is shown, and neither judged nor isolated."""
    return OVERFLOW not in (row["plugin_id"], row["plugin_version"])


def _finest(database: Database, since: datetime, until: datetime) -> dict[str, Any]:
    return database.tiers.span(since, until, finest=True)


def _merged(parts: Iterable[dict[str, _Counted]]) -> dict[str, _Counted]:
    whole: dict[str, _Counted] = {}
    for part in parts:
        for name, counted in part.items():
            for key, windows in counted.items():
                whole.setdefault(name, {}).setdefault(key, {}).update(windows)
    return whole


def _failed(total: int, bad: int) -> CallCounts:
    return CallCounts(total, failed=bad)


def _slow(total: int, bad: int) -> CallCounts:
    return CallCounts(total, slow=bad)


def _grouped(rows: Any, counted_as: Callable[[int, int], CallCounts]) -> _Counted:
    grouped: _Counted = defaultdict(dict)
    for row in rows:
        if not _told_apart(row):
            continue
        counts = counted_as(int(row["total"]), int(row["bad"]))
        grouped[row["plugin_id"], row["plugin_version"]][float(row["window_seconds"])] = counts
    return dict(grouped)


def _waits(database: Database, at: datetime, until: datetime) -> list[Waits]:
    rows = database.fetch(
        statement("downstream_waits"),
        {"at": at, "until": until, "recent": RECENT_SECONDS, "baseline": BASELINE_SECONDS},
    )
    if not rows:
        return []
    times = database.fetch(statement("plugin_time"), _finest(database, at - timedelta(seconds=RECENT_SECONDS), until))
    seconds = {row["plugin_id"]: float(row["seconds"] or 0.0) for row in times}
    return [
        Waits(
            row["plugin_id"],
            row["downstream"],
            int(row["recent_waits"]),
            float(row["recent_seconds"]),
            int(row["recent_failures"]),
            int(row["baseline_waits"]),
            float(row["baseline_seconds"]),
            seconds.get(row["plugin_id"], 0.0),
        )
        for row in rows
    ]
