"""Remembers the calls of the minutes and hours that pages ask for, so that a fleet's page adds up numbers instead of rows.

The calls of one minute, or hour, of all plugins are a piece. A piece is read from the tiers when it is first asked for; from
then on what the rollups count is added to it, late calls too, so that it never goes stale. What is asked is cut into pieces
just as `Tiers.span` cuts it for SQL, and answers are the same to the call. Spans that would need more pieces than there is
room for are left to SQL.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plugwarden_collector.memory import memory
from plugwarden_collector.store.duckdb.statements import statement

from .cells import NO_CELLS, Cells, Keys, moment, second_of
from .resolutions import Tiers
from .rollup import load_tiers
from .source import CallSource

__all__ = ["CallMemory", "Remembered", "Step"]

MAX_BYTES = memory().cache_bytes
"""Memory of all pieces and of what numbers their keys, in bytes; the pieces that were not asked for longest go first. A day of a
thousand plugins takes half of it."""
MAX_MINUTES = 150
"""Pieces of a minute in one answer; a time range that needs more is left to SQL."""
MAX_HOURS = 48
"""Pieces of an hour in one answer; a time range that needs more is left to SQL."""
MAX_KEYS = 200_000
"""Plugins, versions and outcomes that were numbered; beyond that everything is forgotten and begun anew."""
MAX_KEYS_SHARE = 0.5
"""Share of `MAX_BYTES` that what numbers keys may take; beyond it, too, everything is begun anew."""
PIECE_BYTES = 2_000
"""Memory of an empty piece, in bytes (measured)."""
IDLE_SECONDS = 600.0
"""Nobody asked for this long: it is not worth keeping up."""

_changes = itertools.count()
_log = logging.getLogger(__name__)

Place = tuple[str, int]
"""Tier and first second of a piece."""
Step = tuple[int, Cells, int]
"""First second, cells, and a number that is another one when the cells are."""
_LENGTH = {"minutes": 60, "hours": 3600, "seconds": 60}
_GROUP = {"minutes": 600, "hours": 6 * 3600}
"""Seconds of pieces that are added up once for all answers: few enough that a late call is soon added up again."""
MAX_SUMS = 32


@dataclass(slots=True)
class _Piece:
    """All calls of a minute or hour that raw rows up to a batch tell of."""

    rolled: int
    parts: list[Cells] = field(default_factory=list)
    changes: int = field(default_factory=lambda: next(_changes))
    """Another number after every addition, and for every piece: who made something of it can tell whether it still holds."""

    def add(self, cells: Cells) -> None:
        self.parts.append(cells)
        self.changes = next(_changes)

    @property
    def nbytes(self) -> int:
        return PIECE_BYTES + sum(part.nbytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a span of time holds, a list entry a piece or part of one."""

    cells: list[Cells]
    keys: Keys


