"""Opens the DuckDB file, brings its schema up to date, and hands out cursors.

One process owns the file. The writer has the only connection that changes anything; every reader gets a cursor of its
own, so that a long query neither blocks nor sees half of a commit (DuckDB is multi-version).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import StoreError
from plugwarden_collector.memory import memory
from plugwarden_collector.private import make_folder, tighten
from plugwarden_collector.store.duckdb.calls.rollup import load_tiers
from plugwarden_collector.store.duckdb.file.checkpoint import CheckpointHold
from plugwarden_collector.store.duckdb.file.inspect import explain, logs_of, prepare

from .engine import Config, connect
from .rows import Row, fetch_rows, fetch_values
from .statements import Statement, statement

__all__ = ["Database"]

FILE_NAME = "plugwarden.duckdb"
FINISH_SECONDS = 0.5
"""How long readers that run at a stop may finish by themselves; most take milliseconds."""
CLOSE_SECONDS = 2.0
"""Seconds that readers which were interrupted at a stop may take to notice."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Database:
    """The open file. Close it once, after the writer."""

    def __init__(self, folder: Path, *, memory_limit: str | None = None, threads: int = 2) -> None:
        make_folder(folder)
        self.path = folder / FILE_NAME
        prepare(self.path)
        tighten(folder, [self.path, *logs_of(self.path)])
        self._lock = threading.Lock()
        self._committing = threading.Lock()
        self._cursors: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        self.checkpoints = CheckpointHold(self.path)
        config: Config = {
            "memory_limit": memory_limit or f"{memory().engine_bytes}B",
            "threads": threads,
            # The writer decides when: a checkpoint in the middle of a commit would keep its senders waiting.
            "checkpoint_threshold": "1TB",
            # Merging row groups at checkpoints rewrites rows for twice or three times the cost of storing them, and the file grows
            # for it (benchmarks/layout.py). Rollups, which are kept long, are packed when an hour is full (rollup).
            "max_vacuum_tasks": 0,
            # Telemetry and users' SQL are hostile input: nothing in a query may reach files, networks or Python.
            "enable_external_access": False,
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            # Queries bound their own sorts and hash tables (store/duckdb/query/stream.py), and may not fill the disk by spilling.
            "allowed_configs": ["operator_memory_limit"],
            "max_temp_directory_size": "4GB",
        }
        try:
            self._connection = connect(self.path, config)
        except duckdb.Error as error:
            raise StoreError(explain(self.path, error)) from error
        try:
            # A store that turns out to be damaged while it is opened must not be written to when it is let go.
            self._connection.execute("pragma disable_checkpoint_on_shutdown")
            self._migrate()
            self._connection.execute("set lock_configuration = true")
            self.tiers = load_tiers(self._connection)
            """How far the rollups have come; whoever rolls up sets it after the commit."""
            self.epoch = self._epoch()
            """The identity of this database: sidecars take a lower revision only from another epoch."""
        except duckdb.Error as error:
            self._connection.close()
            raise StoreError(explain(self.path, error)) from error
        except StoreError:
            self._connection.close()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same database. The caller closes it. Raises `StoreError` once the store is closed."""
        with self._lock:  # a connection refuses a second call instead of waiting
            try:
                cursor = self._connection.cursor()
            except duckdb.ConnectionException as error:
                raise StoreError(f"{self.path}: the store is closed") from error
            self._cursors.add(cursor)
            return cursor

    def commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Commit what the writer did; never while somebody takes a snapshot."""
        with self._committing:
            connection.execute("commit")

    def snapshot(self, cursors: int, setting: str) -> list[duckdb.DuckDBPyConnection]:
        """Return so many cursors that read one state, with a setting made on each. The caller closes them."""
        found: list[duckdb.DuckDBPyConnection] = []
        try:
            for _ in range(cursors):
                found.append(self.cursor())
                found[-1].execute(setting)
            with self._committing:
                for cursor in found:
                    cursor.execute("begin transaction read only")
                    cursor.execute(statement("touch").sql).fetchall()  # a transaction's state is that of its first look
        except BaseException:
            for cursor in found:
                cursor.close()
            raise
        return found

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one piece of reading, with one view of the data."""
        cursor = self.cursor()
        try:
            cursor.execute("begin transaction read only")
            yield cursor
        except duckdb.Error as error:
            raise StoreError(str(error)) from error
        finally:
            cursor.close()

    def fetch(self, statement: Statement, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of one named statement, as dictionaries."""
        with self.reading() as cursor:
            return fetch_rows(cursor, statement.sql, parameters)

    def values(self, kind: type[T], name: str, parameters: Mapping[str, Any] | None = None) -> list[T]:
        """The rows of one named statement, each as a value of a dataclass."""
        with self.reading() as cursor:
            return fetch_values(cursor, kind, statement(name).sql, parameters)

    def fetch_arrow(self, statement: Statement, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of one named statement, as an Arrow table."""
        with self.reading() as cursor:
            relation = cursor.sql(statement.sql, params=dict(parameters or {}))
            return relation.to_arrow_table()

    def size_bytes(self) -> int:
        """What the file and its write-ahead log take on disk."""
        return self.path.stat().st_size + self.checkpoints.log_bytes()

    def used_bytes(self) -> int:
        """What the stored rows take of the file as of the last checkpoint: what was let go before it does not count."""
        row = self.fetch(statement("database_size"))[0]
        return int(row["used_blocks"]) * int(row["block_size"])

    def close(self) -> None:
        """Write everything into the file and let it go. Readers that still run are given a moment, then interrupted."""
        end = time.monotonic() + FINISH_SECONDS + CLOSE_SECONDS
        closed = threading.Event()
        with self._lock:  # nobody gets a cursor from here on
            # In a thread of its own: a cursor whose statement begins at this moment may close only when that has ended.
            threading.Thread(
                target=_interrupt,
                args=(tuple(self._cursors), closed, FINISH_SECONDS),
                name="plugwarden-closing",
                daemon=True,
            ).start()
            try:
                # A connection that closes closes its cursors, and refuses to while one of them is at work in another thread.
                while _close_idle(self._cursors) and time.monotonic() < end:
                    time.sleep(0.005)
            finally:
                closed.set()
            try:
                self._connection.execute("checkpoint")
            except duckdb.Error:
                pass  # a reader still holds a transaction; the write-ahead log keeps everything
            try:
                self._connection.close()
            except duckdb.Error as error:
                _log.error("%s is let go when the process ends, a reader does not: %s", self.path, error)
        self.checkpoints.close()

    def _migrate(self) -> None:
        connection = self._connection
        connection.execute("create table if not exists migrations (number integer primary key, digest varchar)")
        done = dict(connection.execute("select number, digest from migrations").fetchall())
        known = _migrations()
        if done and max(done) > max(known):
            raise StoreError(
                f"{self.path}: has schema {max(done)}, this version knows {max(known)}; use a newer plugwarden"
            )
        for number, sql in sorted(known.items()):
            digest = hashlib.blake2b(sql.encode(), digest_size=16).hexdigest()
            if number in done:
                if done[number] != digest:
                    raise StoreError(f"migration {number} is not the one that {self.path} was made with")
                continue
            connection.execute("begin")
            connection.execute(sql)
            connection.execute("insert into migrations values (?, ?)", [number, digest])
            connection.execute("commit")

    def _epoch(self) -> str:
        self._connection.execute("insert into meta values ('epoch', ?) on conflict do nothing", [uuid.uuid4().hex])
        # All of it: a result that is not read to its end keeps a transaction open, and with it checkpoints off.
        rows = self._connection.execute("select value from meta where key = 'epoch'").fetchall()
        if not rows:
            raise StoreError(f"{self.path}: has no epoch")
        return str(rows[0][0])


def _interrupt(cursors: Iterable[duckdb.DuckDBPyConnection], closed: threading.Event, after_seconds: float) -> None:
    """Interrupt what cursors do, again and again from a moment on, until they are closed."""
    closed.wait(after_seconds)
    end = time.monotonic() + CLOSE_SECONDS
    while not closed.wait(0.005) and time.monotonic() < end:
        for cursor in cursors:
            with contextlib.suppress(duckdb.Error):
                cursor.interrupt()


def _close_idle(cursors: Iterable[duckdb.DuckDBPyConnection]) -> list[duckdb.DuckDBPyConnection]:
    """Close the cursors that can be closed; return the others, which are at work."""
    busy = []
    for cursor in tuple(cursors):
        try:
            cursor.close()
        except duckdb.Error:
            busy.append(cursor)
    return busy


def _migrations() -> dict[int, str]:
    folder = resources.files(__package__).joinpath("migrations")
    return {
        int(item.name.split("_")[0]): item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".sql")
    }
