"""The hashes of requests that were stored of late: the same bytes sent again are told by them, and count once."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime, timedelta

import duckdb

from plugwarden_collector.clock import Clock
from plugwarden_collector.store.duckdb.statements import statement

__all__ = ["KNOWN_SECONDS", "RecentRequests"]

KNOWN_SECONDS = 4 * 3600.0
"""Seconds for which the same bytes count once; docs/reference/otlp.md promises it. OTLP clients give up within minutes; a sidecar
repeats what was not acknowledged when the collector is back."""
GENERATION_SECONDS = KNOWN_SECONDS / 2
"""Longest time that memory adds to one generation of hashes."""
MAX_KEPT = 4_000_000
"""In memory, about 70 bytes each: two hours of 500 requests a second. Beyond, the older half is let go; the database still has
them, and refuses a repeat by its primary key."""
FORGET_EVERY_SECONDS = 60.0


READ_ROWS = 10_000
"""At once, so that whoever else wants the interpreter need not wait for millions."""


class RecentRequests:
    """Two generations of hashes, the older of which is let go as a whole. Used by the writer's thread alone.

    Until `take` brings what was stored before the start, the database is asked instead.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._older: set[int] | None = None
        """None: not read yet."""
        self._newer: set[int] = set()
        self._turned_at = self._forgot_at = time.monotonic()

    def read(self, connection: duckdb.DuckDBPyConnection) -> set[int]:
        """What was stored before; in any thread, on a connection of its own."""
        found: set[int] = set()
        rows = connection.sql(statement("recent_requests").sql, params={"since": self._horizon()})
        for batch in rows.to_arrow_reader(READ_ROWS):
            found.update(batch.column("hash").to_numpy().tolist())
        return found

    def take(self, stored: set[int]) -> None:
        """Let memory know them all from here on."""
        self._older = stored

    def known(self, hashes: Collection[int], connection: duckdb.DuckDBPyConnection) -> set[int]:
        """Which of some requests are stored."""
        if self._older is not None:
            return {hash for hash in hashes if hash in self._newer or hash in self._older}
        found = {hash for hash in hashes if hash in self._newer}
        asked = [hash for hash in hashes if hash not in found]
        return found | {
            row[0] for row in connection.execute(statement("stored_requests").sql, {"hashes": asked}).fetchall()
        }

    def __len__(self) -> int:
        return len(self._newer) + len(self._older or ())

    def add(self, hash: int) -> None:
        """A request is stored."""
        self._newer.add(hash)

    def forget(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let go of what is too old: in memory a generation at a time, in the database a minute's worth at a time."""
        now = time.monotonic()
        if now - self._turned_at >= GENERATION_SECONDS or len(self._newer) >= MAX_KEPT // 2:
            # What was never read stays with the database, and so does what came since.
            self._older = None if self._older is None else self._newer
            self._newer, self._turned_at = set(), now
        if now - self._forgot_at >= FORGET_EVERY_SECONDS:
            self._forgot_at = now
            connection.execute(statement("expire_requests").sql, {"before": self._horizon()}).fetchall()

    def _horizon(self) -> datetime:
        return self._clock() - timedelta(seconds=KNOWN_SECONDS)
