"""How a group of requests becomes one transaction; used by the writer's thread alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from .statements import statement
from .trace_index import TraceIndex

__all__ = ["Committer"]

_INSERTS = {
    "incoming_resources": "insert_resources",
    "incoming_spans": "insert_spans",
    "incoming_logs": "insert_logs",
    "incoming_points": "insert_points",
}
"""Staging table -> the statement that takes its rows, in order."""
_REFUSALS = (duckdb.Error, pa.ArrowException)

_log = logging.getLogger(__name__)

Tables = Mapping[str, pa.Table]


class Committer:
    """Numbers the commits and keeps the index of traces in step with them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, traces: TraceIndex) -> None:
        self._connection = connection
        self._traces = traces
        self.batch: int = connection.execute(statement("last_batch").sql).fetchall()[0][0]
        """The number of the newest commit."""
        self.uncounted: set[str] = {"incoming_spans", "incoming_points"}
        """Staging tables with rows that no rollup has counted yet; after a start, there may be of each."""

    def store(self, requests: Sequence[tuple[int, Tables]]) -> dict[int, BaseException]:
        """Store requests (hash, tables) in one transaction; answers why those failed that did.

        If the group as a whole fails, each request is stored by itself, so that one cannot take the rest along.
        """
        failures: dict[int, BaseException] = {}
        try:
            self._store(requests)
        except _REFUSALS as error:
            if len(requests) == 1:
                failures[requests[0][0]] = error
            for request in requests if len(requests) > 1 else ():
                try:
                    self._store([request])
                except _REFUSALS as single:
                    failures[request[0]] = single
        if self._traces.full:
            self._close_block()
        return failures

    def rollback(self) -> None:
        """End a transaction that failed."""
        try:
            self._connection.execute("rollback")
        except duckdb.Error:
            pass  # there was no transaction to roll back

    def _store(self, requests: Sequence[tuple[int, Tables]]) -> None:
        if not requests:
            return
        connection, batch = self._connection, self.batch + 1
        spans: pa.Table | None = None
        connection.execute("begin")
        try:
            for staging, insert in _INSERTS.items():
                tables = [tables[staging] for _, tables in requests if staging in tables]
                if not tables:
                    continue
                together = pa.concat_tables(tables)
                if staging == "incoming_spans":
                    spans = together
                parameters = None if staging == "incoming_resources" else {"batch": batch}
                self._insert(staging, together, insert, parameters)
            hashes = pa.table({"hash": pa.array([hash for hash, _ in requests], pa.uint64())})
            self._insert("incoming_requests", hashes, "insert_requests", None)
            connection.execute("commit")
        except BaseException:
            self.rollback()
            raise
        self.batch = batch
        self.uncounted.update(staging for _, tables in requests for staging in tables)
        if spans is not None:
            self._traces.add(batch, spans["trace_hi"], spans["trace_lo"])

    def _insert(self, staging: str, rows: pa.Table, insert: str, parameters: dict[str, int] | None) -> None:
        self._connection.register(staging, rows)
        try:
            self._connection.execute(statement(insert).sql, parameters)
        finally:
            self._connection.unregister(staging)

    def _close_block(self) -> None:
        self._connection.execute("begin")
        try:
            block = self._traces.make_block(self._connection)
            self._connection.execute("commit")
        except _REFUSALS:
            self.rollback()
            _log.exception("a block of traces could not be indexed; it stays open, and is tried again")
        else:
            self._traces.close_block(block)
