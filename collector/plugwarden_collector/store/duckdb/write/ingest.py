"""What receivers ask of the writer; see `store.telemetry.Ingest`."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from datetime import datetime

import pyarrow as pa

from plugwarden_collector.store.duckdb.database import Database

from .writer import Writer

__all__ = ["StoredIngest"]


class StoredIngest:
    """Asked from any thread."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    def append(self, token: int, tables: Mapping[str, pa.Table], nbytes: int) -> Future[bool]:
        """Queue the rows of one request."""
        return self._writer.submit(token, tables, nbytes)

    def catch_up(self, at: datetime) -> Future[None]:
        """Count what is stored."""
        return self._writer.roll_up(at)

    @property
    def caught_up(self) -> bool:
        """Whether all that is stored is counted."""
        return self._writer.batch <= self._database.tiers.rolled
