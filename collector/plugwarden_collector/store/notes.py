"""The one place where deliveries, what is owed, and changes of the collector's own conditions are recorded, in order.

Whoever notes something need not wait, and may. What the ledger does not take is counted, said once, and tried again; what it will
never take costs itself alone. Of attempts to tell somebody none is let go for want of room: none begins while `full`. Of what a
receiver holds for open of one subject only the last waits. An attempt that cannot wait for the ledger is kept in the spare log meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Protocol

from plugwarden_collector.errors import CollectorError

from .ledger import Delivery, Note, TellingGone, TellingRow
from .ledger_rows import ConditionEvent
from .spare import SpareLog

__all__ = ["Notes", "run_notes"]

RETRY_SECONDS = 1.0
"""Seconds until notes that the ledger did not take are tried again."""
MAX_WAITING = 1_000
"""Attempts that wait for the ledger before none begins any more; and changes of conditions, of which the oldest go."""
MAX_ROWS = 20_000
"""Subjects of which what receivers hold waits to be stored, twice what they may hold; beyond, what ended longest ago goes: after a
start its end is told once more."""
_log = logging.getLogger(__name__)


class Recording(Protocol):
    """The part of the ledger that notes go to."""

    def recorded(self, ids: Sequence[str]) -> set[str]:
        """Return which of some attempts are stored."""

    def record(self, notes: Sequence[Note]) -> Future[None]:
        """Store notes, in order, all or none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    note: Note
    stored: Future[None]
    together: int
    """What was noted together has the same number."""


