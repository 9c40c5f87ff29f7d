"""Read-only SQL for people and programs, streamed: checked, watched, and cut at a number of rows and bytes."""

from __future__ import annotations

import os
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import QueryCancelledError, QueryError, QueryTimeoutError, StoreError
from plugwarden_collector.store.answer import Answer, collect
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.query.reader.lossless import as_told
from plugwarden_collector.store.duckdb.query.reader.messages import TOO_MUCH_MEMORY, explain, too_long
from plugwarden_collector.store.duckdb.query.reader.pool import ReaderPool, ReaderProcess, shared_pool
from plugwarden_collector.store.duckdb.query.reader.scans import OPERATOR_MEMORY, Scans
from plugwarden_collector.store.duckdb.query.reader.wire import Message
from plugwarden_collector.store.pieces import (
    BATCH_ROWS,
    FORMS,
    MAX_BYTES,
    MAX_ROWS,
    MAX_STREAM_BYTES,
    Limits,
    Piece,
    Pieces,
)
from plugwarden_collector.store.views import stable_views

from .allowed_sql import split_explain
from .limits import End, Watch

__all__ = ["MAX_STREAM_ROWS", "Answer", "QueryStream", "run_query", "warm_readers"]

MAX_STREAM_ROWS = 100_000_000
TIMEOUT_SECONDS = 15.0
PATIENCE_SECONDS = 0.25
"""Seconds after its time at which a statement that did not end by itself is ended with its process."""

PATIENCE = 100
"""Tries, a hundredth of a second apart, at a connection that another thread is just leaving."""

T = TypeVar("T")
Parameters = Sequence[Any] | Mapping[str, Any] | None


