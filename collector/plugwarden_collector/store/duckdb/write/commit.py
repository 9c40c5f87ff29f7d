"""How a group of requests becomes one transaction; used by the writer's thread alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from plugwarden_collector.clock import Clock
from plugwarden_collector.errors import StoreError, UnstorableError
from plugwarden_collector.store.duckdb.handed import handed
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.duckdb.traces.index import TraceIndex

__all__ = ["Committer", "explained"]

_INSERTS = {
    "incoming_resources": "insert_resources",
    "incoming_spans": "insert_spans",
    "incoming_logs": "insert_logs",
    "incoming_points": "insert_points",
}
"""Staging table -> the statement that takes its rows, in order."""

_log = logging.getLogger(__name__)

MEMORY_TRIES = 5
MEMORY_PAUSE_SECONDS = 0.05
SMALL_ROWS = 1_000
MAX_KNOWN_RESOURCES = 100_000
"""Ids kept in memory, some 10 MB: ten times the senders that are told apart (health/senders.py). Beyond, all is forgotten."""

Tables = Mapping[str, pa.Table]
Request = tuple[int, Tables]
"""Hash of its bytes, and its rows by staging table."""


class Committer:
    """Numbers the commits and keeps the index of traces in step with them."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        traces: TraceIndex,
        commit: Callable[[duckdb.DuckDBPyConnection], None],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._connection = connection
        self._commit = commit
        self._traces = traces
        self.batch: int = connection.execute(statement("last_batch").sql).fetchall()[0][0]
        """The number of the newest commit."""
        traces.reach(self.batch)
        self.uncounted: set[str] = {"incoming_spans", "incoming_points"}
        """Staging tables with rows that no rollup has counted yet; after a start, there may be of each."""
        self._known_resources: set[int] = set()
        """Ids that are in the database: nothing removes them, and to look each up again costs a fifth of a small commit."""

    def store(self, requests: Sequence[Request]) -> dict[int, BaseException]:
        """Store requests (hash, tables) in one transaction; return why those failed that did.

        If the group as a whole fails, each request is stored by itself, so that one cannot take the rest along.
        """
        failures: dict[int, BaseException] = {}
        left = list(requests)
        for attempt in range(MEMORY_TRIES):
            try:
                self._store(left)
                break
            except Exception as error:  # noqa: BLE001 - whatever it was, each request must be told apart
                left = self._not_stored(left)
                if not _short_of_memory(error):
                    failures |= {left[0][0]: error} if left and len(requests) == 1 else self._one_by_one(left)
                    break
                # DuckDB has one memory limit for everybody: a query may hold the rest of it for a moment.
                _log.warning("no memory for a commit of %d requests (try %d): %s", len(left), attempt + 1, error)
                time.sleep(MEMORY_PAUSE_SECONDS)
        else:
            failures |= self._one_by_one(left)
        if self._traces.full:
            self._close_block()
        return failures

    def _one_by_one(self, requests: Sequence[Request]) -> dict[int, BaseException]:
        failures: dict[int, BaseException] = {}
        for request in requests:
            try:
                self._store([request])
            except Exception as error:  # noqa: BLE001 - it belongs to its sender
                if self._not_stored([request]):
                    failures[request[0]] = error
        return failures

    def _not_stored(self, requests: Sequence[Request]) -> list[Request]:
        """Those of which nothing is stored: a commit that fails while it writes its log may be complete all the same.

        Should even asking fail, they pass for not stored: when they are sent again, the primary key of `requests` refuses
        what is there.
        """
        try:
            rows = self._connection.execute(
                statement("stored_requests").sql, {"hashes": [hash for hash, _ in requests]}
            ).fetchall()
        except Exception:  # noqa: BLE001 - see above
            _log.exception("what became of %d requests is not known", len(requests))
            self._settled(requests)
            return list(requests)
        stored = {row[0] for row in rows}
        if stored:
            self._settled([request for request in requests if request[0] in stored])
        return [request for request in requests if request[0] not in stored]

    def _settled(self, requests: Sequence[Request]) -> None:
        """What memory keeps of a commit, once its rows are, or may be, in the database."""
        self.batch += 1
        for _, tables in requests:
            self.uncounted.update(tables)
            spans = tables.get("incoming_spans")
            if spans is None:
                continue
            try:
                self._traces.add(self.batch, spans["trace_hi"], spans["trace_lo"])
            except Exception:  # noqa: BLE001 - the rows are stored; a trace that is not found is the lesser harm
                _log.exception("%d spans are not in the index of traces", len(spans))

    def rollback(self) -> None:
        """End a transaction that failed."""
        try:
            self._connection.execute("rollback")
        except duckdb.Error:
            pass  # there was no transaction to roll back

    def _store(self, requests: Sequence[Request]) -> None:
        if not requests:
            return
        connection, batch = self._connection, self.batch + 1
        unknown: pa.Table | None = None
        connection.execute("begin")
        try:
            for staging, insert in _INSERTS.items():
                tables = [tables[staging] for _, tables in requests if staging in tables]
                if not tables:
                    continue
                rows = _together(tables)
                if staging != "incoming_resources":
                    self._insert(staging, rows, insert, {"batch": batch})
                    continue
                unknown = self._unknown(rows)
                if len(unknown):
                    self._insert(staging, unknown, insert, None)
            hashes = pa.table({"hash": pa.array([hash for hash, _ in requests], pa.uint64())})
            self._insert("incoming_requests", hashes, "insert_requests", {"at": self._clock()})
            self._commit(connection)
        except BaseException:
            self.rollback()
            raise
        self._known_resources.update(unknown["id"].to_pylist() if unknown is not None else ())
        self._settled(requests)

    def _unknown(self, resources: pa.Table) -> pa.Table:
        if len(self._known_resources) > MAX_KNOWN_RESOURCES:
            self._known_resources.clear()
        rows = [at for at, id in enumerate(resources["id"].to_pylist()) if id not in self._known_resources]
        return resources if len(rows) == len(resources) else resources.take(pa.array(rows, pa.int64()))

    def _insert(self, staging: str, rows: pa.Table, insert: str, parameters: dict[str, Any] | None) -> None:
        with handed(self._connection, **{staging: rows}):
            self._connection.execute(statement(insert).sql, parameters)

    def _close_block(self) -> None:
        for texts in (True, False):
            self._connection.execute("begin")
            try:
                block = self._traces.make_block(self._connection, texts=texts)
                self._commit(self._connection)
            except Exception:  # noqa: BLE001 - an index that lags costs time, not data
                self.rollback()
                _log.exception("a block of traces could not be indexed, texts %s", "and all" if texts else "apart")
            else:
                self._traces.close_block(block)
                return
        # A block that stays open would be tried again, larger, with every commit.
        self._traces.close_blindly()


def explained(error: BaseException) -> StoreError:
    """Return why a request could not be stored, by itself; `UnstorableError` where that is for what its rows are.

    Only what an engine says of values is taken for that. It says of itself, at a fault of its own, that input is invalid, and to
    a sender that believed it would be gone what can be stored a minute later.
    """
    if isinstance(error, duckdb.DataError | pa.ArrowInvalid | pa.ArrowTypeError):
        return UnstorableError(f"the store can never take its rows: {error}")
    return StoreError(str(error))


def _short_of_memory(error: BaseException) -> bool:
    """At a commit the reason is only in the words of a failed transaction."""
    return isinstance(error, duckdb.OutOfMemoryException) or (
        isinstance(error, duckdb.TransactionException) and "failed to pin block" in str(error)
    )


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    """Rows of many requests as one table. Of small ones the pieces are copied together: DuckDB takes as long for a piece of
    fifty rows as for one of two thousand."""
    whole = pa.concat_tables(tables, promote_options="default")  # summaries alone have columns for quantiles
    return whole.combine_chunks() if len(whole) < SMALL_ROWS * len(tables) else whole
