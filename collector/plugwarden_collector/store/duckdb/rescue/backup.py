"""An online backup: the database file as of one checkpoint, and what it must hold, for whoever receives it to check."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from plugwarden_collector.audit.entries import DECISIONS
from plugwarden_collector.clock import Clock
from plugwarden_collector.errors import StoreError
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.ledger.chain import head_of
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.duckdb.write.writer import Writer

from .verify import identifier

__all__ = ["Backup", "Manifest", "count_rows", "open_backup"]

PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. It travels beside the file and is compared with it once that has arrived."""

    taken_at: str
    """ISO 8601, UTC."""
    epoch: str
    nbytes: int
    """Bytes of the file."""
    rows: dict[str, int]
    """Table -> rows."""
    head: str
    """Hash of the last decision; empty when nothing was decided."""

    def as_dict(self) -> dict[str, Any]:
        """The wire form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Any) -> Manifest:
        """Read the wire form; raises `StoreError` when something is missing."""
        try:
            rows = {str(name): int(count) for name, count in raw["rows"].items()}
            return cls(str(raw["taken_at"]), str(raw["epoch"]), int(raw["nbytes"]), rows, str(raw["head"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"the collector did not say what its backup holds: {error}") from error


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup under way."""

    manifest: Manifest
    database: Database

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file, piece by piece; raises `StoreError` when it had to be given up."""
        position, hold = 0, self.database.checkpoints
        while position < self.manifest.nbytes:
            size = min(PIECE_BYTES, self.manifest.nbytes - position)
            piece = await asyncio.to_thread(hold.read_at, position, size)
            if hold.broken:
                raise StoreError("the backup took too long: the write-ahead log grew to its limit meanwhile")
            if not piece:
                raise StoreError("the database file became shorter while it was copied")
            position += len(piece)
            yield piece


@asynccontextmanager
async def open_backup(database: Database, writer: Writer, clock: Clock) -> AsyncIterator[Backup]:
    """Hold off checkpoints, after one more, for the length of a block. Ingest waits for that one and nothing else.

    Raises `ConflictError` when there is a backup under way, `BusyError` when the store cannot be written out now.
    """
    hold = database.checkpoints
    hold.take()
    try:

        def begin(connection: duckdb.DuckDBPyConnection) -> Manifest:
            hold.checkpoint_held(connection)
            # Counted here, between the checkpoint and the next commit, so that they are those of the file.
            head = head_of(connection, DECISIONS)
            nbytes, rows = database.path.stat().st_size, count_rows(connection)
            return Manifest(clock().isoformat(), database.epoch, nbytes, rows, head.hash if head.sequence else "")

        work = asyncio.wrap_future(writer.run_outside_transaction(begin))
        try:
            manifest = await asyncio.shield(work)
        except asyncio.CancelledError:
            with contextlib.suppress(
                Exception
            ):  # who asked is gone; the checkpoint must still end before the hold does
                await work
            raise
        yield Backup(manifest, database)
    finally:
        hold.release()


def count_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Table -> rows, for the tables of a store."""
    own = connection.execute("select current_database()").fetchall()[0][0]
    names = connection.execute(statement("list_tables").sql, {"database": own}).fetchall()
    # Read to the end, each of them: a result that is not keeps its transaction open.
    return {
        str(name): int(connection.execute(f"select count(*) from {identifier(name)}").fetchall()[0][0])  # noqa: S608
        for (name,) in names
    }
