"""What the collector counted: told as arrivals, as windows, and to whoever asks further."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from plugwarden.contract import Scope
from plugwarden_collector.cycle import within
from plugwarden_collector.judge.arrivals import Arrivals, Cell, Past, StreamCounts
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import Suspect
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.pattern import EVERY

from .fleet import EXPORT_SECONDS, LOST_SECONDS, Delivery
from .history import hourly, leapt, usual
from .layout import LOST, Ints, Layout
from .world import World

__all__ = ["BUDGETS_EVERY_SECONDS", "RUNNING_SECONDS", "START", "Store"]

START = datetime(2026, 1, 1, 12)
"""When every world begins."""
SKEW_SECONDS = 60.0
"""`control.observe.SKEW`."""
MARGIN = 200
"""Seconds before the beginning and after the end that hosts' clocks may show."""
STALE_SECONDS = 120.0
"""Calls dated so much before they arrive say nothing of now (`judge.arrivals.STALE`)."""
RUNNING_SECONDS = 300.0
"""`control.observe.RUNNING_SECONDS`."""
WAITED_SECONDS = 10.0
LATELY_SECONDS = 30.0
"""`control.observe.LATELY`."""
CALL_SECONDS = 0.02
SLOW_CALL_SECONDS = 0.5
BUDGETS_EVERY_SECONDS = 5.0
"""`control.live.BUDGET_SECONDS`."""
WINDOWS_EVERY_SECONDS = 1.0
"""Budgets are counted by the second, and nothing is isolated for them."""


@dataclass(slots=True)
class _Row:
    """What one delivery said of one cell."""

    mark: int
    began: float
    stamped: float
    cell: int
    total: int
    failed: int
    """Through the plugin's fault."""
    slow: int
    errors: dict[int, int]
    refused: int


