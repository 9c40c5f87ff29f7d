"""The hashes of requests that were stored of late: the same bytes sent again are told by them, and count once."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import duckdb

from plugwarden_collector.clock import utc_now

from .statements import statement

__all__ = ["KEPT_SECONDS", "RecentRequests"]

KEPT_SECONDS = 2 * 3600.0
"""OTLP clients give up within minutes; a sidecar repeats what was not acknowledged when the collector is back."""
MAX_KEPT = 4_000_000
"""In memory, about 70 bytes each: two hours of 500 requests a second. Beyond, the older half is let go; the database still has
them, and refuses a repeat by its primary key."""
FORGET_EVERY_SECONDS = 60.0


class RecentRequests:
    """Two generations of hashes, the older of which is let go as a whole. Used by the writer's thread alone."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        rows = connection.execute(statement("recent_requests").sql, {"since": self._horizon()}).fetchall()
        self._older: set[int] = {row[0] for row in rows}
        self._newer: set[int] = set()
        self._turned_at = self._forgot_at = time.monotonic()

    def __contains__(self, hash: int) -> bool:
        return hash in self._newer or hash in self._older

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def add(self, hash: int) -> None:
        """A request is stored."""
        self._newer.add(hash)

    def forget(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let go of what is too old: in memory a generation at a time, in the database a minute's worth at a time."""
        now = time.monotonic()
        if now - self._turned_at >= KEPT_SECONDS or len(self._newer) >= MAX_KEPT // 2:
            self._older, self._newer, self._turned_at = self._newer, set(), now
        if now - self._forgot_at >= FORGET_EVERY_SECONDS:
            self._forgot_at = now
            connection.execute(statement("expire_requests").sql, {"before": self._horizon()}).fetchall()

    @staticmethod
    def _horizon() -> datetime:
        # The table's times are the database's own clock, which is this one.
        return utc_now() - timedelta(seconds=2 * KEPT_SECONDS)