class CallMemory:
    """Asked from any thread, by whoever holds `lock` until the answer is used: what was numbered or added meanwhile would not fit it."""

    def __init__(self, source: CallSource) -> None:
        self._source = source
        self.lock = threading.Lock()
        self._asked_at = -IDLE_SECONDS
        self._tiers: Tiers | None = None
        self._keys = Keys()
        self._pieces: OrderedDict[Place, _Piece] = OrderedDict()
        self._sums: dict[Place, tuple[tuple[tuple[int, int], ...], Cells]] = {}
        """Pieces that were added up: tier and number of a group -> first seconds and changes of its pieces, and the sum."""
        self._tail: dict[int, _Piece] = {}
        """Minutes that are not folded yet, by their first second."""

    def follow(self) -> None:
        """Add what the rollups counted since, so that the next answer has little to add; cheap while nobody asks."""
        if not self.lock.acquire(blocking=False):
            return  # whoever asks right now adds it
        try:
            if time.monotonic() - self._asked_at > IDLE_SECONDS:
                self._forget()
            self._advance()
        except Exception:  # noqa: BLE001 - judging must not fail for want of a cache
            _log.exception("what pages remember of the calls is read anew")
            self._forget()
        finally:
            self.lock.release()

    @property
    def idle(self) -> bool:
        """Whether nobody has asked for so long that nothing is kept."""
        return self._tiers is None

    def calls(self, since: datetime, until: datetime) -> Remembered | None:
        """Calls after `since` up to `until`, cut as `Tiers.span` says; None: more than is kept here."""
        places = self._places(since, until)
        if places is None:
            return None
        found = self._together("hours", places["hours"]) + self._together("minutes", places["minutes"])
        found += [cells for _, cells, _ in self._tail_between(_after(since, 1), second_of(until) + 1)]
        self._make_room()
        return Remembered(found, self._keys)

    def steps(self, since: datetime, until: datetime) -> list[Step] | None:
        """The same piece by piece: its first second, its cells, and a number that changes with them."""
        places = self._places(since, until)
        if places is None:
            return None
        found = [
            (start, self._part((tier, start)), self._pieces[tier, start].changes)
            for tier, starts in places.items()
            for start in starts
        ]
        found += self._tail_between(_after(since, 1), second_of(until) + 1)
        self._make_room()
        return found

    def seconds(self, since: datetime, until: datetime) -> list[Step] | None:
        """Calls by the second, minute by minute. None: there is more, or some of it is not kept by the second any more."""
        tiers = self._begin()
        first = _after(since, 1) // 60 * 60
        minutes = range(first, second_of(until) + 1, 60)
        if first < second_of(tiers.seconds) or len(minutes) > MAX_MINUTES:
            return None
        folded = [minute for minute in minutes if minute < second_of(tiers.minutes)]
        self._load("seconds", folded)
        begin, end = _after(since, 1), second_of(until) + 1
        found = []
        for minute in folded:
            cells, changes = self._part(("seconds", minute)), self._pieces["seconds", minute].changes
            found.append(_inside(minute, cells, changes, begin, end))
        found += self._tail_between(begin, end)
        self._make_room()
        return found

    @property
    def keys(self) -> Keys:
        """Numbers of plugins and keys; another one after everything was forgotten."""
        return self._keys

    def memory_bytes(self) -> int:
        """What the pieces and their keys take."""
        with self.lock:
            return self._used()

    def _used(self) -> int:
        sums = sum(cells.nbytes for _, cells in self._sums.values())
        pieces = sum(piece.nbytes for piece in (*self._pieces.values(), *self._tail.values()))
        return self._keys.nbytes + sums + pieces

    @property
    def _crowded(self) -> bool:
        """Whether more keys were numbered than are worth keeping: most are of what is gone."""
        return len(self._keys.rows) > MAX_KEYS or self._keys.nbytes > MAX_KEYS_SHARE * MAX_BYTES

    def _places(self, since: datetime, until: datetime) -> dict[str, list[int]] | None:
        """First seconds of the pieces for a span of time, which are there then."""
        tiers = self._begin()
        span = tiers.span(since, until)
        hours = range(second_of(span["first_hour"]), second_of(span["hours_end"]), 3600)
        first, end = _after(since, 60), min(second_of(until) + 1, second_of(tiers.minutes))
        parts = [range(first, end, 60)]
        if hours:
            parts = [range(first, min(end, hours.start), 60), range(max(first, hours.stop), end, 60)]
        if sum(map(len, parts)) > MAX_MINUTES or len(hours) > MAX_HOURS:
            return None
        minutes = [minute for part in parts for minute in part]
        self._load("hours", hours)
        self._load("minutes", minutes)
        return {"hours": list(hours), "minutes": minutes}

    def _begin(self) -> Tiers:
        self._asked_at = time.monotonic()
        try:
            self._advance()
            if self._tiers is None or self._crowded:
                self._start()
                self._advance()
        except BaseException:
            self._forget()  # half of what a rollup counted is in, and would be added again
            raise
        assert self._tiers is not None  # noqa: S101 - it was begun
        return self._tiers

    def _forget(self) -> None:
        self._tiers, self._keys = None, Keys()
        self._pieces.clear()
        self._sums.clear()
        self._tail.clear()

    def _start(self) -> None:
        """Begin with what is stored: the minutes that are not folded yet; the others are read when they are asked for."""
        self._forget()
        with self._source.reading() as cursor:
            tiers = load_tiers(cursor)
            far = tiers.minutes + timedelta(days=400)
            rows = {"tier": "seconds", "first": tiers.minutes, "before": far, "histograms": True}
            table = cursor.sql(statement("stored_calls").sql, params=rows).to_arrow_table()
        self._tiers = tiers
        self._add_to_tail(Cells.read(table, self._keys), tiers.rolled)

    def _advance(self) -> None:
        mine, now = self._tiers, self._source.tiers
        if mine is None or now.rolled < mine.rolled or now.minutes < mine.minutes:
            return  # for a moment the store, which this began with, is ahead of what its readers are told
        if now.fresh_from > mine.rolled:
            self._forget()
            return
        for fresh in now.fresh:
            if fresh.rolled > mine.rolled:
                for table in fresh.tables:
                    self._add(Cells.read(table, self._keys), fresh.rolled)
        self._tiers = now
        for minute in sorted(minute for minute in self._tail if minute < second_of(now.minutes)):
            self._fold(minute, self._tail.pop(minute))

    def _add(self, cells: Cells, rolled: int) -> None:
        assert self._tiers is not None  # noqa: S101 - see _advance
        folded = second_of(self._tiers.minutes)
        if not len(cells.time) or cells.time.min() >= folded:
            self._add_to_tail(cells, rolled)
            return
        self._add_to_tail(cells.between(folded, 2**62), rolled)
        late = cells.between(-(2**62), folded)
        for length, tiers in ((60, ("minutes", "seconds")), (3600, ("hours",))):
            for start in late.multiples(length):
                for tier in tiers:
                    piece = self._pieces.get((tier, start))
                    if piece is not None and rolled > piece.rolled:
                        piece.add(_packed(late.between(start, start + length), tier, start))

    def _add_to_tail(self, cells: Cells, rolled: int) -> None:
        for minute in cells.multiples(60):
            piece = self._tail.setdefault(minute, _Piece(rolled))
            piece.rolled = rolled
            piece.add(cells.between(minute, minute + 60))

    def _fold(self, minute: int, piece: _Piece) -> None:
        whole = _whole(piece)
        self._pieces["minutes", minute] = _Piece(piece.rolled, [whole.merged(minute)])
        self._pieces["seconds", minute] = _Piece(piece.rolled, [whole.by_second()], piece.changes)

    def _load(self, tier: str, starts: Iterable[int]) -> None:
        """Read the pieces that are not there, those that follow each other together."""
        length = _LENGTH[tier]
        missing = [start for start in starts if (tier, start) not in self._pieces]
        while missing:
            count = 1
            while count < len(missing) and missing[count] == missing[count - 1] + length and count < 3600 // length * 4:
                count += 1
            run, missing = missing[:count], missing[count:]
            with self._source.reading() as cursor:
                rolled = load_tiers(cursor).rolled
                rows = {
                    "tier": tier, "first": moment(run[0]), "before": moment(run[-1] + length),
                    "histograms": tier != "seconds",
                }  # fmt: skip
                table = cursor.sql(statement("stored_calls").sql, params=rows).to_arrow_table()
            found = Cells.read_apart(table, self._keys, length)
            for start in run:
                part = found.get(start)
                self._pieces[tier, start] = _Piece(rolled, [NO_CELLS if part is None else _packed(part, tier, start)])

    def _part(self, place: Place) -> Cells:
        self._pieces.move_to_end(place)
        piece = self._pieces[place]
        if len(piece.parts) > 1:
            piece.parts = [_packed(Cells.joined(piece.parts), *place)]
        return piece.parts[0]

    def _together(self, tier: str, starts: Iterable[int]) -> list[Cells]:
        """Pieces added up by groups, as they were the last time unless one of a group changed."""
        groups: dict[int, list[int]] = {}
        for start in starts:
            groups.setdefault(start // _GROUP[tier], []).append(start)
        found = []
        for group, members in groups.items():
            parts = [self._part((tier, start)) for start in members]
            held = tuple((start, self._pieces[tier, start].changes) for start in members)
            known = self._sums.get((tier, group))
            if known is None or known[0] != held:
                known = self._sums[tier, group] = (held, Cells.joined(parts).merged())
                while len(self._sums) > MAX_SUMS:
                    del self._sums[next(iter(self._sums))]
            found.append(known[1])
        return found

    def _tail_between(self, first: int, before: int) -> list[Step]:
        return [
            _inside(minute, _whole(piece), piece.changes, first, before)
            for minute, piece in sorted(self._tail.items())
            if minute < before and minute + 60 > first
        ]

    def _make_room(self) -> None:
        used = self._used()
        while used > MAX_BYTES and self._pieces:
            _, piece = self._pieces.popitem(last=False)
            used -= piece.nbytes


def _inside(minute: int, cells: Cells, changes: int, first: int, before: int) -> Step:
    """What of a minute is inside a span of time; a part of it is never the same again."""
    if minute >= first and minute + 60 <= before:
        return minute, cells, changes
    return minute, cells.between(first, before), next(_changes)


def _packed(cells: Cells, tier: str, start: int) -> Cells:
    return cells.by_second() if tier == "seconds" else cells.merged(start)


def _whole(piece: _Piece) -> Cells:
    """All rows of a minute as one part, each as it was counted."""
    if len(piece.parts) != 1:
        piece.parts = [Cells.joined(piece.parts)]
    return piece.parts[0]


def _after(at: datetime, length: int) -> int:
    """The first second, minute or hour that starts after a moment."""
    return second_of(at) // length * length + length
