"""The replay itself: turn after turn over the tape, through the code that judges live.

A month has too many seconds to evaluate each. `judge.watch.look` is what every turn begins with, and where it suspects nobody,
nothing that is isolated or open moves and no budget burns, a turn is nothing but that look. Such turns are one look over the few
operations that failed or were suspected before (of all others it is a look's own first line that they change nothing), or the same sums
in arrays (`sieve`); all others are evaluated in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from plugwarden.contract import QuarantineState

from plugwarden_collector.control.observe import RUNNING_SECONDS
from plugwarden_collector.cycle import Observation, evaluate, forget
from plugwarden_collector.cycle.trouble import judged_beside
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import Arrivals, Cell, StreamCounts
from plugwarden_collector.judge.evidence import ATTENTION_NATS
from plugwarden_collector.judge.parts import PART_FAILURES
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import Watch, look, thresholds_of
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.store.replay import Recorded
from plugwarden_collector.store.telemetry import Telemetry

from .account import Account
from .alarms import Alarms
from .closed import ClosedLoop
from .evidence import TapeEvidence, cell_of
from .past import PastHours, UsualAt
from .seen import Seen
from .sieve import Sieve
from .stretch import Isolated, Stretch, stretch_of
from .sums import Floats, Mask
from .tape import EPOCH, HOUR, LOOK_BACK, MINUTE, MINUTES_CHUNK, Chunk, Ints, Row, Slice, Tape, moment, second_of
from .windows import SlidingWindows

__all__ = ["Replay"]

SECOND_LOOK = 3
"""Seconds after a minute that it is looked at again where something waits for its time: a minute's calls come all at once here, and
what others have to tell of it is told by then; later than that nothing counts as failing now (`judge.watch.RECENT`)."""
MOST_AT_ONCE = 60
"""Slices that are brought in together, which bounds what is held of them: as many as an hour has minutes."""
SEEN_SECONDS = 600
"""`control.live`: versions are told for as long."""
KNOWN_FOR = timedelta(days=35)
"""`control.live.VERSION_HORIZON`."""


class Replay:
    """Owns where things stood at each moment of it."""

    def __init__(self, telemetry: Telemetry, rules: Rules, recorded: Recorded, *, every: bool = False) -> None:
        """`every` skips nothing and leaves nothing out, as the live loop does: what tests hold the short ways against."""
        self._telemetry, self._rules, self._every = telemetry, rules, every
        self._thresholds = thresholds_of(rules.objectives)
        self.tape = Tape(telemetry.replaying, recorded, self._thresholds)
        self.loop = ClosedLoop(rules)
        self._evidence = TapeEvidence(telemetry, self.tape, self.loop)
        self._windows = SlidingWindows(rules, self.tape.names)
        self._alarms = Alarms(rules, self.tape.names)
        self._past = PastHours(len(self._thresholds), self.tape.names)
        self._usual: UsualAt | None = None
        self._usual_at = 0
        self.standing, self.watch = Standing(), Watch()
        self.account = Account()
        self._seen = Seen(self.tape.names)
        self._watched = np.zeros(0, bool)
        """Operations that something speaks against, by number."""
        self._closed: tuple[frozenset[str], Any] = frozenset(), np.zeros(0, bool)
        self._most_at_once = MOST_AT_ONCE
        """Slices that are worth a try: few, after one of few."""
        self._newcomer = False
        """A version was called for the first time since the last full turn."""
        self._suspecting = False
        """Something is looked at closer in every turn."""
        self._sieve, self._sieved = Sieve(rules.objectives, self.tape.names), False
        """Whether what is suspected is in the sieve, and not in the watch."""
        self.now = 0
        self.looks = self.turns = self.at_once = 0
        """Slices that were looked at, turns that were evaluated in full, and slices that were brought in with others."""

    def run(self, since: int, before: int, told: Callable[[int, int], None], stop: Callable[[], bool]) -> bool:
        """Replay from one second to another. `told` hears how far it is. Return whether it came to its end, or `stop` said so."""
        # As the live loop knows them when it starts: who ran before is no newcomer.
        known = self._telemetry.judging.versions(moment(since) - KNOWN_FOR, moment(since))
        self.standing.versions = {(item.plugin, item.version): item.first_at for item in known}
        self._prime(since)
        self.now = since
        unit = MINUTE
        for chunk in self.tape.chunks(since, before):
            told(max(0, chunk.begin - since), before - since)
            if stop():
                return False
            unit = chunk.unit
            slices = chunk.slices()
            place = 0
            while place < len(slices):
                if stop():
                    return False
                self._pass_time(slices[place].begin, unit)
                calm = self._pass_calm(chunk, slices[place:])
                if not calm:
                    self._turn(chunk, slices[place])
                place += max(1, calm)
            self.tape.forget(chunk.begin - LOOK_BACK - MINUTES_CHUNK)
        self._pass_time(before, unit)
        return True

    # -- inside

    def _prime(self, since: int) -> None:
        """Take in the hours before: what was usual, which versions ran, and what the long windows held."""
        longest = max([*self._windows.sizes, 86_400.0 + HOUR])
        begin = int(since - longest) // HOUR * HOUR
        whole = min(since, second_of(self.tape.recorded.hours_before)) // HOUR * HOUR
        second, stream, counts = self.tape.hours(begin, whole)
        order = np.argsort(second, kind="stable")  # a period of budgets has many hours: each row is looked at once
        second, stream, counts = second[order], stream[order], counts[:, order]
        hours, first = np.unique(second, return_index=True)
        for hour, (begins, ends) in zip(hours.tolist(), pairwise([*first.tolist(), len(second)]), strict=True):
            self._take(hour, stream[begins:ends], counts[:, begins:ends])
        known_from = max(whole, begin, second_of(self.tape.recorded.minutes_from))
        for chunk in self.tape.chunks(known_from, since) if known_from < since else ():
            for part in chunk.slices():
                self._take(
                    part.begin, chunk.stream[part.first : part.before], chunk.counts[:, part.first : part.before]
                )

    def _take(self, second: int, stream: Ints, counts: Ints) -> None:
        """Count a slice for windows and for what is usual."""
        self._past.add(second, stream, _ended(counts))
        self._take_versions(np.full(len(stream), second), stream)
        self._take_windows(second, stream, counts)

    def _take_usual(self, chunk: Chunk, part: Slice) -> None:
        rows = slice(part.first, part.before)
        self._past.add(part.begin, chunk.stream[rows], _ended(chunk.counts[:, rows]))

    def _take_windows(self, second: int, stream: Ints, counts: Ints) -> None:
        summed = self._by_version(1, np.zeros(len(stream), np.int64), stream, counts)
        if len(stream):
            self._windows.add(np.array([second]), summed)

    def _take_versions(self, second: Ints, stream: Ints) -> None:
        names = self.tape.names.versions
        if any(names[number] not in self.standing.versions for number in self._seen.add(second, stream)):
            self._newcomer = True

    def _by_version(self, slices: int, place: Ints, stream: Ints, counts: Ints) -> Floats:
        """Return counts as windows take them; `place` says of each column in which of so many slices it is."""
        names = self.tape.names
        self._windows.know()
        total, bad, refused, *slow = counts
        shape = slices, len(names.versions)
        code = place * shape[1] + names.versions_by_stream[stream]
        rows = (total + refused, bad + refused, *(item + refused for item in slow))
        return np.stack([np.bincount(code, row, shape[0] * shape[1]).reshape(shape) for row in rows], axis=1)

    def _pass_calm(self, chunk: Chunk, slices: Sequence[Slice]) -> int:
        """Bring in the next slices, up to one that may change something. Return how many: of each of them a turn would be a look that
        suspects nobody."""
        if self._every or chunk.unit == 1 or self._busy():
            return 0
        slices = slices[: self._most_at_once]
        held = [item for item in self.standing.quarantines.values() if item.in_force]
        self.loop.follow(held, slices[0].begin)
        isolated = self._isolated(chunk, held)
        beside = ~self._of_plugins(frozenset(self.loop.plugins))
        stretch = stretch_of(chunk, slices, beside, isolated, self.tape.names)
        summed = self._by_version(len(slices), stretch.place, stretch.stream, stretch.counts)
        due = self._due_in(stretch, summed, chunk.unit)
        rows = slice(slices[0].first, slices[-1].before)
        second, stream = chunk.second[rows], chunk.stream[rows]
        due[np.searchsorted(stretch.begins, second[self._seen.is_new(stream)])] = True
        calm = self._pass_sieve(chunk, slices[: int(np.argmax(due)) if due.any() else len(slices)], stretch)
        self._most_at_once = min(MOST_AT_ONCE, max(1, 2 * calm))
        if calm:
            brought = second < self.now
            self._take_versions(second[brought], stream[brought])
            self._windows.add(stretch.begins[:calm], summed[:calm])
            self._windows.advance(self.now)
            for item in isolated:
                span = slices[0].begin, self.now
                self.loop.let_many_through(item.passed(*span, chunk.unit), item.held_back(*span))
            self.loop.follow(held, slices[calm - 1].begin)
            self.looks += calm
            self.at_once += calm
        return calm

    def _isolated(self, chunk: Chunk, held: Sequence[Quarantine]) -> list[Isolated]:
        tables = self.tape.parts(sorted(self.loop.plugins), chunk)
        return [Isolated(table, self.loop.covering(table.names, held)) for table in tables]

    def _due_in(self, stretch: Stretch, summed: Floats, unit: int) -> Mask:
        """Return in which slices of a stretch a turn may do something, whoever may be suspected."""
        begins, ends = stretch.begins, stretch.begins + unit
        due = self._alarms.due(self._windows.ahead(begins, ends, summed), ends)
        due[1:] |= np.diff(begins) > unit
        due[stretch.place[_tell_of_parts(stretch.counts)]] = True
        for item in self.standing.quarantines.values():
            held_until = _held_until(item)
            if held_until is not None:
                due |= begins + MINUTE >= (held_until - EPOCH).total_seconds()
        return due

    def _pass_sieve(self, chunk: Chunk, slices: Sequence[Slice], stretch: Stretch) -> int:
        """Bring slices into the sieve for as long as it lets them pass. Return how many; they are the first of the stretch."""
        self._to_sieve()
        matters, known = self._sieve.matters(stretch.stream, stretch.counts), self._sieve.known
        for place, part in enumerate(slices):
            rows = stretch.rows(place)
            stream, counts = stretch.stream[rows], stretch.counts[:, rows]
            some = matters[rows] | known[stream]
            if some.any():
                usual = self._usual_at_now(part.end)
                if not self._sieve.passes(stream[some], counts[:, some], usual, part.end, self.now):
                    return place
                known = self._sieve.known
            self._take_usual(chunk, part)
            self._skip(part.end)
        self._usual_at_now(self.now)
        return len(slices)

    def _pass_time(self, until: int, unit: int) -> None:
        """Turn where nothing arrived, for as long as something is on its way."""
        if unit == MINUTE and self.watch.waiting and self.now + SECOND_LOOK <= until:
            self._evaluate(self.now + SECOND_LOOK, [], [])
        while self.now + unit <= until:
            if not self._every and self._windows.empty and not (self._busy() or self._alarms.open_alerts):
                # Nothing happens until a hold is over, if one ends before the next calls.
                holds = [_held_until(item) for item in self.standing.quarantines.values()]
                ends = [second_of(held_until) // unit * unit for held_until in holds if held_until is not None]
                due = [end for end in ends if self.now < end <= until - unit]
                if not due:
                    break
                self.now = min(due)
            # Turns stay on the slices' ends, wherever the last one was.
            self._quiet_turn((self.now // unit + 1) * unit, unit)
        self.now = max(self.now, until)

    def _quiet_turn(self, at: int, unit: int) -> None:
        self._windows.advance(at)
        if self._every or self._busy() or self._due(at):
            self._evaluate(at, [], [])
        else:
            self.now = at

    def _due(self, at: int) -> bool:
        return bool(self._alarms.due(self._windows.now, np.array([at]))[0])

    def _turn(self, chunk: Chunk, part: Slice) -> None:
        """Bring in one slice."""
        at, rows = part.end, slice(part.first, part.before)
        stream, counts, telling = chunk.stream[rows], chunk.counts[:, rows], chunk.telling[rows]
        self._take_usual(chunk, part)
        self._take_versions(chunk.second[rows], stream)
        self.looks += 1
        held = [item for item in self.standing.quarantines.values() if item.in_force]
        self.loop.follow(held, part.begin)
        closed = frozenset(self.loop.plugins)
        let: dict[str, list[Row]] = {}
        if closed:
            mine = ~self._of_plugins(closed)[stream]
            if not mine.all():
                self.tape.parts(sorted(closed), chunk)
            for plugin in closed if not mine.all() else ():
                let[plugin] = self.loop.let_through(plugin, self.tape.rows(plugin, chunk, part), held, at)
            through, more = self._summed(let)
            stream = np.concatenate([stream[mine], through])
            counts = np.concatenate([counts[:, mine], more], axis=1)
            telling = counts[1:].sum(axis=0) > 0
        self._take_windows(part.begin, stream, counts)
        self._windows.advance(at)
        if self._every or self._busy() or self._due(at):
            self._to_watch()
            self._evaluate(at, self._told(stream, counts, telling), self._failing(chunk, part, let))
            return
        self._look(chunk, part, let, stream, counts, telling)

    def _look(
        self, chunk: Chunk, part: Slice, let: Mapping[str, list[Row]], stream: Ints, counts: Ints, telling: Any
    ) -> None:
        """A turn in which nothing goes on; where somebody is suspected, it becomes a full one."""
        at = part.end
        judged = judged_beside([item for item in self.standing.quarantines.values() if item.in_force])
        parts = chunk.unit == 1 or bool(_tell_of_parts(counts).any())
        if not parts and self._sieve_passes(let, stream, counts, at, judged):
            return
        self._to_watch()
        streams = self._told(stream, counts, telling)
        if not streams:
            self.now = at
            return
        if self.watch.mark < self.now:  # what was skipped since was looked at, and nothing was seen
            self.watch = replace(self.watch, mark=self.now, at=moment(self.now))
        cells = self._failing(chunk, part, let) if parts else []
        usual = self._usual_at_now(at)
        arrivals = Arrivals(at, streams, cells)
        watch, suspects = look(self.watch, arrivals, self._rules.objectives, usual, moment(at), judged)
        if suspects:
            self._evaluate(at, streams, self._failing(chunk, part, let))
            return
        self.now = at
        self._follow(watch)

    def _sieve_passes(
        self, let: Mapping[str, list[Row]], stream: Ints, counts: Ints, at: int, judged: Callable[[str, str, str], bool]
    ) -> bool:
        if let:  # what is on probation is judged by its probes
            names = self.tape.names.streams
            mine = np.array([name[0] not in let or judged(*name) for name in (names[n] for n in stream.tolist())], bool)
            stream, counts = stream[mine], counts[:, mine]
        self._to_sieve()
        some = self._sieve.matters(stream, counts) | self._sieve.known[stream]
        if not self._sieve.passes(stream[some], counts[:, some], self._usual_at_now(at), at, self.now):
            return False
        self._skip(at)
        return True

    def _skip(self, at: int) -> None:
        """Take note of a look that found nothing."""
        self.now = at
        self.watch = replace(self.watch, mark=at, at=moment(at))

    def _to_sieve(self) -> None:
        if not self._sieved:
            self._sieve.take_back(self.watch)
            self._sieved = True

    def _to_watch(self) -> None:
        if self._sieved:
            self._sieved = False
            self._follow(self._sieve.handed_over(self.watch))

    def _evaluate(self, at: int, streams: Sequence[StreamCounts], cells: Sequence[Cell]) -> None:
        self._to_watch()
        self._windows.advance(at)
        unit = 1 if at > second_of(self.tape.recorded.seconds_from) else MINUTE
        if self.watch.mark < self.now:
            # The mark alone: what changed in the turn before has a clean slate in this one.
            self.watch = replace(self.watch, mark=self.now)
        self._evidence.now = at
        forget(self.standing, moment(self.now))  # as the turns that were skipped would have
        seen = self._observation(at, unit, Arrivals(at, streams, cells))
        self.standing, watch, changes = evaluate(
            self._rules, self.standing, self.watch, seen, self._evidence, lambda: 0.0
        )
        self.turns += 1
        self.now = at
        self._newcomer = False
        self._follow(watch)
        self._alarms.follow(self.standing)
        self.account.take(changes, self.standing, watch, moment(at))

    def _observation(self, at: int, unit: int, arrivals: Arrivals) -> Observation:
        names, seen = self.tape.names.versions, self._seen
        recent = np.flatnonzero(seen.last > at - SEEN_SECONDS).tolist()
        lately = {names[number]: moment(int(seen.last[number])) for number in recent}
        running = {plugin for (plugin, _), seen_at in lately.items() if seen_at > moment(at - RUNNING_SECONDS)}
        windows, periods = self._windows.counts(None if self._every else self._alarms.open_alerts)
        return Observation(
            moment(at),
            windows,
            periods,
            len(running),
            {names[number]: moment(int(seen.first[number])) for number in recent},
            lately,
            arrivals,
            self._usual_at_now(at),
        )

    def _usual_at_now(self, at: int) -> UsualAt:
        if self._usual is None or at // MINUTE != self._usual_at // MINUTE:
            self._usual, self._usual_at = self._past.at(at), at
        return self._usual

    def _follow(self, watch: Watch) -> None:
        self.watch = watch
        self._suspecting = any(item.nats >= ATTENTION_NATS for item in watch.streams.values())
        self._watched = np.zeros(len(self.tape.names.streams), bool)
        for key in watch.streams:
            self._watched[self.tape.names.number((key.plugin, key.version, key.operation))] = True

    def _busy(self) -> bool:
        """Whether something is open that the next turn may move."""
        return (
            self._newcomer
            or self._suspecting
            or bool(self.standing.incidents)
            or bool(self.watch.waiting)
            or any(self._moves(item) for item in self.standing.quarantines.values())
        )

    def _moves(self, item: Quarantine) -> bool:
        """Whether a turn may bring a quarantine forward. What holds until later, or until a person decides, stands still, and so does
        what ended, once it has its clean slate."""
        at = self.watch.at
        if at is not None and (item.ended_at or item.changed_at) >= at:
            return True
        if item.ended_at is not None:
            return False
        if item.state is QuarantineState.QUARANTINED:
            held_until = _held_until(item)
            return held_until is not None and moment(self.now + MINUTE) >= held_until
        return True

    def _of_plugins(self, plugins: frozenset[str]) -> Any:
        """Return of which operations the plugin is one of some, by number."""
        names = self.tape.names.streams
        if self._closed[0] != plugins or len(self._closed[1]) < len(names):
            self._closed = plugins, np.array([name[0] in plugins for name in names], bool)
        return self._closed[1]

    def _told(self, stream: Ints, counts: Ints, telling: Any) -> list[StreamCounts]:
        """Return the operations that a look can do anything with: those that failed, and those that something speaks against."""
        size = len(self.tape.names.streams)
        if len(self._watched) < size:
            self._watched = np.concatenate([self._watched, np.zeros(size - len(self._watched), bool)])
        wanted = telling | self._watched[stream] | self._every
        return self._streams(stream[wanted], counts[:, wanted])

    def _streams(self, stream: Ints, counts: Ints) -> list[StreamCounts]:
        names = self.tape.names.streams
        return [
            StreamCounts(*names[int(number)], CallCounts(total, failed=bad), refused, tuple(slow))
            for number, (total, bad, refused, *slow) in zip(stream.tolist(), counts.T.tolist(), strict=True)
            if total or refused
        ]

    def _failing(self, chunk: Chunk, part: Slice, let: Mapping[str, list[Row]]) -> list[Cell]:
        """Return the parts with calls that count against them."""
        rows = [row for row in self.tape.failing(chunk, part) if row.names[0] not in let]
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


def _ended(counts: Ints) -> Any:
    """Return the rows of calls that ended, failed, and were slow."""
    return counts[[0, 1, *range(3, len(counts))]].astype(np.float64)


def _tell_of_parts(counts: Ints) -> Any:
    """Return of which operations parts must be looked at as well: a minute's are forgotten before the next one comes, so that only what is
    enough by itself counts."""
    return (counts[2] > 0) | (counts[1] >= PART_FAILURES)


def _held_until(item: Quarantine) -> datetime | None:
    """Return when what is isolated comes on probation by itself; None: never, or it is not isolated."""
    if item.state is not QuarantineState.QUARANTINED or item.superseded_by is not None or item.ended_at is not None:
        return None
    return item.hold_until
