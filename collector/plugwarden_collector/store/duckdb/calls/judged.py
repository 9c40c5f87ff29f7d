"""What judging asks of the calls; see `store.telemetry.Judging`. Windows come from the resolution that suits their length."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract import OVERFLOW, name_fault

from plugwarden_collector.judge.arrivals import Arrivals, Cell, Past, Wanted
from plugwarden_collector.judge.failures import ErrorCount
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.pattern import EVERY
from plugwarden_collector.store.calls import Counts, Limits, Measure, PluginVersion, Span, VersionSeen, Windows
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.watch.absence import DAYS, LastCall
from plugwarden_collector.watch.usual import DAYS as USUAL_DAYS
from plugwarden_collector.watch.usual import Counts as UsualCounts
from plugwarden_collector.watch.usual import Windows as SameHours

from .arrived import arrivals, cells
from .fleet import FleetPages
from .hour_cache import ClosedHours, Counted
from .kind import Kind, regex_of
from .resolutions import WIDE
from .source import CallSource
from .span_cache import ClosedSpans
from .usual import Usual

__all__ = ["JudgedCalls"]

SHORT_SECONDS = 900.0
"""Longest window that is counted by the second."""

_Counted = dict[PluginVersion, dict[float, CallCounts]]
_Row = tuple[str, str, float, int, int]
"""Plugin, version, window in seconds, total, bad."""


class JudgedCalls:
    """Asked from the thread of the judge, which keeps what others remember of the calls up to date."""

    def __init__(self, source: CallSource, pages: FleetPages, hours: ClosedHours, usual: Usual) -> None:
        self._source, self._pages, self._hours, self._usual = source, pages, hours, usual
        self._spans = ClosedSpans(source, hours)

    def arrivals(
        self, after: int, thresholds: Sequence[int], detail: Collection[str], since: datetime, until: datetime
    ) -> Arrivals:
        """Return what was counted after a mark."""
        return arrivals(self._source, after, thresholds, detail, since, until)

    def past(self, since: datetime, until: datetime, thresholds: Sequence[int]) -> list[Past]:
        """Return what is usual for every operation of every plugin version."""
        return self._usual.past(since, until, thresholds)

    def windows(self, measures: Sequence[Measure], sizes: Sequence[float], at: datetime, until: datetime) -> Windows:
        """Return counts per measure, plugin version and window."""
        # A tick asks this: what pages remember follows the rollups with it, so that the next page has little to add.
        self._pages.follow()
        self._hours.follow()
        # By the minute: a whole hour would be in or out of each window as one. A span that is wider is cut into hours.
        narrow = (WIDE - (until - at)).total_seconds()
        passes = [
            sorted(size for size in sizes if size <= SHORT_SECONDS),
            sorted(size for size in sizes if SHORT_SECONDS < size <= narrow),
            *([size] for size in sizes if size > max(narrow, SHORT_SECONDS)),
        ]
        found: dict[str, _Counted] = {}
        for together in passes:
            for name, counted in self._in_one_pass(measures, together, at, until).items():
                for key, windows in counted.items():
                    found.setdefault(name, {}).setdefault(key, {}).update(windows)
        return found

    def between(
        self, measures: Sequence[Measure], first: datetime, before: datetime, *, finest: bool = False
    ) -> Counts:
        """Return counts per measure and plugin version."""
        if not measures or first >= before:
            return {}
        self._hours.follow()
        span, size = self._source.tiers.between(first, before, finest=finest), (before - first).total_seconds()
        counted = self._wide(measures, span, size, self._spans.counts)
        if counted is None:
            counted = self._narrow(measures, {**span, "at": before, "windows": [size + 1.0]})
        return {
            name: {key: counts for key, windows in versions.items() for counts in windows.values()}
            for name, versions in counted.items()
        }

    def versions(self, since: datetime, until: datetime) -> list[VersionSeen]:
        """Return every plugin version that was called."""
        with self._source.reading() as cursor:
            rows = cursor.execute(statement("versions_seen").sql, self._source.tiers.span(since, until)).fetchall()
        return [VersionSeen(*row) for row in rows if _told_apart(row)]

    def limits(self, since: datetime, until: datetime) -> Limits:
        """Return the limits that were told of, each as it came nearest to being used up."""
        with self._source.reading() as cursor:
            rows = cursor.execute(statement("known_limits").sql, {"since": since, "until": until}).fetchall()
        return {(plugin, resource): limit for plugin, resource, limit in rows}

    def last_calls(self, since: datetime, quiet_since: datetime, at: datetime, *, by_operation: bool) -> list[LastCall]:
        """Return when each plugin, or each operation of it, was called last."""
        asked = {
            **self._finest(since, at), "at": at, "quiet_since": quiet_since, "days": DAYS, "by_operation": by_operation,
        }  # fmt: skip
        with self._source.reading() as cursor:
            rows = cursor.execute(statement("last_calls").sql, asked).fetchall()
        return [
            LastCall(plugin, operation, tuple(sorted(services)), first_at, last_at, longest, frozenset(days))
            for plugin, operation, services, first_at, last_at, longest, days in rows
        ]

    def same_hours(self, at: datetime, over_seconds: float) -> list[SameHours]:
        """Return calls of every plugin at this time of the day, now and on the days before."""
        since = at - timedelta(days=USUAL_DAYS, seconds=2 * over_seconds)
        asked = {**self._finest(since, at), "at": at, "over": over_seconds}
        with self._source.reading() as cursor:
            rows = cursor.execute(statement("same_hours").sql, asked).fetchall()
        found: dict[str, dict[tuple[int, int], UsualCounts]] = {}
        first: dict[str, datetime] = {}
        for plugin, day, beside, calls, ended, failed, seconds, first_at in rows:
            found.setdefault(plugin, {})[day, beside] = UsualCounts(calls, ended, failed, seconds)
            first[plugin] = min(first_at, first.get(plugin, first_at))
        return [
            SameHours(plugin, windows.pop((0, 0), UsualCounts()), windows, (at - first[plugin]).days)
            for plugin, windows in found.items()
        ]

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> list[UpstreamCounts]:
        """Return plugins' calls of upstreams in windows that end at a moment."""
        asked = {"at": at, "since": at - timedelta(seconds=max(sizes)), "windows": list(sizes), "fast": fast_index}
        with self._source.reading() as cursor:
            rows = cursor.execute(statement("upstream_counts").sql, asked).fetchall()
        found: dict[tuple[str, str, str], dict[float, CallCounts]] = {}
        for upstream, plugin, service, size, total, failed, slow in rows:
            found.setdefault((upstream, plugin, service), {})[size] = CallCounts(total, failed=failed, slow=slow)
        return [UpstreamCounts(*key, windows) for key, windows in found.items()]

    def waits(self, before: Span, lately: Span) -> list[Waits]:
        """Return waits for downstreams, lately and before."""
        with self._source.reading() as cursor:
            rows = cursor.execute(statement("downstream_waits").sql, _compared(before, lately)).fetchall()
            if not rows:
                return []
            times = cursor.execute(statement("plugin_time").sql, self._finest(*lately)).fetchall()
        seconds = {plugin: float(spent or 0.0) for plugin, _, spent in times}
        return [Waits(*(*row, seconds.get(row[0], 0.0))) for row in rows]

    def paces(self, instances: Collection[str], before: Span, lately: Span) -> list[Pace]:
        """Return how long calls take in some processes, lately and before."""
        asked = {"instances": list(instances), **_compared(before, lately)}
        with self._source.reading() as cursor:
            return [Pace(*row) for row in cursor.execute(statement("paces").sql, asked).fetchall()]

    def cells(self, wanted: Sequence[Wanted], thresholds: Sequence[int], until: datetime) -> list[Cell]:
        """Return all cells of some plugins."""
        return cells(self._source, wanted, thresholds, until)

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> list[ErrorCount]:
        """Return a version's failed calls by error."""
        about = {"plugin": plugin, "version": version, "operations": regex_of(operations)}
        return self._source.values(ErrorCount, "error_types", {**about, **self._finest(since, until)})

    def ways_back(self, plugin: str, since: datetime, until: datetime) -> list[WayBack]:
        """Return to which earlier versions the calls of a plugin can go back."""
        found = self._source.values(WayBack, "ways_back", {"plugin": plugin, "since": since, "until": until})
        # The previous version stands in no column, so that nobody looked at it yet.
        return [item for item in found if item.previous != OVERFLOW and name_fault("version", item.previous) is None]

    def _finest(self, since: datetime, until: datetime) -> dict[str, Any]:
        return self._source.tiers.span(since, until, finest=True)

    def _in_one_pass(
        self, measures: Sequence[Measure], sizes: list[float], at: datetime, until: datetime
    ) -> dict[str, _Counted]:
        if not sizes or not measures:
            return {}
        since = at - timedelta(seconds=sizes[-1])
        span = self._source.tiers.span(since, until, finest=sizes[-1] <= SHORT_SECONDS)
        if sizes[0] > WIDE.total_seconds():
            wide = self._wide(measures, span, sizes[0], self._hours.counts)
            if wide is not None:
                return wide
        return self._narrow(measures, {**span, "at": at, "windows": sizes})

    def _narrow(self, measures: Sequence[Measure], asked: dict[str, Any]) -> dict[str, _Counted]:
        """Return the counts of some windows, from the rows."""
        of_operations: dict[str, list[Measure]] = {}
        for measure in measures:
            of_operations.setdefault(measure.operations, []).append(measure)
        found: dict[str, _Counted] = {}
        for operations, mine in of_operations.items():
            found |= self._of_operations(mine, {**asked, "operations": regex_of(operations)})
        return found

    def _of_operations(self, measures: Sequence[Measure], asked: dict[str, Any]) -> dict[str, _Counted]:
        with self._source.reading() as cursor:
            rows = cursor.execute(statement("window_counts").sql, asked).fetchall()
            plugins = sorted({row[0] for row in rows})
            slow = [
                (measure.name, plugin, measure.fast_index)
                for measure in measures
                if measure.fast_index is not None
                for plugin in filter(measure.covers, plugins)
            ]
            slow_rows: list[Any] = []
            if slow:
                names, of, indexes = zip(*slow, strict=True)
                asked |= {"slos": names, "plugins": of, "indexes": indexes}
                slow_rows = cursor.execute(statement("window_slow").sql, asked).fetchall()
        found: dict[str, _Counted] = {}
        for measure in measures:
            if measure.fast_index is None:
                found[measure.name] = _grouped(measure, (row[:5] for row in rows), _failed)
            else:
                found[measure.name] = _grouped(measure, (row[1:] for row in slow_rows if row[0] == measure.name), _slow)
        return found

    def _wide(
        self,
        measures: Sequence[Measure],
        span: dict[str, Any],
        size: float,
        counts_of: Callable[[dict[str, Any], Kind], Counted | None],
    ) -> dict[str, _Counted] | None:
        """Return the counts of one window of many hours, most of which are over and known; None: more than is remembered."""
        of_kind: dict[Kind, Counted] = {}
        found: dict[str, _Counted] = {}
        for measure in measures:
            kind = Kind.of(measure)
            counted_as = _failed if kind.fast is None or kind.slices is not None else _slow
            if kind not in of_kind:
                counted = counts_of(span, kind)
                if counted is None:
                    return None
                of_kind[kind] = counted
            found[measure.name] = {
                key: {size: counted_as(*counts)}
                for key, counts in of_kind[kind].items()
                if _told_apart(key) and measure.is_about(key)
            }
        return found


def _compared(before: Span, lately: Span) -> dict[str, Any]:
    return {"past": before[0], "past_until": before[1], "since": lately[0], "until": lately[1]}


def _told_apart(row: Sequence[Any]) -> bool:
    """Whether a row that begins with plugin and version is about one of each: what stands for many is neither judged nor isolated."""
    return OVERFLOW not in row[:2]


def _failed(total: int, bad: int) -> CallCounts:
    return CallCounts(total, failed=bad)


def _slow(total: int, bad: int) -> CallCounts:
    return CallCounts(total, slow=bad)


def _grouped(measure: Measure, rows: Iterable[_Row], counted_as: Callable[[int, int], CallCounts]) -> _Counted:
    about: dict[PluginVersion, bool] = {}
    grouped: _Counted = {}
    for plugin, version, seconds, total, bad in rows:
        key = plugin, version
        if key not in about:
            about[key] = _told_apart(key) and measure.is_about(key)
        if about[key]:
            grouped.setdefault(key, {})[seconds] = counted_as(total, bad)
    return grouped
