"""Read-only SQL for people and programs, streamed: checked, watched, and cut at a number of rows and bytes."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import QueryError, QueryTimeoutError, StoreError

from .database import Database
from .sandbox import check
from .watch import End, Watch

__all__ = ["MAX_ROWS", "MAX_STREAM_ROWS", "Answer", "QueryCancelledError", "QueryStream", "run_query"]

MAX_ROWS = 100_000
"""In an answer that is built in memory."""
MAX_STREAM_ROWS = 100_000_000
MAX_BYTES = 64 * 1024 * 1024
MAX_STREAM_BYTES = 8 * 1024 * 1024 * 1024
TIMEOUT_SECONDS = 15.0
BATCH_ROWS = 16_384
OPERATOR_MEMORY = "256MB"
"""For sorts and hash tables of one query; above it they spill to disk."""

PATIENCE = 100
"""Hundredths of a second."""

T = TypeVar("T")
Parameters = Sequence[Any] | Mapping[str, Any] | None


class QueryCancelledError(StoreError):
    """Whoever asked has gone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query."""

    table: pa.Table
    truncated: bool
    """There were more rows than the limit."""
    elapsed_ms: float


class QueryStream:
    """One running query. `open` it, iterate over its batches, `close` it; all of that in one thread, `cancel` from any."""

    def __init__(
        self,
        database: Database,
        sql: str,
        parameters: Parameters = None,
        *,
        limit: int = 10_000,
        max_bytes: int = MAX_STREAM_BYTES,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._sql, self._parameters = sql, parameters
        self._limit = max(1, min(limit, MAX_STREAM_ROWS))
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._started = time.perf_counter()
        self._cursor = _patiently(database.cursor)
        self._watch = _watch(database)
        self._ticket = self._watch.begin(self._cursor, timeout_seconds)
        self._reader: pa.RecordBatchReader | None = None
        self._first: pa.RecordBatch | None = None
        self.rows = 0
        """Rows passed on so far."""
        self.bytes = 0
        """Their size in memory."""
        self.truncated: str | None = None
        """`rows` or `bytes` when that limit cut the result."""

    @property
    def elapsed_ms(self) -> float:
        """Since the query was taken on."""
        return (time.perf_counter() - self._started) * 1000

    def open(self) -> pa.Schema:
        """Check, plan and start; the first rows are there afterwards. Raises `QueryError` or `QueryTimeoutError`."""
        return self._guarded(self._open)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The rows, in batches, down to the limits."""
        while True:
            batch = self._guarded(self._next)
            if batch is None:
                return
            yield batch

    def cancel(self) -> None:
        """Interrupt it, from any thread."""
        self._ticket.end(End.CANCELLED)

    def close(self) -> None:
        """Let go of everything."""
        self._watch.finish(self._ticket)
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        _patiently(self._cursor.close)

    def _open(self) -> pa.Schema:
        cursor = self._cursor
        cursor.execute(f"set session operator_memory_limit = '{OPERATOR_MEMORY}'")
        checked = check(cursor, self._sql)
        cursor.execute("begin transaction read only")
        self._raise_if_ended()
        parameters = _parameters(self._parameters)
        if checked.explains:
            rows = cursor.execute(checked.sql, parameters).fetchall()
            plan = pa.table({"kind": [str(row[0]) for row in rows], "plan": [str(row[1]) for row in rows]})
            self._reader = plan.to_reader()
        else:
            try:
                relation = cursor.sql(checked.sql, params=parameters)
            except (duckdb.BinderException, duckdb.CatalogException) as error:
                raise self._placed(error, checked.sql, parameters) from error
            self._reader = relation.to_arrow_reader(min(self._limit + 1, BATCH_ROWS))
        self._first = self._read()
        return self._reader.schema

    def _placed(self, error: duckdb.Error, sql: str, parameters: Any) -> duckdb.Error:
        """The same error with the place in the statement, which only a plan by itself tells."""
        prefix = "explain "
        try:
            self._cursor.rollback()
            self._cursor.execute(prefix + sql, parameters)
        except duckdb.Error as again:
            text = str(again)
            if "\n\nLINE 1: " + prefix in text:  # the caret counts the prefix, unless the excerpt is cut
                head, _, tail = text.partition("\n\nLINE 1: " + prefix)
                excerpt, _, caret = tail.partition("\n")
                text = f"{head}\n\nLINE 1: {excerpt}\n{caret[len(prefix) :]}"
            return type(error)(text)
        return error

    def _next(self) -> pa.RecordBatch | None:
        batch, self._first = self._first or self._read(), None
        if batch is None or self.truncated is not None:
            return None
        # One row more than asked for tells whether there were more.
        if self.rows + len(batch) > self._limit:
            self.truncated = "rows"
            batch = batch.slice(0, self._limit - self.rows)
        if self.bytes + batch.nbytes > self._max_bytes:
            self.truncated = "bytes"
            batch = batch.slice(0, len(batch) * max(0, self._max_bytes - self.bytes) // batch.nbytes)
        self.rows += len(batch)
        self.bytes += batch.nbytes
        return batch if len(batch) else None

    def _read(self) -> pa.RecordBatch | None:
        if self._reader is None or self.truncated is not None:
            return None
        self._raise_if_ended()
        try:
            while True:
                batch = self._reader.read_next_batch()
                if len(batch):
                    return batch
        except StopIteration:
            self._raise_if_ended()
            return None

    def _guarded(self, step: Callable[[], T]) -> T:
        """Run one step, with DuckDB's errors translated."""
        try:
            return step()
        except QueryError:
            raise
        except (
            duckdb.Error,
            pa.ArrowException,
            OSError,
            MemoryError,
            ValueError,
            RuntimeError,
            RecursionError,
        ) as error:
            self._raise_if_ended(error)
            raise QueryError(explain(error, self._sql)) from error

    def _raise_if_ended(self, cause: BaseException | None = None) -> None:
        why = self._ticket.ended
        if why is End.TIME:
            message = f"interrupted after {self._timeout_seconds:g} s; narrow the time range or aggregate"
            raise QueryTimeoutError(message) from cause
        if why is End.MEMORY:
            raise QueryError(
                "the query needs more memory than it may have; narrow the time range or aggregate"
            ) from cause
        if why is End.CANCELLED:
            raise QueryCancelledError("the query was cancelled") from cause


def run_query(
    database: Database,
    sql: str,
    parameters: Parameters = None,
    *,
    limit: int = 10_000,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Run one reading statement to its end; raises `QueryError` or `QueryTimeoutError`."""
    limit = max(1, min(limit, MAX_ROWS))
    stream = QueryStream(database, sql, parameters, limit=limit, max_bytes=MAX_BYTES, timeout_seconds=timeout_seconds)
    return collect(stream)


def collect(stream: QueryStream) -> Answer:
    """All rows of a stream, which is closed."""
    try:
        schema = stream.open()
        table = pa.Table.from_batches(list(stream), schema)
        return Answer(table, stream.truncated is not None, stream.elapsed_ms)
    finally:
        stream.close()


def explain(error: BaseException, sql: str) -> str:
    """DuckDB's message, on one line, with the place in the statement as people count."""
    text = str(error)
    message, _, where = text.partition("\n\nLINE ")
    message = message.split("\n\tCandidate functions:")[0]
    if "Out of Memory" in message:
        return "the query needs more memory than it may have; narrow the time range or aggregate"
    message = re.sub(r"^[\w ]+ Error: ", "", message).strip()
    message = "; ".join(line.strip() for line in message.splitlines() if line.strip())
    return f"{_place(where, sql)}{message}" or type(error).__name__


def _place(where: str, sql: str) -> str:
    """`line 1, column 8: ` from DuckDB's excerpt with a caret under it, which it cuts when the line is long."""
    found = re.match(r"(\d+): (.*)\n( *)\^", where)
    if found is None:
        return ""
    number, excerpt = int(found.group(1)), found.group(2)
    caret = len(found.group(3)) - len(f"LINE {number}: ")
    if excerpt.startswith("..."):
        excerpt, caret = excerpt[3:], caret - 3
    lines = sql.splitlines()
    column = lines[number - 1].find(excerpt.removesuffix("...")) if number <= len(lines) else -1
    return f"line {number}, column {column + caret + 1}: " if column >= 0 else f"line {number}: "


def _parameters(values: Parameters) -> Any:
    if not values:
        return None
    return dict(values) if isinstance(values, Mapping) else list(values)


def _patiently(call: Callable[[], T]) -> T:
    """DuckDB 2.0 refuses a call while another thread is just leaving the same connection; that passes within moments."""
    for _ in range(PATIENCE):
        try:
            return call()
        except duckdb.Error as error:
            if "busy with another call" not in str(error):
                raise
            time.sleep(0.01)
    return call()


_watches: weakref.WeakKeyDictionary[Database, Watch] = weakref.WeakKeyDictionary()
_watches_lock = threading.Lock()


def _watch(database: Database) -> Watch:
    with _watches_lock:
        if database not in _watches:
            _watches[database] = Watch()
        return _watches[database]
