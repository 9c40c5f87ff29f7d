"""Statements of people and programs; see `store.telemetry.Queries`."""

from __future__ import annotations

from collections.abc import Mapping

from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.telemetry import Query

from .reader.pool import ENDS, close_shared_pool, shared_pool
from .stream import QueryStream, warm_readers

__all__ = ["StoredQueries"]


class StoredQueries:
    """Asked from any thread. Statements are checked and planned in processes that all stores of this process share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, query: Query) -> QueryStream:
        """Return a statement that is not begun."""
        return QueryStream(
            self._database,
            query.sql,
            query.parameters,
            form=query.form,
            limit=query.limit,
            max_bytes=query.max_bytes,
            timeout_seconds=query.timeout_seconds,
        )

    def warm(self) -> None:
        """Start the processes before somebody waits for them."""
        warm_readers(self._database)

    def ended(self) -> Mapping[str, int]:
        """Return reason -> processes that were ended for it."""
        ended = shared_pool().ended
        return {reason: ended[reason] for reason in ENDS}

    def close(self) -> None:
        """End the processes, and with them the statements that run."""
        close_shared_pool()
