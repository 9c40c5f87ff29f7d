"""A fleet in memory that a test plays second by second through the real tick: what arrives, what is asked further, what is told."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from plugwarden.contract import Action, Outcome, QuarantineState, Scope
from plugwarden.gate import resolve
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.cycle import Observation, evaluate, next_set, within
from plugwarden_collector.decide.acts import Acted
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import STALE, Arrivals, Cell, Past, StreamCounts
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import Suspect, Watch
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.pattern import EVERY, matches
from plugwarden_collector.rules.policy import Enforcement, Policy

__all__ = [
    "AT",
    "AVAILABILITY",
    "LATENCY",
    "OBSERVED",
    "RULES",
    "Fleet",
    "RememberedCalls",
    "burning",
    "by_hand",
    "kinds",
    "rules_with",
]

AT = datetime(2026, 1, 1)
AVAILABILITY = Objective("availability", Sli.AVAILABILITY, 0.99, 21_600.0)
LATENCY = Objective("latency", Sli.LATENCY, 0.99, 21_600.0, threshold_seconds=0.25)
RULES = Rules(
    (AVAILABILITY, LATENCY), Policy(Enforcement.ENFORCE, probation_steps=(0.1, 1.0), step_seconds=1, step_min_calls=5)
)
OBSERVED = replace(RULES, policy=Policy())
HELD = timedelta(hours=1)
"""Versions of a fleet are so old when it begins: none of them is a newcomer."""


def rules_with(**changes: object) -> Rules:
    """Return the rules that enforce, with another policy in some points."""
    return replace(RULES, policy=replace(RULES.policy, **changes))  # type: ignore[arg-type]


def kinds(changes: Changes) -> list[str]:
    """Return what was decided, in order."""
    return [item.kind for item in changes.decisions]


def burning(bad: Mapping[tuple[str, str], int], at: datetime = AT) -> Observation:
    """Return what the collector sees of plugin versions that failed in so many of 100 calls in each window; nothing arrived lately."""
    windows = {key: dict.fromkeys(AVAILABILITY.windows, CallCounts(100, failed=count)) for key, count in bad.items()}
    return Observation(at, {"availability": windows}, running=20, versions=dict.fromkeys(bad, at - HELD))


def by_hand(scope: Scope) -> Quarantine:
    """Return a quarantine of a person's."""
    return Quarantine("q-hand", scope, QuarantineState.QUARANTINED, "by hand", "ann", Enforcement.ENFORCE, AT, AT)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Calls that arrived together."""

    mark: int
    at: datetime
    cell: Cell


@dataclass(slots=True)
class RememberedCalls:
    """Evidence of calls that a test made up, in the order in which they arrived."""

    entries: list[_Entry] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """What a tick asked further."""
    waited: Sequence[Waits] = ()
    paced: Sequence[Pace] = ()
    ways: Sequence[WayBack] = ()
    outward: Callable[[datetime], Sequence[UpstreamCounts]] = lambda _: ()
    """How calls of upstreams went, as of a moment."""
    known_from: datetime = datetime.min
    """Of what slows troubles that began earlier nothing is known."""

    @property
    def mark(self) -> int:
        """Up to where calls arrived."""
        return len(self.entries)

    def add(self, at: datetime, cell: Cell) -> None:
        """Calls of one finest part arrive."""
        self.entries.append(_Entry(len(self.entries) + 1, at, cell))

    def arrivals(self, after: int) -> Arrivals:
        """Return what arrived after a mark, as the store tells it."""
        streams: dict[tuple[str, str, str], StreamCounts] = {}
        cells = []
        for entry in self.entries[after:]:
            cell = entry.cell
            key = (cell.plugin, cell.version, cell.operation)
            before = streams.get(key, StreamCounts(*key, CallCounts(), 0, (0,)))
            counts = CallCounts(
                before.counts.total + cell.counts.total, failed=before.counts.failed + cell.counts.failed
            )
            slow = tuple(map(sum, zip(before.slow, cell.slow, strict=True)))
            streams[key] = replace(before, counts=counts, refused=before.refused + cell.refused, slow=slow)
            if cell.counts.failed or cell.refused:
                cells.append(cell)
        return Arrivals(self.mark, tuple(streams.values()), tuple(cells))

    def cells(self, suspects: Sequence[Suspect], at: datetime) -> Sequence[Cell]:
        """Return all that the suspects' plugins did since the trouble of each of their operations began."""
        self.asked.append("cells")
        marks = {item.plugin: item for item in suspects}
        return _together(
            entry.cell
            for entry in self.entries[min(_first(item) for item in suspects) :]
            if (item := marks.get(entry.cell.plugin)) is not None and entry.mark > _first_mark(item, entry.cell)
        )

    def before(self, suspects: Sequence[Suspect], seconds: float) -> Sequence[Cell]:
        """Return what the suspects' plugins did in so many seconds before their trouble began."""
        marks = {item.plugin: item for item in suspects}
        return _together(
            entry.cell
            for entry in self.entries
            if (item := marks.get(entry.cell.plugin)) is not None
            and entry.mark <= item.mark
            and (
                entry.at >= item.since - timedelta(seconds=seconds)
                if item.before_mark is None
                else entry.mark > item.before_mark
            )
        )

    def waits(self, since: datetime, at: datetime) -> Sequence[Waits]:
        """Return what the test says of waits for downstreams."""
        return self.waited

    def paces(self, instances: Sequence[str], since: datetime, at: datetime) -> Sequence[Pace]:
        """Return what the test says of how long calls take in some processes."""
        return [pace for pace in self.paced if pace.instance in instances and since >= self.known_from]

    def lately(self, plugins: Sequence[str], since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return all calls of some plugins that arrived after a mark, and are not from long before a moment."""
        return _together(entry.cell for entry in self._since(since, mark) if entry.cell.plugin in plugins)

    def probes(self, scope: Scope, since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return the calls in a scope that arrived after a mark, and are not from long before a moment."""
        return _together(entry.cell for entry in self._since(since, mark) if within(scope, entry.cell))

    def _since(self, since: datetime, mark: int) -> list[_Entry]:
        """Return what arrived after a mark, but for what the store takes for stale."""
        return [entry for entry in self.entries[mark:] if entry.at >= since - STALE]

    def ways_back(self, plugin: str, at: datetime) -> Sequence[WayBack]:
        """Return what the test says of versions that hosts still have."""
        self.asked.append("ways back")
        return self.ways

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Return failed calls of some operations by error, the most first."""
        counted: Counter[str] = Counter()
        for entry in self.entries:
            cell = entry.cell
            mine = (cell.plugin, cell.version) == (plugin, version) and matches(operations, cell.operation)
            if mine and entry.at >= since and cell.counts.failed:
                counted[cell.error_type] += cell.counts.failed
        return [ErrorCount(Outcome.ERROR, kind, "plugin", calls) for kind, calls in counted.most_common()]

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> Sequence[UpstreamCounts]:
        """Return what the test says of calls of upstreams."""
        return [item for item in self.outward(at) if item.windows]

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Return one failed call."""
        self.asked.append("traces")
        return [FailingSpan("0" * 32)]


def _first(suspect: Suspect) -> int:
    return min([suspect.mark, *(began.mark for began in suspect.streams.values())])


def _first_mark(suspect: Suspect, cell: Cell) -> int:
    began = suspect.streams.get((cell.version, cell.operation))
    return suspect.mark if began is None else began.mark


def _together(cells: Iterable[Cell]) -> list[Cell]:
    """Return one value for each finest part, as the store does."""
    first: dict[tuple[str, ...], Cell] = {}
    sums: dict[tuple[str, ...], list[int]] = {}
    for cell in cells:
        key = (cell.plugin, cell.version, cell.operation, cell.service, cell.instance, cell.machine, cell.tenant)
        key += (cell.error_type,)
        first.setdefault(key, cell)
        counted = sums.setdefault(key, [0, 0, 0, 0])
        counted[0] += cell.counts.total
        counted[1] += cell.counts.failed
        counted[2] += cell.refused
        counted[3] += cell.slow[0]
    return [
        replace(first[key], counts=CallCounts(total, failed=failed), refused=refused, slow=(slow,))
        for key, (total, failed, refused, slow) in sums.items()
    ]


class Fleet:
    """Plugins that are called, and a collector that judges them; hosts obey what it tells."""

    def __init__(
        self, rules: Rules = RULES, *, running: int = 20, windows: bool = False, budgets: bool = False
    ) -> None:
        self.rules, self.running, self.windows, self.budgets = rules, running, windows, budgets
        self.at, self.standing, self.watch, self.calls = AT, Standing(), Watch(), RememberedCalls()
        self.usual: dict[tuple[str, str, str], Past] = {}
        self.versions: dict[tuple[str, str], datetime] = {}
        self.called_at: dict[tuple[str, str], datetime] = {}
        self.made: list[Draft] = []
        self.chance = 0.0

    def has_past(self, plugin: str, version: str = "1", failed_ratio: float = 0.0, operation: str = "x") -> None:
        """A plugin version ran for a day, and failed so often."""
        self.usual[plugin, version, operation] = Past(plugin, version, operation, 100_000, failed_ratio, (0.0,))

    def arrive(
        self, plugin: str, version: str = "1", total: int = 10, bad: int = 0, *, slow: int = 0, refused: int = 0,
        operation: str = "x", on: Sequence[str] = ("h1", "h2"), machine: str = "", tenant: str = "", service: str = "web",
        error: str = "ValueError", obeyed: bool = True,
    ) -> None:  # fmt: skip
        """So many calls arrive now from each process, as far as hosts let them through."""
        self.versions.setdefault((plugin, version), self.at - HELD)
        self.called_at[plugin, version] = self.at
        for instance in on:
            where = Cell(plugin, version, operation, service, instance, machine, tenant, "", CallCounts(), 0, (0,))
            share = self.let_through(where) if obeyed else 1.0
            calls, failed, late, shut = (math.ceil(count * share) for count in (total, bad, slow, refused))
            if failed or shut:
                counts, kind = CallCounts(failed, failed=failed), error if failed else ""
                self.calls.add(self.at, replace(where, error_type=kind, counts=counts, refused=shut))
            if calls > failed:
                self.calls.add(self.at, replace(where, counts=CallCounts(calls - failed), slow=(late,)))

    def let_through(self, cell: Cell) -> float:
        """Return the share of the calls of a part that hosts let through, by the sidecar's own code."""
        rules = resolve(
            self.standing.directives.directives, Scope(cell.plugin, cell.version, cell.operation, cell.instance)
        )
        return next((rule.share_ratio for rule in rules if rule.tenant in {None, cell.tenant}), 1.0)

    def cell(self, plugin: str, version: str, operation: str = "x") -> Cell:
        """Return calls of an operation in one process."""
        return Cell(plugin, version, operation, "web", "h1", "", "", "", CallCounts(), 0, (0,))

    def seen(self) -> Observation:
        """Return what the collector sees now."""
        return Observation(
            self.at, self._windows() if self.windows else {}, self._periods() if self.budgets else None, self.running, dict(self.versions),
            dict(self.called_at), self.calls.arrivals(self.watch.mark), self.usual,
        )  # fmt: skip

    def tick(self, seconds: float = 0.0) -> Changes:
        """Time goes on, and the collector judges."""
        self.at += timedelta(seconds=seconds)
        self.standing, self.watch, changes = evaluate(
            self.rules, self.standing, self.watch, self.seen(), self.calls, lambda: self.chance
        )
        self.made += changes.decisions
        return changes

    def play(self, seconds: float, each: Callable[[], None], *, step: float = 0.5) -> list[str]:
        """What happens in each step happens for so long. Return what was decided."""
        decided = len(self.made)
        for _ in range(round(seconds / step)):
            self.at += timedelta(seconds=step)
            each()
            self.tick()
        return [item.kind for item in self.made[decided:]]

    def act(self, acted: Acted) -> Changes:
        """A person acts; hosts are told."""
        self.standing, changes = acted
        changes.directives = next_set(self.standing, self.rules)
        if changes.directives is not None:
            self.standing.directives = changes.directives
        self.made += changes.decisions
        return changes

    @property
    def told(self) -> set[Scope]:
        """What hosts were told to isolate or to probe."""
        return {item.scope for item in self.standing.directives.directives}

    @property
    def isolated(self) -> set[Scope]:
        """What hosts were told to isolate."""
        return {item.scope for item in self.standing.directives.directives if item.action is Action.ISOLATE}

    def in_force(self) -> list[Quarantine]:
        """Return the quarantines in force."""
        return [item for item in self.standing.quarantines.values() if item.in_force]

    def open_ones(self) -> list[Quarantine]:
        """Return quarantines and suggestions."""
        return [item for item in self.standing.quarantines.values() if item.ended_at is None]

    def alerts(self, version: str | None = None) -> set[str]:
        """Return the states of all alerts, or of those of one version."""
        return {
            record.alert.state.value for record in self.standing.alerts.values() if version in {None, record.version}
        }

    def _windows(self) -> Mapping[str, Mapping[tuple[str, str], Mapping[float, CallCounts]]]:
        """Count what the rollups would: what burns is for people."""
        return {item.name: self._counted(item.windows) for item in self.rules.objectives}

    def _periods(self) -> Mapping[str, Mapping[tuple[str, str], CallCounts]]:
        return {
            item.name: {key: found[item.period_seconds] for key, found in self._counted([item.period_seconds]).items()}
            for item in self.rules.objectives
        }

    def _counted(self, sizes: Sequence[float]) -> Mapping[tuple[str, str], Mapping[float, CallCounts]]:
        counted: defaultdict[tuple[str, str], dict[float, CallCounts]] = defaultdict(dict)
        for entry in self.calls.entries:
            cell, age = entry.cell, (self.at - entry.at).total_seconds()
            for size in sizes:
                if age < size:
                    before = counted[cell.plugin, cell.version].get(size, CallCounts())
                    counted[cell.plugin, cell.version][size] = CallCounts(
                        before.total + cell.counts.total,
                        failed=before.failed + cell.counts.failed,
                        slow=before.slow + cell.slow[0],
                    )
        return counted
