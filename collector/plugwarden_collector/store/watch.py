"""Ends queries that take too long or too much: one thread that looks at all running queries several times a second."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import duckdb

__all__ = ["MEMORY_BYTES", "End", "Ticket", "Watch"]

EVERY_SECONDS = 0.05
MEMORY_BYTES = 384 * 1024 * 1024
"""What queries may hold of the memory that DuckDB cannot spill, together: well below its limit, the rest is for ingest."""
PROCESS_BYTES = 2 * 1024 * 1024 * 1024
"""Above it queries end that were running while the process grew: values of single rows escape DuckDB's own accounting."""
GROWTH_BYTES = 384 * 1024 * 1024
_STATM = Path("/proc/self/statm")


class End(StrEnum):
    """Why a query was ended from outside."""

    TIME = "time"
    MEMORY = "memory"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class Ticket:
    """One running query, from the watch's point of view."""

    cursor: duckdb.DuckDBPyConnection
    until: float
    """Monotonic time of its limit."""
    resident_bytes: int
    """What the process held when it began."""
    ended: End | None = None

    def end(self, why: End) -> None:
        """Interrupt it; the first reason stays."""
        if self.ended is None:
            self.ended = why
        self.cursor.interrupt()


class Watch:
    """Watches the queries of one database. Its thread lives only while something runs."""

    def __init__(self, probe: duckdb.DuckDBPyConnection) -> None:
        """`probe` is a connection of its own, used by the watching thread only."""
        self._probe = probe
        self._lock = threading.Lock()
        self._running: set[Ticket] = set()
        self._alive = False

    def begin(self, cursor: duckdb.DuckDBPyConnection, seconds: float) -> Ticket:
        """Watch a query from now on."""
        ticket = Ticket(cursor, time.monotonic() + seconds, _resident())
        with self._lock:
            self._running.add(ticket)
            if not self._alive:
                self._alive = True
                threading.Thread(target=self._run, name="plugwarden-query-watch", daemon=True).start()
        return ticket

    def finish(self, ticket: Ticket) -> None:
        """Stop watching; after this nothing interrupts the cursor."""
        with self._lock:
            self._running.discard(ticket)

    def _run(self) -> None:
        while True:
            time.sleep(EVERY_SECONDS)
            with self._lock:
                if not self._running:
                    self._alive = False
                    return
                held, resident, now = self._held(), _resident(), time.monotonic()
                for ticket in self._running:
                    if now >= ticket.until:
                        ticket.end(End.TIME)
                    elif held > MEMORY_BYTES or (
                        resident > PROCESS_BYTES and resident - ticket.resident_bytes > GROWTH_BYTES
                    ):
                        ticket.end(End.MEMORY)
                    elif ticket.ended is not None:
                        # An interrupt between two steps of a query is forgotten: repeat it until the query is gone.
                        ticket.cursor.interrupt()

    def _held(self) -> int:
        """Bytes that DuckDB cannot spill: lists and texts that aggregates collect, and what operators allocate."""
        try:
            row = self._probe.execute(
                "select coalesce(sum(memory_usage_bytes), 0) from duckdb_memory() where tag in ('ALLOCATOR', 'WINDOW')"
            ).fetchone()
        except duckdb.Error:
            return 0  # the database is closing
        return int(row[0]) if row else 0


def _resident() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0  # not Linux: DuckDB's own limits remain
