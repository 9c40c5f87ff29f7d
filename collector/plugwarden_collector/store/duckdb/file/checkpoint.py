"""When the write-ahead log goes into the file: when it is long enough, and never while a backup copies the file.

Between two checkpoints nothing rewrites a block that the file's header leads to: commits go into the log, and large ones
also into blocks that are free. So the file alone, copied while no checkpoint happens, is the store as of the last one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import duckdb

from plugwarden_collector.errors import BusyError, ConflictError
from plugwarden_collector.latency import Distribution

__all__ = ["CheckpointHold", "CheckpointStats"]

LOG_BYTES = 64 * 1024 * 1024
"""A log this long is worth a checkpoint: DuckDB replays it in well under a second."""
FORCE_LOG_BYTES = 512 * 1024 * 1024
"""A checkpoint is put off while somebody reads a state that an update replaced; at this length it waits for the readers."""
FORCE_SECONDS = 0.5
"""It waits so long and no longer: nothing is stored, counted or decided meanwhile. Then it is tried again when the log is an eighth
longer; a reader's statement ends by its own limits."""
HELD_LOG_BYTES = 1024 * 1024 * 1024
"""A backup that takes so long that the log grows to this is given up, so that the disk is not filled by waiting."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class CheckpointStats:
    """What was done since the start, for our own metrics."""

    done: int = 0
    put_off: int = 0
    """Those that had to wait for readers of an older state."""
    seconds_last: float = 0.0
    seconds_sum: float = 0.0
    times: Distribution = field(default_factory=Distribution)


@contextmanager
def _within(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt what the connection does in the block if it takes longer, and nothing that comes after the block."""
    lock, done = threading.Lock(), False

    def interrupt() -> None:
        with lock:
            if not done:
                connection.interrupt()

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            done = True
        timer.cancel()


class CheckpointHold:
    """Says whether a checkpoint may happen now. One holder at a time; the writer's thread does the checkpoints."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + ".wal")
        self._lock = threading.Lock()
        self._held = False
        self._file: BinaryIO | None = None
        self._failed_at = 0
        self.stats = CheckpointStats()
        self.broken = False
        """The hold was given up because the log grew too long: what was copied since may not fit together."""

    def take(self) -> None:
        """Let there be no checkpoint but the holder's own until `release`; raises `ConflictError` when it is held."""
        with self._lock:
            if self._held:
                raise ConflictError("another backup is under way; wait for it to end")
            self._held, self.broken = True, False

    def release(self) -> None:
        """Let checkpoints happen again."""
        with self._lock:
            self._held = False

    def checkpoint(self, connection: duckdb.DuckDBPyConnection, *, threshold_bytes: int = LOG_BYTES) -> bool:
        """Checkpoint if the log is long enough and nobody holds; for the writer, outside a transaction."""
        size = self.log_bytes()
        if size < max(threshold_bytes, self._failed_at + self._failed_at // 8):
            return False  # too short, or it failed at about this size: readers end, and then it goes
        with self._lock:
            if self._held and size < HELD_LOG_BYTES:
                return False
            if self._held:
                self.broken = True
            try:
                self._run(connection, force=size >= FORCE_LOG_BYTES)
            except duckdb.Error as error:
                self._failed_at = size
                self.stats.put_off += 1
                _log.info("no checkpoint this time, the write-ahead log keeps everything: %s", error)
                return False
        return True

    def checkpoint_held(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The holder's own; raises `BusyError` when DuckDB would not do it now."""
        try:
            self._run(connection)
        except duckdb.Error as error:
            raise BusyError(f"the store cannot be written out right now, ask again: {error}") from error

    def _run(self, connection: duckdb.DuckDBPyConnection, *, force: bool = False) -> None:
        started = time.perf_counter()
        if force:
            with _within(connection, FORCE_SECONDS):
                connection.execute("force checkpoint")
        else:
            connection.execute("checkpoint")
        self._failed_at = 0
        self.stats.done += 1
        self.stats.seconds_last = time.perf_counter() - started
        self.stats.seconds_sum += self.stats.seconds_last
        self.stats.times.observe(self.stats.seconds_last)

    def log_bytes(self) -> int:
        """How long the write-ahead log is."""
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def read_at(self, position: int, size: int) -> bytes:
        """A piece of the database file.

        The handle stays open until DuckDB has let go of the file: closing any handle gives up the lock that DuckDB holds
        on it (POSIX record locks belong to the process), and another process could then open the store.
        """
        with self._lock:
            if self._file is None:
                self._file = self._path.open("rb")
        return os.pread(self._file.fileno(), size, position)

    def close(self) -> None:
        """Close the handle; after DuckDB's own."""
        if self._file is not None:
            self._file.close()
            self._file = None
