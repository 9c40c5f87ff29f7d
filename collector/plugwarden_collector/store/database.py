"""Opens the DuckDB file, brings its schema up to date, and hands out cursors.

One process owns the file. The writer has the only connection that changes anything; every reader gets a cursor of its
own, so that a long query neither blocks nor sees half of a commit (DuckDB is multi-version).
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import StoreError

from .checkpoint import CheckpointHold
from .closed_hours import ClosedHours
from .fleet import FleetPages
from .opening import explain, prepare
from .rollup import load_tiers
from .rows import Row, fetch_rows
from .statements import Statement, statement

__all__ = ["Database"]

FILE_NAME = "plugwarden.duckdb"
MEMORY_LIMIT = "1GB"
"""The design's target is a machine with two cores and little memory; DuckDB spills to disk above it."""


class Database:
    """The open file. Close it once, after the writer."""

    def __init__(self, folder: Path, *, memory_limit: str = MEMORY_LIMIT, threads: int = 2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        prepare(self.path)
        self._lock = threading.Lock()
        self.checkpoints = CheckpointHold(self.path)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
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
            # Queries bound their own sorts and hash tables (store/query.py), and may not fill the disk by spilling.
            "allowed_configs": ["operator_memory_limit"],
            "max_temp_directory_size": "4GB",
        }
        try:
            self._connection = duckdb.connect(str(self.path), config=config)
        except duckdb.Error as error:
            raise StoreError(explain(self.path, error)) from error
        try:
            # A store that turns out to be damaged while it is opened must not be written to when it is let go.
            self._connection.execute("pragma disable_checkpoint_on_shutdown")
            self._migrate()
            self._connection.execute("set lock_configuration = true")
            self.tiers = load_tiers(self._connection)
            """How far the rollups have come; whoever rolls up sets it after the commit."""
            self.fleet = FleetPages(self)
            """What pages about all plugins show; it follows the rollups by `tiers`."""
            self.closed_hours = ClosedHours(self)
            """What whole hours hold per plugin version; it follows the rollups in the same way."""
            self.epoch = self._epoch()
            """The identity of this database: sidecars take a lower revision only from another epoch."""
        except duckdb.Error as error:
            self._connection.close()
            raise StoreError(explain(self.path, error)) from error
        except StoreError:
            self._connection.close()
            raise

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same database. The caller closes it."""
        with self._lock:  # a connection refuses a second call instead of waiting
            return self._connection.cursor()

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
        """Write everything into the file and let it go."""
        with self._lock:
            try:
                self._connection.execute("checkpoint")
            except duckdb.Error:
                pass  # a reader still holds a transaction; the write-ahead log keeps everything
            self._connection.close()
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


def _migrations() -> dict[int, str]:
    folder = resources.files(__package__).joinpath("migrations")
    return {
        int(item.name.split("_")[0]): item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".sql")
    }
