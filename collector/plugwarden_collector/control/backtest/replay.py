"""The replay itself: turn after turn over the tape, through the code that judges live.

A month has too many seconds to evaluate each. `judge.watch.look` is what every turn begins with, and where it suspects nobody,
nothing is isolated or open and no budget burns, a turn is nothing but that look. So such turns are one look over the few operations that
failed or were suspected before (of all others it is a look's own first line that they change nothing), and all others are
evaluated in full. No estimate stands between: what is skipped is what would have done nothing, by the function that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from plugwarden_collector.control.observe import BASELINE_SECONDS, RECENT_SECONDS, RUNNING_SECONDS
from plugwarden_collector.cycle import Observation, evaluate
from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import Arrivals, Cell, Past, StreamCounts
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import PART_FAILURES, Watch, look, thresholds_of
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.store.replay import Recorded
from plugwarden_collector.store.telemetry import Telemetry

from .account import Account
from .closed import ClosedLoop
from .evidence import TapeEvidence, cell_of
from .past import PastHours
from .tape import HOUR, LOOK_BACK, MINUTE, Chunk, Row, Slice, Tape, moment, rows_of, second_of
from .windows import SlidingWindows

__all__ = ["Replay"]

SECOND_LOOK = 3
"""Seconds after a minute that it is looked at again where something waits for its time: a minute's calls come all at once here, and
what others have to tell of it is told by then; later than that nothing counts as failing now (`judge.watch.RECENT`)."""
BURN_EVERY = 5
"""Seconds after which burning budgets are looked at again where nothing else goes on."""
USUAL_EVERY_SECONDS, USUAL_EVERY_MINUTES = 60, 600
"""Seconds after which it is asked again what is usual, where seconds are kept and where minutes are: it is told by the hour."""
SEEN = timedelta(minutes=10)
"""`control.live`: versions are told for as long."""

Ints = np.ndarray[Any, np.dtype[np.int64]]


class Replay:
    """Owns where things stood at each moment of it."""

    def __init__(self, telemetry: Telemetry, rules: Rules, recorded: Recorded) -> None:
        self._telemetry, self._rules = telemetry, rules
        self._thresholds = thresholds_of(rules.objectives)
        self.tape = Tape(telemetry.replaying, recorded, self._thresholds)
        self.loop = ClosedLoop(rules)
        self._evidence = TapeEvidence(telemetry, self.tape, self.loop)
        self._windows, self._past = SlidingWindows(rules), PastHours(len(self._thresholds))
        self._usual: dict[tuple[str, str, str], Past] = {}
        self._usual_at = -HOUR
        self.standing, self.watch = Standing(), Watch()
        self.account = Account()
        self._first: list[int] = []
        """When each version was first called, by number."""
        self._last: list[int] = []
        self._watched = np.zeros(0, bool)
        """Operations that something speaks against, by number."""
        self._burning, self._burn_at = False, 0
        self.now = 0
        self.looks = self.turns = 0
        """Slices that were looked at, and turns that were evaluated in full."""

    def run(self, since: int, before: int, told: Callable[[int, int], None]) -> None:
        """Replay from one second to another. `told` hears how far it is."""
        self._prime(since)
        self.now = since
        unit = MINUTE
        for chunk in self.tape.chunks(since, before):
            told(chunk.begin - since, before - since)
            unit = chunk.unit
            for part in chunk.slices():
                self._pass_time(part.end - unit, unit)
                self._turn(chunk, part)
            self.tape.forget(chunk.begin - LOOK_BACK - HOUR)
        self._pass_time(before, unit)

    # -- inside

    def _prime(self, since: int) -> None:
        """Take in the hours before: what was usual, which versions ran, and what the long windows held."""
        longest = max([*self._windows.sizes, 86_400.0 + HOUR])
        begin = int(since - longest) // HOUR * HOUR
        whole = min(since, second_of(self.tape.recorded.hours_before)) // HOUR * HOUR
        second, stream, counts = self.tape.hours(begin, whole)
        for hour in np.unique(second).tolist():
            rows = second == hour
            self._take(int(hour), stream[rows], counts[:, rows])
        known_from = max(whole, begin, second_of(self.tape.recorded.minutes_from))
        for chunk in self.tape.chunks(known_from, since) if known_from < since else ():
            for part in chunk.slices():
                self._take(
                    part.begin, chunk.stream[part.first : part.before], chunk.counts[:, part.first : part.before]
                )

    def _take(self, second: int, stream: Ints, counts: Ints) -> None:
        """Count a slice for windows and for what is usual."""
        self._past.add(second, stream, counts[[0, 1, *range(3, len(counts))]].astype(np.float64))
        self._take_versions(second, stream)
        self._take_windows(second, stream, counts)

    def _take_versions(self, second: int, stream: Ints) -> None:
        names = self.tape.names
        while len(self._first) < len(names.versions):
            self._first.append(-1)
            self._last.append(-1)
        for number in set(np.array(names.version_of, np.int64)[stream].tolist()):
            if self._first[number] < 0:
                self._first[number] = second
            self._last[number] = second

    def _take_windows(self, second: int, stream: Ints, counts: Ints) -> None:
        names = self.tape.names
        versions, place = np.unique(np.array(names.version_of, np.int64)[stream], return_inverse=True)
        total, bad, refused, *slow = counts
        rows = (total + refused, bad + refused, total, *slow)
        summed = np.stack([np.bincount(place, row, len(versions)).astype(np.float64) for row in rows])
        self._windows.add(second, versions, summed, names.versions)

    def _pass_time(self, until: int, unit: int) -> None:
        """Turn where nothing arrived, for as long as something is on its way."""
        if unit == MINUTE and self.watch.waiting and self.now + SECOND_LOOK <= until:
            self._evaluate(self.now + SECOND_LOOK, [], [])
        while self.now + unit <= until and (self._busy() or self._alerting()):
            # Turns stay on the slices' ends, wherever the last one was.
            self._quiet_turn((self.now // unit + 1) * unit, unit)
        self.now = max(self.now, until)

    def _quiet_turn(self, at: int, unit: int) -> None:
        self._windows.advance(at)
        if not self._busy() and unit == 1 and at - self._burn_at < BURN_EVERY:
            self.now = at
            return
        self._burn_at, self._burning = at, self._windows.burning()
        self._evaluate(at, [], [])

    def _turn(self, chunk: Chunk, part: Slice) -> None:
        """Bring in one slice."""
        at, rows = part.end, slice(part.first, part.before)
        stream, counts, telling = chunk.stream[rows], chunk.counts[:, rows], chunk.telling[rows]
        self._past.add(part.begin, stream, counts[[0, 1, *range(3, len(counts))]].astype(np.float64))
        self._take_versions(part.begin, stream)
        self.looks += 1
        held = [item for item in self.standing.quarantines.values() if item.in_force]
        self.loop.follow(held, part.begin)
        closed = set(self.loop.plugins)
        let: dict[str, list[Row]] = {}
        if closed:
            names = self.tape.names.streams
            mine = np.array([names[number][0] not in closed for number in stream.tolist()], bool)
            for plugin in closed if not mine.all() else ():
                let[plugin] = self.loop.let_through(plugin, self.tape.rows(plugin, chunk, part), held, at)
            through, more = self._summed(let)
            stream = np.concatenate([stream[mine], through])
            counts = np.concatenate([counts[:, mine], more], axis=1)
            telling = counts[1:].sum(axis=0) > 0
        if len(stream):
            self._take_windows(part.begin, stream, counts)
        self._windows.advance(at)
        if at - self._burn_at >= (BURN_EVERY if chunk.unit == 1 else 0):
            self._burn_at, self._burning, due = at, self._windows.burning(), True
        else:
            due = False
        if self._busy() or (self._alerting() and due):
            self._evaluate(at, self._streams(stream, counts), self._failing(chunk, part, let))
            return
        self._look(chunk, part, let, stream, counts, telling)

    def _look(
        self, chunk: Chunk, part: Slice, let: Mapping[str, list[Row]], stream: Ints, counts: Ints, telling: Any
    ) -> None:
        """A turn in which nothing goes on; where somebody is suspected, it becomes a full one."""
        at, size = part.end, len(self.tape.names.streams)
        if len(self._watched) < size:
            self._watched = np.concatenate([self._watched, np.zeros(size - len(self._watched), bool)])
        wanted = telling | self._watched[stream]
        if not wanted.any():
            self.now = at
            return
        if self.watch.mark < self.now:  # what was skipped since was looked at, and nothing was seen
            self.watch = replace(self.watch, mark=self.now, at=moment(self.now))
        cells: list[Cell] = []
        if chunk.unit == 1 or counts[2].any() or (counts[1] >= PART_FAILURES).any():
            # A minute's parts are forgotten before the next one comes, so that only what is enough by itself is looked at.
            cells = self._failing(chunk, part, let)
        arrivals = Arrivals(at, self._streams(stream[wanted], counts[:, wanted]), cells)
        usual = self._usual_at_now(at, chunk.unit)
        watch, suspects = look(self.watch, arrivals, self._rules.objectives, usual, moment(at), _everybody)
        if suspects:
            self._evaluate(at, self._streams(stream, counts), self._failing(chunk, part, let))
            return
        self.now = at
        self._follow(watch)

    def _evaluate(self, at: int, streams: Sequence[StreamCounts], cells: Sequence[Cell]) -> None:
        self._windows.advance(at)
        unit = 1 if at > second_of(self.tape.recorded.seconds_from) else MINUTE
        if self.watch.mark < self.now:
            # The mark alone: what changed in the turn before has a clean slate in this one.
            self.watch = replace(self.watch, mark=self.now)
        self._evidence.now = at
        seen = self._observation(at, unit, Arrivals(at, streams, cells))
        self.standing, watch, changes = evaluate(
            self._rules, self.standing, self.watch, seen, self._evidence, lambda: 0.0
        )
        self.turns += 1
        self.now = at
        self._follow(watch)
        self.account.take(changes, self.standing, watch, moment(at))

    def _observation(self, at: int, unit: int, arrivals: Arrivals) -> Observation:
        names = self.tape.names.versions
        recorded = {(item.slo, item.plugin, item.version) for item in self.standing.alerts.values()}
        last = {key: moment(self._last[number]) for number, key in enumerate(names)}
        lately = {key: seen_at for key, seen_at in last.items() if seen_at > moment(at) - SEEN}
        running = {plugin for (plugin, _), seen_at in lately.items() if seen_at > moment(at - RUNNING_SECONDS)}
        return Observation(
            moment(at),
            self._windows.counts(recorded, names),
            None,
            self._waits(moment(at)),
            len(running),
            {key: moment(self._first[number]) for number, key in enumerate(names) if key in lately},
            lately,
            arrivals,
            self._usual_at_now(at, unit),
        )

    def _waits(self, at: datetime) -> Sequence[Waits]:
        """Waits excuse slowness alone, and are kept for an hour."""
        if not self._thresholds or at < self.tape.recorded.seconds_from:
            return ()
        return self._telemetry.judging.waits(at, at, RECENT_SECONDS, BASELINE_SECONDS)

    def _usual_at_now(self, at: int, unit: int) -> Mapping[tuple[str, str, str], Past]:
        every = USUAL_EVERY_SECONDS if unit == 1 else USUAL_EVERY_MINUTES
        if at - self._usual_at >= every:
            self._usual, self._usual_at = self._past.at(at, self.tape.names.streams), at
        return self._usual

    def _follow(self, watch: Watch) -> None:
        self.watch = watch
        self._watched = np.zeros(len(self.tape.names.streams), bool)
        for key in watch.streams:
            self._watched[self.tape.names.number((key.plugin, key.version, key.operation))] = True

    def _busy(self) -> bool:
        """Whether something is open that time or calls may move."""
        at = self.watch.at
        return (
            bool(self.standing.incidents)
            or bool(self.watch.waiting)
            or any(_open(item, at) for item in self.standing.quarantines.values())
        )

    def _alerting(self) -> bool:
        return self._burning or any(
            item.alert.state is not AlertState.INACTIVE or item.inhibited_by is not None
            for item in self.standing.alerts.values()
        )

    def _streams(self, stream: Ints, counts: Ints) -> list[StreamCounts]:
        names = self.tape.names.streams
        return [
            StreamCounts(*names[int(number)], CallCounts(total, failed=bad), refused, tuple(slow))
            for number, (total, bad, refused, *slow) in zip(stream.tolist(), counts.T.tolist(), strict=True)
            if total or refused
        ]

    def _failing(self, chunk: Chunk, part: Slice, let: Mapping[str, list[Row]]) -> list[Cell]:
        """Return the parts with calls that count against them."""
        rows = [row for row in rows_of(chunk.failing, part.begin) if row.names[0] not in let]
        rows += [row for passed in let.values() for row in passed if row.bad or row.refused]
        return [cell_of(*row) for row in rows]

    def _summed(self, let: Mapping[str, list[Row]]) -> tuple[Ints, Ints]:
        """Return what came through by operation."""
        sums: dict[int, list[int]] = {}
        for row in (row for rows in let.values() for row in rows):
            number = self.tape.names.number((row.names[0], row.names[1], row.names[2]))
            counts = sums.setdefault(number, [0] * (3 + len(self._thresholds)))
            for place, more in enumerate((row.total, row.bad, row.refused, *row.slow)):
                counts[place] += more
        if not sums:
            return np.empty(0, np.int64), np.empty((3 + len(self._thresholds), 0), np.int64)
        return np.array(list(sums), np.int64), np.array(list(sums.values()), np.int64).T


def _open(item: Quarantine, at: datetime | None) -> bool:
    return item.ended_at is None or (at is not None and item.ended_at >= at)


def _everybody(plugin: str, version: str, operation: str) -> bool:
    return True