class QueryStream:
    """One running query. `open` it, iterate over its pieces, `close` it; all of that in one thread, `cancel` from any.

    Its text is parsed, checked and planned in a reader process. What is bounded then runs here, what is not over there.
    """

    def __init__(
        self,
        database: Database,
        sql: str,
        parameters: Parameters = None,
        *,
        form: str = "arrow",
        limit: int = 10_000,
        max_bytes: int = MAX_STREAM_BYTES,
        timeout_seconds: float = TIMEOUT_SECONDS,
        pool: ReaderPool | None = None,
    ) -> None:
        self._database, self._sql, self._parameters, self._form = database, sql, parameters, form
        self._limits = Limits(max(1, min(limit, MAX_STREAM_ROWS)), max_bytes)
        self._timeout_seconds = timeout_seconds
        self._started = time.perf_counter()
        self._until = time.monotonic() + timeout_seconds
        self._pool = pool or shared_pool()
        self._lock = threading.Lock()
        self._ended: End | None = None
        self._process: ReaderProcess | None = None
        self._scans: Scans | None = None
        self._here: _Here | None = None
        self._pieces: Iterator[Piece] = iter(())
        self._first: Piece | None = None
        self.begin = b""
        """What stands before the first piece, in the form asked for."""
        self.rows = 0
        """Rows passed on so far."""
        self.truncated: str | None = None
        """`rows` or `bytes` when that limit cut the result."""

    @property
    def elapsed_ms(self) -> float:
        """Since the query was taken on."""
        return (time.perf_counter() - self._started) * 1000

    def open(self) -> pa.Schema:
        """Check, plan and start; the first rows are there afterwards. Raises `QueryError`, `QueryTimeoutError`, `BusyError`."""
        return self._guarded(self._open)

    def __iter__(self) -> Iterator[Piece]:
        """The rows, in pieces, down to the limits."""
        while (piece := self._guarded(self._next)) is not None:
            yield piece

    def cancel(self) -> None:
        """End it, from any thread."""
        self._end(End.CANCELLED)

    def close(self) -> None:
        """Let go of everything."""
        process, self._process = self._process, None
        if process is not None:  # it is not done with its statement
            self._pool.give(process, process.ended or self._why())
        if self._scans is not None:
            self._scans.close()
            self._scans = None
        if self._here is not None:
            self._here.close()
            self._here = None

    def _open(self) -> pa.Schema:
        self._pool.warm(_schemas(self._database))
        process = self._pool.take(self._until)
        with self._lock:
            self._process = process
        self._raise_if_ended()
        process.send(
            {
                "sql": self._sql,
                "form": self._form,
                "limit": self._limits.rows,
                "max_bytes": self._limits.max_bytes,
                "timeout_seconds": max(0.001, self._until - time.monotonic()),
            },
            pickle.dumps(_parameters(self._parameters)),
        )
        message = self._told("bounded", "schema")
        if message.header["kind"] == "bounded":
            with self._lock:
                self._process = None
            self._pool.give(process)
            schema = self._open_here()
        else:
            schema = pa.ipc.read_schema(pa.py_buffer(message.payload))
            self.begin = bytes.fromhex(message.header["begin"])
            self._pieces = self._from_process()
        self._first = next(self._pieces, None)
        return schema

    def _open_here(self) -> pa.Schema:
        left = self._until - time.monotonic()
        here = _Here(self._database, _watch(self._database), left)
        with self._lock:
            self._here = here
        self._raise_if_ended()
        reader = here.open(self._sql, _parameters(self._parameters), self._limits.rows)
        rendering = FORMS[self._form](reader.schema)
        self.begin = rendering.begin()
        self._pieces = self._from_here(Pieces(reader, rendering, self._limits))
        return reader.schema

    def _from_here(self, pieces: Pieces) -> Iterator[Piece]:
        yield from pieces
        self.truncated = pieces.truncated

    def _from_process(self) -> Iterator[Piece]:
        while (message := self._told("piece", "end")).header["kind"] == "piece":
            yield Piece(message.payload, int(message.header["rows"]))
        cut = message.header["truncated"]
        self.truncated = cut if cut in ("rows", "bytes") else None
        scans = self._scans
        wrong = None if scans is None else self._wrong_with(scans)  # its process took what came of it for all there is
        self._done()
        if wrong is not None:
            raise wrong

    def _told(self, *kinds: str) -> Message:
        """The next message of these kinds from the process; what it asks for on the way it gets."""
        process = self._process
        if process is None:
            raise QueryError("the query has ended")
        while True:
            try:
                message = process.receive(self._until + PATIENCE_SECONDS - time.monotonic())
            except TimeoutError:
                self._end(End.TIME)
                message = None
            if message is None:
                raise self._died(process)
            kind = message.header.get("kind")
            if kind in kinds:
                return message
            if kind == "begun" and self._scans is None:
                expected = int(message.header["scans"])
                left = self._until - time.monotonic()
                self._scans = Scans(self._database, _watch(self._database), left, expected) if expected else None
            elif kind == "scan" and message.descriptor is not None:
                if self._scans is None:
                    os.close(message.descriptor)
                else:
                    self._scans.serve(message.header, message.descriptor)
            elif kind == "failed":
                raise self._failed(message.header)
            else:
                process.end("crashed")

    def _failed(self, said: Mapping[str, Any]) -> StoreError:
        """What the process says went wrong, or what made it go wrong."""
        scans = self._scans
        wrong = None if scans is None else self._wrong_with(scans)
        self._done("worn" if said.get("worn") else None)
        if wrong is None and said.get("timed_out"):
            return QueryTimeoutError(too_long(self._timeout_seconds))
        return wrong or QueryError(str(said.get("text")))

    def _wrong_with(self, scans: Scans) -> StoreError | None:
        """What ended one of the scans before its last row."""
        if scans.ended is End.MEMORY:
            return QueryError(TOO_MUCH_MEMORY)
        if scans.ended is End.TIME:
            return QueryTimeoutError(too_long(self._timeout_seconds))
        return None if scans.error is None else QueryError(explain(scans.error, self._sql))

    def _died(self, process: ReaderProcess) -> StoreError:
        """The process is gone, by us or by itself."""
        if self._ended is None:
            name = process.signal_that_ended_it()
            # A failed allocation ends in an abort; where the machine's memory ends, the kernel kills.
            short = name in ("SIGABRT", "SIGKILL", "SIGBUS", None)
            process.end("memory" if short else "crashed")
            return QueryError(
                TOO_MUCH_MEMORY if short else f"the statement ended the process that ran it ({name}); make it simpler"
            )
        try:
            self._raise_if_ended()
        except StoreError as error:
            return error
        return QueryError("the process that ran the statement ended")

    def _done(self, why: str | None = None) -> None:
        """The process has said its last word about this statement."""
        scans, self._scans = self._scans, None
        with self._lock:
            process, self._process = self._process, None
        try:
            if scans is not None:
                scans.close()
        finally:
            if process is not None:
                self._pool.give(process, process.ended or why)

    def _next(self) -> Piece | None:
        self._raise_if_ended()
        piece, self._first = self._first or next(self._pieces, None), None
        if piece is None:
            self._raise_if_ended()  # an interrupt may look like an end
            return None
        self.rows += piece.rows
        return piece

    def _end(self, why: End) -> None:
        with self._lock:
            self._ended = self._ended or why
            process, here, scans = self._process, self._here, self._scans
        if process is not None:
            process.end(self._why())
        if scans is not None:
            scans.end(why)
        if here is not None:
            here.end(why)

    def _why(self) -> str:
        return "time" if self._ended is End.TIME else "cancelled"

    def _guarded(self, step: Callable[[], T]) -> T:
        """Run one step, with errors translated."""
        try:
            return step()
        except (QueryError, QueryTimeoutError, QueryCancelledError):
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
        why = self._ended or (self._here.ended if self._here is not None else None)
        if why is End.TIME:
            raise QueryTimeoutError(too_long(self._timeout_seconds)) from cause
        if why is End.MEMORY:
            raise QueryError(TOO_MUCH_MEMORY) from cause
        if why is End.CANCELLED:
            raise QueryCancelledError("the query was cancelled") from cause


