"""What is known of pushed alerts: which fire, until when, and how many there may be. The store sees only what changed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plugwarden_collector.clock import Clock
from plugwarden_collector.errors import BusyError, StoreError
from plugwarden_collector.store import Ledger
from plugwarden_collector.store.ledger import PushedEnd, PushedRecord, settled

from .reading import RESOLVE_TIMEOUT, PushedAlert, Refused, read_alerts

__all__ = ["Known", "Merge", "PushedAlerts", "Reader", "merge", "run_pushed_alerts"]

MAX_KEPT = 20_000
"""Alerts kept, those that ended lately included; one more is refused, unless an ended one can go for it."""
RESOLVED_KEPT = timedelta(days=1)
EVERY_SECONDS = 1.0
WRITE_SECONDS = 30.0
CHUNK_ROWS = 1_000
"""Rows in one turn of the writer: some 30 ms, so that ingest goes on in between."""

Reader = Callable[[bytes], tuple[list[PushedAlert], list[Refused]]]
"""Reads the body of a request: `read_alerts` or `read_notice`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What memory holds of one alert; its texts are in the store."""

    digest: bytes
    firing: bool
    started_at: datetime
    ends_at: datetime
    """When it ends unless it is pushed again, or when it ended."""
    stored_end: datetime | None = None
    """When it ends, as the store has it: `ends_at`, or None where it ends when it is no longer pushed."""


@dataclass(slots=True)
class Merge:
    """What one request changes."""

    rows: dict[str, PushedRecord] = field(default_factory=dict)
    """By fingerprint: what the store must hold."""
    known: dict[str, Known] = field(default_factory=dict)
    evicted: list[str] = field(default_factory=list)
    unchanged: int = 0
    full: list[Refused] = field(default_factory=list)


def merge(known: Mapping[str, Known], found: Iterable[PushedAlert], at: datetime, limit: int) -> Merge:
    """What pushed alerts change. A repeat changes nothing but when it ends, which only memory knows where that is soon."""
    merged = Merge()
    spare: list[str] | None = None
    gone: set[str] = set()
    size = len(known)
    for index, item in enumerate(found):
        name = item.fingerprint
        before = merged.known.get(name) or (None if name in gone else known.get(name))
        ended = item.ends_at if item.ends_at is not None and item.ends_at <= at else None
        if ended is not None and (before is None or not before.firing):
            merged.unchanged += 1  # what never fired here, or is known to be over
            continue
        if before is None:
            if size >= limit:
                if spare is None:
                    over = [key for key, value in known.items() if not value.firing]
                    spare = sorted(over, key=lambda key: known[key].ends_at, reverse=True)
                while spare and spare[-1] in merged.known:  # it fires again since this very request
                    spare.pop()
                if not spare:
                    merged.full.append(Refused(index, "", f"{limit} alerts are kept already, and all of them fire"))
                    continue
                gone.add(spare.pop())
                size -= 1
            size += 1
        if ended is not None and before is not None:
            merged.known[name] = Known(before.digest, False, before.started_at, ended)
        else:
            going_on = before is not None and before.firing
            digest = item.digest
            started = item.starts_at or (before.started_at if before is not None and going_on else at)
            repeated = before if before is not None and going_on and before.digest == digest else None
            ends_at = item.ends_at or at + item.lasts
            stored_end = _stored_end(item, ends_at, at, repeated)
            merged.known[name] = Known(digest, True, started, ends_at, stored_end)
            if repeated is not None and repeated.stored_end == stored_end:
                merged.unchanged += 1
                continue
        now = merged.known[name]
        merged.rows[name] = PushedRecord(
            name, item.labels, item.annotations, item.generator, now.firing, now.started_at,
            None if now.firing else now.ends_at, now.stored_end, at,
        )  # fmt: skip
    merged.evicted = sorted(gone - set(merged.known))  # what had to go may be pushed again further on
    return merged


def _stored_end(item: PushedAlert, ends_at: datetime, at: datetime, repeated: Known | None) -> datetime | None:
    """Return the end that the store keeps over a restart. One that is near and moves with each repeat is not worth a write each time:
    whoever repeats it does so after a restart, too."""
    if repeated is not None and repeated.stored_end == ends_at:
        return ends_at
    near = ends_at - at <= RESOLVE_TIMEOUT
    return None if near and (repeated is not None or item.ends_at is None) else ends_at


class PushedAlerts:
    """Takes what is pushed, in a thread of its own; its lock is for memory, and nothing waits for the store under it."""

    def __init__(self, ledger: Ledger, clock: Clock, tolder: str, *, limit: int | None = None) -> None:
        self._ledger, self._clock, self._tolder = ledger, clock, tolder
        self.limit = MAX_KEPT if limit is None else limit
        """How many may be kept."""
        # One thread: what is pushed at once is taken one after the other, and reads keep the threads that asyncio has.
        self._thread = ThreadPoolExecutor(1, "plugwarden-alerts")
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        """By what became of them: `stored`, `unchanged`, `ended`, `invalid`, `full`, `own`."""
        self.changes = 0
        """Grows whenever what is stored may be other than before."""
        at = clock()
        self._known = {
            item.fingerprint: Known(
                b"", item.firing, item.started_at,
                item.ends_at or at + RESOLVE_TIMEOUT if item.firing else item.ended_at or at,
                item.ends_at,
            )
            for item in ledger.pushed()
        }  # fmt: skip

    @property
    def firing(self) -> int:
        """How many fire."""
        with self._lock:
            return sum(1 for item in self._known.values() if item.firing)

    async def take(
        self, body: bytes, read: Reader = read_alerts
    ) -> tuple[int, list[Refused], list[dict[str, str | None]]]:
        """Take the alerts of a request; return how many were taken, which were not, and name, plugin, severity and state of
        those that the push changed. What this collector told itself is taken, counted, and goes no further.

        Raises `MalformedAlertsError` when nothing of it can be used, `BusyError` when the writer has no time.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._take, body, read)

    async def expire(self) -> int:
        """End what was not pushed in time, and forget what ended long ago; return how many ended."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._expire)

    def close(self) -> None:
        """Take no more."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _take(self, body: bytes, read: Reader) -> tuple[int, list[Refused], list[dict[str, str | None]]]:
        found, refused = read(body)
        self.counts["invalid"] += len(refused)
        bad = {item.index for item in refused}
        places = [index for index in range(len(found) + len(refused)) if index not in bad]
        others = [(place, item) for place, item in zip(places, found, strict=True) if not item.is_told_by(self._tolder)]
        self.counts["own"] += len(found) - len(others)
        at = self._clock()
        merged = merge(self._known, (item for _, item in others), at, self.limit)
        if merged.evicted:
            _wait(self._ledger.store_pushed(gone=merged.evicted, at=at))
        with self._lock:
            for name in merged.evicted:
                del self._known[name]
            self._known |= {name: item for name, item in merged.known.items() if name not in merged.rows}
        rows = list(merged.rows.items())
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = dict(rows[start : start + CHUNK_ROWS])
            _wait(self._ledger.store_pushed(list(chunk.values()), at=at))
            with self._lock:  # what is stored is known at once: a later part may fail
                self._known |= {name: merged.known[name] for name in chunk}
            self.counts["stored"] += len(chunk)
            self.changes += 1
        self.counts["unchanged"] += merged.unchanged
        self.counts["full"] += len(merged.full)
        full = [Refused(others[item.index][0], item.field, item.why) for item in merged.full]
        changed = [_named(item) for item in merged.rows.values()]
        return len(found) - len(full), sorted([*refused, *full], key=lambda item: item.index), changed

    def _expire(self) -> int:
        at = self._clock()
        ended = {name: item for name, item in self._known.items() if item.firing and item.ends_at <= at}
        gone = [name for name, item in self._known.items() if not item.firing and item.ends_at <= at - RESOLVED_KEPT]
        if ended or gone:
            over = [PushedEnd(name, item.ends_at) for name, item in ended.items()]
            _wait(self._ledger.store_pushed(ended=over, gone=gone, at=at))
        with self._lock:
            for name, item in ended.items():
                self._known[name] = Known(item.digest, False, item.started_at, item.ends_at)
            for name in gone:
                del self._known[name]
        self.counts["ended"] += len(ended)
        self.changes += len(ended)
        return len(ended)


def _named(item: PushedRecord) -> dict[str, str | None]:
    """Return what tells an alert apart for people."""
    return {"name": item.name, "plugin": item.plugin, "severity": item.severity, "state": item.state}


def _wait(work: Future[None]) -> None:
    """Wait for the ledger, so that memory and ledger never part. Raises `BusyError` when it does not do it."""
    try:
        settled(work, WRITE_SECONDS)
    except StoreError as error:
        raise BusyError(f"alerts cannot be stored right now: {error}") from error


async def run_pushed_alerts(alerts: PushedAlerts) -> None:
    """End what is no longer pushed, for as long as the collector runs."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await alerts.expire()
        except Exception:  # noqa: BLE001 - logged, and tried again in a second
            _log.exception("pushed alerts could not be ended; it is tried again")