class Store:
    """Everything that arrived, and the hours before the world as numbers."""

    def __init__(self, world: World, layout: Layout) -> None:
        self._world, self._layout = world, layout
        self._ended = np.zeros(layout.size, dtype=np.int64)
        self._slow, self._refused = np.zeros_like(self._ended), np.zeros_like(self._ended)
        self._failed = np.zeros((len(layout.errors), layout.size), dtype=np.int64)
        self.mark = 0
        self.thresholds = 0
        """How many thresholds the rules ask for."""
        self.slow: set[str] = set()
        """Names of the objectives that ask for one."""
        self._stale = 0
        self._told: list[tuple[Ints, Ints, Ints, Ints]] = []
        """What each process told since the last look: streams, and of each of them calls that ended, failed and were slow."""
        self.fresh = False
        """Whether something arrived since the last look."""
        span = int(world.seconds) + 2 * MARGIN
        self._by_second = np.zeros((3, len(layout.versions), span), dtype=np.int64)
        """Ended, failed, slow; by plugin version and second of the hosts' clocks."""
        self._rows: dict[str, list[_Row]] = {}
        self._history = hourly(world, layout)
        self.versions: dict[tuple[str, str], datetime] = {
            (plugin.name, plugin.version): START - timedelta(days=30)
            for plugin in world.plugins
            if plugin.history_hours > 0
        }
        self.called: dict[tuple[str, str], float] = dict.fromkeys(self.versions, 0.0)
        self._windows: dict[tuple[str, str], dict[float, CallCounts]] = {}
        self._windows_at = -WINDOWS_EVERY_SECONDS
        self._long: dict[float, tuple[float, Ints]] = {}
        self.budgets_at = -BUDGETS_EVERY_SECONDS
        """When budgets were brought up to date last."""
        self.jumped = 0.0
        """Seconds that passed without being simulated."""
        self._epoch = 0.0
        """Since when seconds are kept; before it there are the hours as numbers."""
        self._past = usual(world)

    def at(self, now: float) -> datetime:
        """The moment that is `now` seconds into the world."""
        return START + timedelta(seconds=now + self.jumped)

    def _seconds(self, at: datetime) -> float:
        return (at - START).total_seconds() - self.jumped

    def take(self, item: Delivery, now: float) -> None:
        """Count a delivery."""
        cells, layout = item.cells, self._layout
        self.mark += 1
        self.fresh = True
        blamed, failing = layout.blamed @ item.failed, item.failed.sum(axis=0)
        for place in np.flatnonzero(item.ended + item.refused + item.denied).tolist():
            cell = cells.start + place
            part = layout.parts[cell]
            errors: dict[int, int] = {}
            if failing[place]:
                errors = {int(error): int(item.failed[error, place]) for error in np.flatnonzero(item.failed[:, place])}
            total, failed, slow = int(item.ended[place]), int(blamed[place]), int(item.slow[place])
            version = (part["plugin"], part["version"])
            if now - item.stamped > STALE_SECONDS:
                self._stale += total
                continue
            self.versions.setdefault(version, self.at(max(0.0, min(item.stamped, now))))
            self.called[version] = now
            refused = int(item.refused[place])
            if total or refused:
                self._rows.setdefault(part["plugin"], []).append(
                    _Row(self.mark, item.began, item.stamped, cell, total, failed, slow, errors, refused)
                )
        if now - item.stamped > STALE_SECONDS:
            return
        self._told.append(self._by_stream(cells, item.ended, blamed, item.slow))
        self._ended[cells] += item.ended
        self._slow[cells] += item.slow
        self._refused[cells] += item.refused
        self._failed[:, cells] += item.failed
        second = min(max(int(item.stamped) + MARGIN, 0), self._by_second.shape[2] - 1)
        for kind, counts in enumerate((item.ended, blamed, item.slow)):
            np.add.at(self._by_second[kind, :, second], layout.version_of[cells], counts)

    def arrivals(self, thresholds: int) -> Arrivals:
        """What arrived since this was last asked."""
        layout = self._layout
        blamed = layout.blamed @ self._failed
        touched = np.flatnonzero(self._ended + self._refused)
        count = len(layout.streams)
        sums = [
            np.bincount(layout.stream_of[touched], weights=counts[touched], minlength=count).astype(np.int64).tolist()
            for counts in (self._ended, blamed, self._refused, self._slow)
        ]
        streams, apart = self._in_parts(sums[1], thresholds)
        streams += [
            StreamCounts(
                *_three(layout.streams[index]), CallCounts(total, failed=failed), refused, (slow,) * thresholds
            )
            for index, (total, failed, refused, slow) in enumerate(zip(*sums, strict=True))
            if (total or refused) and index not in apart
        ]
        # What a breaker refused is told of the whole.
        streams += [
            StreamCounts(*_three(layout.streams[index]), CallCounts(), sums[2][index], (0,) * thresholds)
            for index in sorted(apart)
            if sums[2][index]
        ]
        cells: list[Cell] = []
        failing = self._failed.sum(axis=0)
        for cell in touched.tolist():
            cells += self._cells_of(cell, thresholds, bool(failing[cell]))
        found = Arrivals(self.mark, streams, cells, self._stale)
        for array in (self._ended, self._slow, self._refused, self._failed):
            array[...] = 0
        self._stale, self.fresh = 0, False
        self._told.clear()
        return found

    def _by_stream(self, cells: slice, ended: Ints, failed: Ints, slow: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        streams, place = np.unique(self._layout.stream_of[cells], return_inverse=True)
        sums = [np.bincount(place, weights=counts).astype(np.int64) for counts in (ended, failed, slow)]
        return streams, sums[0], sums[1], sums[2]

    def _in_parts(self, failed: Sequence[int], thresholds: int) -> tuple[list[StreamCounts], set[int]]:
        """Return what failed, report by report, as the store tells it where no calls were slow; and which streams that is."""
        apart = {index for index, bad in enumerate(failed) if bad}
        found = []
        for streams, ended, bad, slow in self._told:
            for index, *counts in zip(streams.tolist(), ended.tolist(), bad.tolist(), slow.tolist(), strict=True):
                if index in apart and counts[0]:
                    names = _three(self._layout.streams[index])
                    found.append(
                        StreamCounts(*names, CallCounts(counts[0], failed=counts[1]), 0, (counts[2],) * thresholds)
                    )
        return found, apart

    def _cells_of(self, cell: int, thresholds: int, failing: bool) -> list[Cell]:
        part, errors = self._layout.parts[cell], self._failed[:, cell]
        names = (
            part["plugin"],
            part["version"],
            part["operation"],
            part["service"],
            part["instance"],
            part["machine"],
            part["tenant"],
        )
        found, failed, slow = [], 0, int(self._slow[cell])
        for error in np.flatnonzero(errors).tolist() if failing else ():
            calls, name = int(errors[error]), self._layout.errors[error][0]
            late = min(slow, calls) if name == "timeout" else 0
            own = calls if self._layout.blamed[error] else 0
            found.append(Cell(*names, name, CallCounts(calls, failed=own), 0, (late,) * thresholds))
            failed, slow = failed + calls, slow - late
        well, refused = int(self._ended[cell]) - failed, int(self._refused[cell])
        if well or refused:
            found.append(Cell(*names, "", CallCounts(well), refused, (min(slow, well),) * thresholds))
        return found

    def past(self, thresholds: int) -> Mapping[tuple[str, str, str], Past]:
        """What is usual for each operation, from the hours before the world."""
        return {key: Past(*key, calls, norm, (slow,) * thresholds) for key, (calls, norm, slow) in self._past.items()}

    def windows(self, sizes: Sequence[float], now: float) -> dict[tuple[str, str], dict[float, CallCounts]]:
        """Calls by plugin version and window, by the hosts' clocks: each second anew, long windows every five."""
        if 0 <= now - self._windows_at < WINDOWS_EVERY_SECONDS:
            return self._windows
        found: dict[tuple[str, str], dict[float, CallCounts]] = {}
        for size in sizes:
            for key, counts in self.counted(size, now).items():
                found.setdefault(key, {})[size] = counts
        self._windows, self._windows_at = found, now
        return found

    def counted(self, size: float, now: float) -> dict[tuple[str, str], CallCounts]:
        """Calls by plugin version in one window, by the hosts' clocks."""
        known = self._long.get(size)
        if known is None or size <= 900 or not 0 <= now - known[0] < 5:
            known = self._long[size] = (now, self._sums(now - size, now + SKEW_SECONDS))
        total, failed, slow = known[1]
        before, found = max(0.0, size - (now - self._epoch)), {}
        for index, version in enumerate(self._layout.versions):
            rate, norm, late, hours = self._history[index]
            more = int(rate * min(before, hours * 3600.0))
            calls = int(total[index]) + more
            if calls:
                found[version[0], version[1]] = CallCounts(
                    calls,
                    failed=int(failed[index]) + round(more * norm),
                    slow=int(slow[index]) + round(more * late),
                )
        return found

    def running(self, now: float) -> int:
        """Plugins with calls of late."""
        return len({plugin for (plugin, _), at in self.called.items() if now - at < RUNNING_SECONDS})

    def waits(self, since: datetime, at: datetime) -> list[Waits]:
        """Waits for downstreams that sidecars measured, where a trouble says that they do."""
        found, now = [], self._seconds(at)
        for plugin in self._world.plugins:
            if not plugin.downstream:
                continue
            calls = sum(
                row.total for row in self._rows.get(plugin.name, [])[-200:] if row.stamped > now - WAITED_SECONDS
            )
            failing = slower = 0.0
            for trouble in self._world.troubles:
                if trouble.downstream == plugin.downstream and (
                    not trouble.where.plugin or plugin.name in trouble.where.plugin
                ):
                    strength = trouble.strength(now)
                    failing, slower = max(failing, trouble.share * strength), max(slower, trouble.slow * strength)
            spent = calls * (CALL_SECONDS + SLOW_CALL_SECONDS * slower)
            before = int(600 * plugin.calls_per_second * len(plugin.operations))
            found.append(
                Waits(plugin.name, plugin.downstream, calls, spent, int(calls * failing), before, CALL_SECONDS, spent * 1.1 + 1e-3)
            )  # fmt: skip
        return found

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> list[UpstreamCounts]:
        """Calls of upstreams, as sidecars measured them since the world began: those that a trouble hits fail for it, where it says so."""
        now, found = self._seconds(at), list[UpstreamCounts]()
        for plugin in self._world.plugins:
            if not plugin.downstream:
                continue
            troubles = [item for item in self._world.troubles if item.downstream == plugin.downstream]
            sums = {size: [0, 0, 0] for size in sizes}
            for row in self._rows.get(plugin.name, []):
                part = self._layout.parts[row.cell]
                kinds = {item.error for item in troubles if item.where.matches(part) and item.strength(row.stamped)}
                failed = sum(calls for error, calls in row.errors.items() if self._layout.errors[error][0] in kinds)
                for size, counted in sums.items():
                    if row.stamped > now - size:
                        counted[0] += row.total
                        counted[1] += failed
                        counted[2] += row.slow if kinds else 0
            windows = {
                size: CallCounts(total, failed=failed, slow=slow)
                for size, (total, failed, slow) in sums.items()
                if total
            }
            found.append(UpstreamCounts(plugin.downstream, plugin.name, "api", windows))
        return found

    def paces(self, instances: Sequence[str], since: datetime, at: datetime) -> list[Pace]:
        """How long calls take in some processes, which sidecars tell beside how many are slow."""
        now, found = self._seconds(at), []
        begin = max(self._seconds(since) - EXPORT_SECONDS, now - LATELY_SECONDS)
        hung = self._layout.error(LOST, "plugin")
        for plugin in self._world.plugins:
            counts: dict[str, tuple[int, float]] = {}
            parts: dict[str, dict[str, str]] = {}
            for row in reversed(self._rows.get(plugin.name, [])):
                if row.stamped < begin:
                    break
                part = self._layout.parts[row.cell]
                if part["instance"] in instances:
                    calls, seconds = counts.get(part["instance"], (0, 0.0))
                    lost = row.errors.get(hung, 0)
                    seconds += (row.slow - lost) * SLOW_CALL_SECONDS + lost * LOST_SECONDS
                    counts[part["instance"]] = calls + row.total, seconds
                    parts[part["instance"]] = part
            for instance, (calls, seconds) in counts.items():
                felt = [
                    item for item in self._world.troubles if item.strength(now) and item.where.matches(parts[instance])
                ]
                drag = max([1.0, *(item.drag for item in felt)])
                work = max([1.0, *(item.work for item in felt)])
                each = CALL_SECONDS * drag + (seconds / calls if calls else 0.0)
                usual = int(600 * plugin.calls_per_second)
                found.append(
                    Pace(
                        plugin.name,
                        parts[instance]["service"],
                        instance,
                        calls,
                        each,
                        0.001 * work,
                        usual,
                        CALL_SECONDS,
                        0.001,
                    )
                )
        return found

    def leap(self, seconds: float, now: float) -> None:
        """Let days pass in which everything was ordinary."""
        self.jumped += seconds
        self._epoch = now
        self._by_second[...] = 0
        self._rows.clear()
        self._windows_at = -WINDOWS_EVERY_SECONDS
        self._long.clear()
        self.called = {key: now for key, at in self.called.items() if now - at < 2 * EXPORT_SECONDS}
        self._history = leapt(self._world, self._layout, self.called, seconds)

    # -- what a tick asks further

    def cells(self, suspects: Sequence[Suspect], at: datetime) -> Sequence[Cell]:
        """All that the suspects' plugins did since the trouble of each of their operations began."""
        found: list[Cell] = []
        for suspect in suspects:
            sums: dict[int, list[_Row]] = {}
            for row in reversed(self._rows.get(suspect.plugin, [])):
                part = self._layout.parts[row.cell]
                known = suspect.streams.get((part["version"], part["operation"]))
                if row.mark > (known.mark if known is not None else suspect.mark):
                    sums.setdefault(row.cell, []).append(row)
                elif row.mark <= suspect.mark:
                    break
            if suspect.objective not in self.slow:
                self._leave_out_before(suspect, sums)
            for cell, rows in sums.items():
                found += self._summed(cell, rows)
        return found

    def _leave_out_before(self, suspect: Suspect, sums: dict[int, list[_Row]]) -> None:
        """What a process told first of an operation is of before its trouble, if it ended before that and nothing of it was bad."""
        first: dict[tuple[str, str, str], tuple[int, bool]] = {}
        for cell, rows in sums.items():
            key = self._sender(cell)
            for row in rows:
                mark, bad = first.get(key, (row.mark, False))
                if row.mark < mark:
                    mark, bad = row.mark, False
                first[key] = mark, bad or (row.mark == mark and bool(row.failed or row.refused))
        for cell, rows in sums.items():
            version, operation, _ = key = self._sender(cell)
            mark, bad = first[key]
            known = suspect.streams.get((version, operation))
            if known is not None and not bad:
                began = int(self._seconds(known.at))
                rows[:] = [row for row in rows if row.mark > mark or int(row.stamped) > began]

    def _sender(self, cell: int) -> tuple[str, str, str]:
        part = self._layout.parts[cell]
        return part["version"], part["operation"], part["instance"]

    def before(self, suspects: Sequence[Suspect], seconds: float) -> Sequence[Cell]:
        """What the suspects' plugins did in so many seconds before their trouble began."""
        found: list[Cell] = []
        for suspect in suspects:
            begin = (suspect.since - START).total_seconds() - self.jumped - seconds
            sums: dict[int, list[_Row]] = {}
            for row in reversed(self._rows.get(suspect.plugin, [])):
                if row.stamped < begin - MARGIN or row.mark <= (suspect.before_mark or 0):
                    break
                if row.mark <= suspect.mark and (suspect.before_mark is not None or row.stamped >= begin):
                    sums.setdefault(row.cell, []).append(row)
            for cell, rows in sums.items():
                found += self._summed(cell, rows)
        return found

    def lately(self, plugins: Sequence[str], since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """All calls of some plugins that arrived after a mark."""
        sums: dict[int, list[_Row]] = {}
        for plugin in plugins:
            for row in reversed(self._rows.get(plugin, [])):
                if row.mark <= mark:
                    break
                sums.setdefault(row.cell, []).append(row)
        return [cell for index, rows in sums.items() for cell in self._summed(index, rows)]

    def probes(self, scope: Scope, since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Calls in the scope that arrived after a mark."""
        return [cell for cell in self.lately([scope.plugin], since, mark, at) if within(scope, cell)]

    def _summed(self, index: int, rows: Sequence[_Row]) -> list[Cell]:
        part = self._layout.parts[index]
        names = (
            part["plugin"], part["version"], part["operation"], part["service"], part["instance"], part["machine"], part["tenant"],
        )  # fmt: skip
        errors: Counter[int] = Counter()
        for row in rows:
            errors.update(row.errors)
        found = [
            Cell(*names, self._layout.errors[error][0],
                 CallCounts(calls, failed=calls if self._layout.blamed[error] else 0), 0, (0,) * self.thresholds)
            for error, calls in errors.items()
        ]  # fmt: skip
        well = sum(row.total for row in rows) - errors.total()
        refused = sum(row.refused for row in rows)
        found.append(Cell(*names, "", CallCounts(well), refused, (sum(row.slow for row in rows),) * self.thresholds))
        return found

    def ways_back(self, plugin: str, at: datetime) -> Sequence[WayBack]:
        """What hosts told of the versions that they kept, once they had time to."""
        now = self._seconds(at)
        found = {}
        for event in self._world.events:
            if event.kind != "deploy" or not event.previous or now < event.at + EXPORT_SECONDS:
                continue
            for place in self._layout.where(event.where).tolist():
                part = self._layout.parts[place]
                if part["plugin"] == plugin and part["version"] == event.version:
                    found[part["instance"], part["operation"]] = WayBack(
                        part["instance"], event.version, part["operation"], event.previous
                    )
        made_up = [
            WayBack(item.sender, item.version, f"{item.operation}{number or ''}", name)
            for item in self._world.forgeries
            if item.at <= now < item.until and plugin in item.plugins
            for number, name in enumerate(item.previous)
        ]
        return [*made_up, *found.values()]

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Failed calls by error, most first."""
        begin = (since - START).total_seconds() - self.jumped
        counted: Counter[int] = Counter()
        for row in self._rows.get(plugin, ()):
            if row.stamped > begin and self._layout.parts[row.cell]["version"] == version:
                counted.update(row.errors)
        found = [(self._layout.errors[error], calls) for error, calls in counted.most_common()]
        return [
            ErrorCount("timeout" if name == "timeout" else "error", name, source, calls)
            for (name, source), calls in found
        ]

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """One failed call, of any kind."""
        return [FailingSpan("0" * 31 + "1")]

    # -- inside

    def _sums(self, since: float, until: float) -> Ints:
        begin, end = max(0, int(since) + 1 + MARGIN), max(0, int(until) + 1 + MARGIN)
        found: Ints = self._by_second[:, :, begin:end].sum(axis=2)
        return found


def _three(names: tuple[str, ...]) -> tuple[str, str, str]:
    plugin, version, operation = names
    return plugin, version, operation
