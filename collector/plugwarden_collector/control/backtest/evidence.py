"""Answers a turn's further questions from the tape, and from what simulated quarantines let through. A mark is a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from plugwarden.contract import Scope

from plugwarden_collector.control.observe import EVIDENT_TRACES, TOLD_AGAIN, spans
from plugwarden_collector.cycle import within
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import Suspect
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.pattern import EVERY
from plugwarden_collector.store.telemetry import Telemetry

from .closed import ClosedLoop
from .tape import MINUTE, Tape, second_of

__all__ = ["TapeEvidence"]


class TapeEvidence:
    """Knows nothing of what came after `now`."""

    def __init__(self, telemetry: Telemetry, tape: Tape, loop: ClosedLoop) -> None:
        self._judging, self._traces, self._tape, self._loop = telemetry.judging, telemetry.traces, tape, loop
        self.now = 0

    def cells(self, suspects: Sequence[Suspect], at: datetime) -> Sequence[Cell]:
        """Return all that the suspects' plugins did since the trouble of each of their operations began."""
        found: list[Cell] = []
        plugins = [item.plugin for item in suspects]
        self._tape.load(plugins, min(min([item.mark, *_marks(item)]) for item in suspects), self.now)
        for item in suspects:
            marks = {stream: began.mark for stream, began in item.streams.items()}
            found += _cells(self._sums(item.plugin, item.mark, self.now, marks))
        return found

    def before(self, suspects: Sequence[Suspect], seconds: float) -> Sequence[Cell]:
        """Return what the suspects' plugins did in so many seconds before their trouble began."""
        found: list[Cell] = []
        self._tape.load([item.plugin for item in suspects], min(item.mark for item in suspects) - MINUTE, self.now)
        for item in suspects:
            # Of a minute it is not known what its last seconds were like: they are taken to be like all of it.
            unit = 1 if item.mark >= second_of(self._tape.recorded.seconds_from) else MINUTE
            span = max(int(seconds), unit)
            sums = self._sums(item.plugin, item.mark - span, item.mark, {})
            found += _cells(sums, seconds / span)
        return found

    def waits(self, since: datetime, at: datetime) -> Sequence[Waits]:
        """Return how plugins' waits for downstreams go lately; they are kept as long as the seconds are."""
        if since < self._tape.recorded.seconds_from:
            return ()
        return self._judging.waits(*spans(since, at, timedelta(0)))

    def paces(self, instances: Sequence[str], since: datetime, at: datetime) -> Sequence[Pace]:
        """Return how long calls take lately in some processes; where there are no seconds any more, nobody knows."""
        if since < self._tape.recorded.seconds_from:
            return ()
        return self._judging.paces(instances, *spans(since, at, timedelta(0)))

    def lately(self, plugins: Sequence[str], since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return all calls of some plugins that arrived after a mark."""
        return [cell for plugin in plugins for cell in _cells(self._sums(plugin, mark, self.now, {}))]

    def probes(self, scope: Scope, since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return the calls in a scope that arrived after a mark, and are not from long before a moment."""
        return [cell for cell in self.lately([scope.plugin], since, mark, at) if within(scope, cell)]

    def ways_back(self, plugin: str, at: datetime) -> Sequence[WayBack]:
        """Return to which earlier versions the hosts of a plugin could go back."""
        return self._judging.ways_back(plugin, at - TOLD_AGAIN, self._past(at))

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Return failed calls by error, most first."""
        return self._judging.errors(plugin, version, since, self._past(until), operations=operations)

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> Sequence[UpstreamCounts]:
        """Return nothing: a backtest looks at no upstreams."""
        return ()

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Return the newest failed calls, a few."""
        found = self._traces.failing(plugin, since, self._past(until), EVIDENT_TRACES, version=version)
        return [FailingSpan(span.trace_id) for span in found]

    def _past(self, until: datetime) -> datetime:
        return min(until, datetime(1970, 1, 1) + timedelta(seconds=self.now))

    def _sums(
        self, plugin: str, after: int, upto: int, marks: Mapping[tuple[str, str], int]
    ) -> dict[tuple[str, ...], list[int]]:
        begin = self._loop.begin_of(plugin)
        on_tape = self._tape.sums(plugin, after, upto if begin is None else min(upto, begin), marks)
        found = {names: counts.tolist() for names, counts in on_tape.items()}
        if begin is not None:
            for names, counts in self._loop.sums(plugin, after, upto, marks).items():
                known = found.get(names)
                found[names] = counts if known is None else [a + b for a, b in zip(known, counts, strict=True)]
        return found


def _marks(item: Suspect) -> list[int]:
    return [began.mark for began in item.streams.values()]


def _cells(sums: Mapping[tuple[str, ...], Sequence[int]], part: float = 1.0) -> list[Cell]:
    found = []
    for names, counts in sums.items():
        total, bad, refused, *slow = (count if part == 1.0 else int(count * part) for count in counts)
        if total or refused:
            found.append(cell_of(names, total, bad, refused, tuple(slow)))
    return found


def cell_of(names: tuple[str, ...], total: int, bad: int, refused: int, slow: tuple[int, ...]) -> Cell:
    """Return a part with its counts as judging knows it."""
    plugin, version, operation, service, instance, machine, tenant, error = names
    counts = CallCounts(total, failed=bad)
    return Cell(plugin, version, operation, service, instance, machine, tenant, error, counts, refused, slow)
