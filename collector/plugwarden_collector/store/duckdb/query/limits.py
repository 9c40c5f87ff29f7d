"""Ends queries that take too long or too much: one thread that looks at all running queries several times a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import duckdb

from plugwarden_collector.memory import memory

__all__ = ["End", "Ticket", "Watch"]

EVERY_SECONDS = 0.05
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
        try:
            self.cursor.interrupt()
        except duckdb.Error:
            pass  # it is closed: nothing runs any more


class Watch:
    """Watches the queries of one database. Its thread lives only while something runs.

    `connect` gives it a connection of its own. One made from a query's cursor would close with that query, and keep it from
    closing while the watch looks.
    """

    def __init__(self, connect: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._running: set[Ticket] = set()
        self._alive = False

    def begin(self, cursor: duckdb.DuckDBPyConnection, seconds: float) -> Ticket:
        """Watch a query from now on; raises `StoreError` once the store is closed."""
        ticket = Ticket(cursor, time.monotonic() + seconds, _resident())
        with self._lock:
            if not self._alive:
                probe = self._connect()
                self._alive = True
                threading.Thread(target=self._run, args=(probe,), name="plugwarden-query-watch", daemon=True).start()
            self._running.add(ticket)
        return ticket

    def finish(self, ticket: Ticket) -> None:
        """Stop watching; after this nothing interrupts the cursor."""
        with self._lock:
            self._running.discard(ticket)

    def _run(self, probe: duckdb.DuckDBPyConnection) -> None:
        while True:
            time.sleep(EVERY_SECONDS)
            held, resident = _held(probe), _resident()
            with self._lock:
                if not self._running:
                    self._alive = False
                    with suppress(duckdb.Error):  # the store is closing it
                        probe.close()
                    return
                for ticket in self._running:
                    _look(ticket, held, resident)


def _look(ticket: Ticket, held: int, resident: int) -> None:
    limits = memory()
    # Values of single rows escape DuckDB's own accounting.
    grown = resident > limits.process_bytes and resident - ticket.resident_bytes > limits.growth_bytes
    if ticket.ended is not None:
        # An interrupt between two steps of a query is forgotten: repeat it until the query is gone.
        ticket.end(ticket.ended)
    elif time.monotonic() >= ticket.until:
        ticket.end(End.TIME)
    elif held > limits.held_bytes or grown:
        ticket.end(End.MEMORY)


def _held(probe: duckdb.DuckDBPyConnection) -> int:
    """Bytes that DuckDB cannot spill: lists and texts that aggregates collect, and what operators allocate."""
    try:
        row = probe.execute(
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