class _Here:
    """A bounded statement in this process."""

    def __init__(self, database: Database, watch: Watch, seconds: float) -> None:
        self._cursor = _patiently(database.cursor)
        self._watch = watch
        self._ticket = watch.begin(self._cursor, seconds)
        self._reader: pa.RecordBatchReader | None = None

    @property
    def ended(self) -> End | None:
        """Why it was ended, if it was."""
        return self._ticket.ended

    def open(self, sql: str, parameters: Any, limit: int) -> pa.RecordBatchReader:
        """Start it."""
        cursor = self._cursor
        cursor.execute(OPERATOR_MEMORY)
        cursor.execute("begin transaction read only")
        explained = split_explain(sql)
        if explained is not None:
            rows = cursor.execute("".join(explained), parameters).fetchall()
            plan = pa.table({"kind": [str(row[0]) for row in rows], "plan": [str(row[1]) for row in rows]})
            self._reader = plan.to_reader()
        else:
            relation = as_told(cursor.sql(sql, params=parameters))
            self._reader = relation.to_arrow_reader(min(limit + 1, BATCH_ROWS))
        return self._reader

    def end(self, why: End) -> None:
        """Interrupt it."""
        self._ticket.end(why)

    def close(self) -> None:
        """Let go of it."""
        self._watch.finish(self._ticket)
        if self._reader is not None:
            self._reader.close()
        _patiently(self._cursor.close)


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
            of = weakref.WeakMethod(database.cursor)  # what it holds would keep its key

            def connect() -> duckdb.DuckDBPyConnection:
                cursor = of()
                if cursor is None:
                    raise StoreError("the store is closed")
                return _patiently(cursor)

            _watches[database] = Watch(connect)
        return _watches[database]


def warm_readers(database: Database) -> None:
    """Start the reader processes before somebody waits for them."""
    shared_pool().warm(_schemas(database))


_described: dict[str, pa.Schema] = {}


def _schemas(database: Database) -> Mapping[str, pa.Schema]:
    """The stable views as Arrow describes them, JSON as such: the same in every store of this version."""
    if not _described:
        found = {}
        with database.reading() as cursor:
            for view in stable_views().values():
                schema = cursor.sql(f'from "{view.name}" limit 0').to_arrow_reader().schema
                for index, column in enumerate(view.columns):
                    if column.type == "JSON":
                        schema = schema.set(index, schema.field(index).with_type(pa.json_(pa.string())))
                found[view.name] = schema
        _described.update(
            found
        )  # all at once: a process that is started meanwhile would know only some for as long as it runs
    return _described