class Notes:
    """Notes on their way into the ledger, in order. May be called from any thread."""

    def __init__(self, ledger: Recording, spare: SpareLog) -> None:
        """Begin with what an earlier process left in the spare log. Raises `StoreError`."""
        self._ledger, self._spare = ledger, spare
        self._lock = threading.Lock()
        self._waiting: dict[_Waiting, None] = {}
        """In order."""
        self._rows: dict[tuple[str, str], _Waiting] = {}
        """Those of them that say what a receiver holds of a subject."""
        self._under_way: Future[None] | None = None
        self._added = itertools.count()
        self._alone = False
        """Whether what was noted together is tried by itself, because more at once was not taken."""
        self._apart: int | None = None
        """What is tried note by note, because it was not taken together, and one of it may never be."""
        self.failures = 0
        """Attempts to store notes that failed."""
        self.lost = 0
        """Notes that were never stored."""
        if left := spare.recovered():
            known = ledger.recorded([item.id for item in left])
            spare.forget(known)
            if fresh := [item for item in left if item.id not in known]:
                self.add(*fresh)

    @property
    def waiting(self) -> int:
        """Notes that are not stored yet."""
        with self._lock:
            return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether so many attempts wait that none may begin."""
        if self._spare.full:
            return True
        with self._lock:
            if len(self._waiting) < MAX_WAITING:
                return False
            return sum(isinstance(item.note, Delivery) for item in self._waiting) >= MAX_WAITING

    def add(self, *notes: Note) -> Future[None]:
        """Note something, and begin to store it; what is noted together is stored in one transaction, unless one of it can never be. The
        future ends when the last of it is stored, or has to go."""
        number = next(self._added)
        added = [_Waiting(note, Future(), number) for note in notes]
        with self._lock:
            replaced = [earlier for item in added if (earlier := self._put(item)) is not None]
            oldest = self._beyond()
        for item in replaced:
            if not item.stored.done():
                item.stored.set_result(None)
        for item in oldest:
            self._drop(item, "too many wait for the store")
        self.flush()
        return added[-1].stored

    @property
    def unwritten(self) -> int:
        """Attempts that were made and stood nowhere on disk when they began."""
        return self._spare.unwritten

    def hold(self, attempt: Delivery) -> None:
        """Write down beside the store an attempt that waits for it and is made all the same: a kill does not lose it then."""
        self._spare.write(attempt)
        with self._lock:
            waits = any(item.note is attempt for item in self._waiting)
        if not waits:
            self._spare.forget([attempt.id])

    def _put(self, item: _Waiting) -> _Waiting | None:
        """Have it wait, and return what it replaces, which said the same of an earlier moment. The caller holds the lock."""
        earlier = None
        self._waiting[item] = None
        if isinstance(item.note, TellingRow | TellingGone):
            key = item.note.receiver, item.note.fingerprint
            earlier, self._rows[key] = self._rows.get(key), item
            if earlier is not None:
                self._waiting.pop(earlier, None)
        return earlier

    def _beyond(self) -> list[_Waiting]:
        """Return what has to go for want of room. The caller holds the lock."""
        found = []
        if len(self._waiting) - len(self._rows) > MAX_WAITING:
            found += [item for item in self._waiting if isinstance(item.note, ConditionEvent)][:1]
        if len(self._rows) > MAX_ROWS:
            gone = [item for item in self._rows.values() if isinstance(item.note, TellingGone)]
            found += gone[: len(self._rows) - MAX_ROWS]
        return found

    def _forget(self, item: _Waiting) -> None:
        """It waits no more. The caller holds the lock."""
        self._waiting.pop(item, None)
        if isinstance(item.note, TellingRow | TellingGone):
            key = item.note.receiver, item.note.fingerprint
            if self._rows.get(key) is item:
                del self._rows[key]

    def flush(self) -> None:
        """Begin to store what waits, unless that is under way."""
        with self._lock:
            if self._under_way is not None or not self._waiting:
                return
            first = next(iter(self._waiting)).together
            if not self._alone:
                notes = list(self._waiting)
            elif first == self._apart:
                notes = [next(iter(self._waiting))]
            else:
                notes = [item for item in self._waiting if item.together == first]
            done = self._under_way = Future()
        try:
            stored = self._ledger.record([item.note for item in notes])
        except Exception as error:  # noqa: BLE001 - as if it had failed later
            stored = Future()
            stored.set_exception(error)
        # Outside of the lock: a future that has ended already calls back at once.
        stored.add_done_callback(lambda future: self._ended(future, notes, done))

    def close(self, timeout_seconds: float) -> None:
        """Store what waits, for so long, and say how much is lost."""
        end, failures = time.monotonic() + timeout_seconds, self.failures
        while self.waiting and self.failures == failures:
            self.flush()
            with self._lock:
                under_way = self._under_way
            try:
                if under_way is not None:
                    under_way.result(max(0.0, end - time.monotonic()))
            except FutureTimeout:
                break
        if left := self.waiting:
            self.lost += left
            _log.error("%d deliveries and changes of conditions are not recorded: the store did not take them", left)

    def _ended(self, stored: Future[None], notes: Sequence[_Waiting], done: Future[None]) -> None:
        error = CancelledError() if stored.cancelled() else stored.exception()
        lasting = not isinstance(error, CollectorError | CancelledError)
        with self._lock:
            alone, self._alone, self._under_way = self._alone, error is not None, None
            self.failures += error is not None
            if error is None:
                for item in notes:
                    self._forget(item)
        if error is None:
            if alone:
                _log.info("what was told and what happened is recorded again")
            self._spare.forget([item.note.id for item in notes if isinstance(item.note, Delivery)])
            self.flush()
            for item in notes:
                if not item.stored.done():
                    item.stored.set_result(None)
        elif lasting and len(notes) == 1:
            self._drop(notes[0], f"it cannot be stored: {type(error).__name__}: {error}")
        else:
            if lasting and notes[0].together == notes[-1].together:
                with self._lock:
                    self._apart = notes[0].together
            if not alone:
                _log.error("%d deliveries and changes of conditions wait to be recorded: %s", self.waiting, error)
        done.set_result(None)

    def _drop(self, item: _Waiting, why: str) -> None:
        note = item.note
        with self._lock:
            if item not in self._waiting:
                return
            self._forget(item)
            self.lost += 1
            told = self.lost & (self.lost - 1) == 0
        if isinstance(note, Delivery):
            self._spare.forget([note.id])
        if told:  # the first, second, fourth, eighth, ...: many lost notes are few lines
            _log.error("%s of %s is not recorded (%d lost): %s", type(note).__name__, note.fingerprint, self.lost, why)
        if not item.stored.done():
            item.stored.set_result(None)


async def run_notes(notes: Notes) -> None:
    """Try again what the ledger did not take, for as long as the collector runs."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        notes.flush()
