"""The one thread that changes the database: groups requests into commits and tells each caller when its own is on disk."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import BusyError, StoreError

from .database import Database
from .statements import statement

__all__ = ["Writer", "WriterStats"]

MAX_QUEUED_BYTES = 256 * 1024 * 1024
"""Decoded rows waiting for a commit; above it senders are told to come back."""
MAX_GROUP_ROWS = 200_000
REMEMBER_SECONDS = 6 * 3600.0
"""How long a request's hash is kept: OTLP clients give up within minutes, sidecars repeat through an outage."""

_INSERTS = {
    "incoming_resources": ("insert_resources",),
    "incoming_spans": ("insert_spans",),
    "incoming_logs": ("insert_logs",),
    "incoming_points": ("insert_points", "insert_calls", "insert_cpu"),
}
"""Staging table -> the statements that take its rows, in order."""

_REFUSALS = (duckdb.Error, pa.ArrowException)
_log = logging.getLogger(__name__)

Work = Callable[[duckdb.DuckDBPyConnection], Any]


@dataclass(slots=True)
class WriterStats:
    """What the writer has done since the start, for our own metrics."""

    commits: int = 0
    requests: int = 0
    duplicates: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    failed_requests: int = 0
    commit_seconds_last: float = 0.0
    commit_seconds_sum: float = 0.0
    committed_at: float = 0.0


@dataclass(slots=True)
class _Request:
    hash: int
    tables: Mapping[str, pa.Table]
    nbytes: int
    done: Future[bool]


@dataclass(slots=True)
class _Work:
    run: Work
    done: Future[Any]
    transaction: bool = True


class Writer:
    """Owns the writing connection. `submit` and `run` may be called from any thread."""

    def __init__(self, database: Database, *, on_commit: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._on_commit = on_commit
        self._connection = database.cursor()
        self._queue: queue.SimpleQueue[_Request | _Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.queued_bytes = 0
        self.stats = WriterStats()
        self._recent = self._load_recent()
        self._forget_at = time.monotonic() + REMEMBER_SECONDS / 4
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="plugwarden-writer", daemon=True)
        self._thread.start()

    def submit(self, hash: int, tables: Mapping[str, pa.Table], nbytes: int) -> Future[bool]:
        """Queue the rows of one request. The future ends after the commit: True stored, False a repeat.

        Raises `BusyError` when the queue is full; nothing of the request is kept then.
        """
        with self._lock:
            if self._closed:
                raise BusyError("the collector is shutting down", retry_after_seconds=5)
            if self.queued_bytes + nbytes > MAX_QUEUED_BYTES and self.queued_bytes:
                raise BusyError(f"{self.queued_bytes} bytes are waiting to be stored")
            self.queued_bytes += nbytes
        request = _Request(hash, tables, nbytes, Future())
        self._queue.put(request)
        return request.done

    def run(self, work: Work) -> Future[Any]:
        """Run a function on the writing connection, in a transaction of its own."""
        item = _Work(work, Future())
        self._queue.put(item)
        return item.done

    def run_outside_transaction(self, work: Work) -> Future[Any]:
        """The same without a transaction around it: for a checkpoint, which must not be in one."""
        item = _Work(work, Future(), transaction=False)
        self._queue.put(item)
        return item.done

    def close(self, timeout: float) -> None:
        """Commit what is queued and end the thread."""
        with self._lock:
            self._closed = True
        self._queue.put(None)
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._connection.close()

    def _run(self) -> None:
        carry: _Request | _Work | None = None
        while True:
            item = carry if carry is not None else self._queue.get()
            carry = None
            if item is None:
                return
            if isinstance(item, _Work):
                if item.done.set_running_or_notify_cancel():  # whoever asked may have given up
                    self._do(item)
                continue
            group, rows = [item], _rows(item)
            while rows < MAX_GROUP_ROWS:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if not isinstance(following, _Request):
                    carry = following
                    if following is None:
                        self._queue.put(None)
                        carry = None
                    break
                group.append(following)
                rows += _rows(following)
            for request in group:
                request.done.set_running_or_notify_cancel()  # from here on nobody can cancel it
            try:
                self._commit(group)
                self._database.checkpoints.checkpoint(self._connection)
            except BaseException as error:  # noqa: BLE001 - the only writer must outlive any one group
                _rollback(self._connection)
                _log.exception("a group of requests could not be stored")
                for request in group:
                    if not request.done.done():
                        request.done.set_exception(StoreError(str(error)))

    @property
    def alive(self) -> bool:
        """Whether the thread runs: without it nothing can be stored."""
        return self._thread.is_alive()

    def _do(self, item: _Work) -> None:
        connection = self._connection
        try:
            if item.transaction:
                connection.execute("begin")
            result = item.run(connection)
            if item.transaction:
                connection.execute("commit")
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked for the work
            _rollback(connection)
            item.done.set_exception(StoreError(str(error)) if isinstance(error, duckdb.Error) else error)
        else:
            item.done.set_result(result)

    def _commit(self, group: Sequence[_Request]) -> None:
        """Store a group in one transaction; if that fails, each request by itself, so one cannot take the rest along."""
        fresh: list[_Request] = []
        seen: set[int] = set()
        repeats: list[_Request] = []
        for request in group:
            known = request.hash in self._recent or request.hash in seen
            (repeats if known else fresh).append(request)
            seen.add(request.hash)
        started = time.perf_counter()
        outcome: dict[int, BaseException | None] = {}
        try:
            self._store(fresh)
        except _REFUSALS as error:
            if len(fresh) == 1:
                outcome[id(fresh[0])] = error
            for request in fresh if len(fresh) > 1 else ():
                try:
                    self._store([request])
                except _REFUSALS as single:
                    outcome[id(request)] = single
        stats = self.stats
        stats.commit_seconds_last = time.perf_counter() - started
        stats.commit_seconds_sum += stats.commit_seconds_last
        stats.commits += 1
        stats.committed_at = time.time()
        stats.duplicates += len(repeats)
        with self._lock:
            self.queued_bytes -= sum(request.nbytes for request in group)
        for request in fresh:
            failure = outcome.get(id(request))
            if failure is None:
                self._recent[request.hash] = time.time()
                stats.requests += 1
                for name, table in request.tables.items():
                    stats.rows[name] = stats.rows.get(name, 0) + len(table)
                _settle(request.done, True)
            else:
                stats.failed_requests += 1
                if not request.done.done():
                    request.done.set_exception(StoreError(str(failure)))
        for request in repeats:
            _settle(request.done, False)
        self._forget()
        self._on_commit()

    def _store(self, requests: Sequence[_Request]) -> None:
        if not requests:
            return
        connection = self._connection
        connection.execute("begin")
        try:
            for staging, inserts in _INSERTS.items():
                tables = [request.tables[staging] for request in requests if staging in request.tables]
                if not tables:
                    continue
                connection.register(staging, pa.concat_tables(tables))
                try:
                    for name in inserts:
                        connection.execute(statement(name).sql)
                finally:
                    connection.unregister(staging)
            hashes = pa.table({"hash": pa.array([request.hash for request in requests], pa.uint64())})
            connection.register("incoming_requests", hashes)
            try:
                connection.execute(statement("insert_requests").sql)
            finally:
                connection.unregister("incoming_requests")
            connection.execute("commit")
        except BaseException:
            _rollback(connection)
            raise

    def _load_recent(self) -> dict[int, float]:
        rows = self._connection.execute("select hash, epoch(time) from requests").fetchall()
        return {int(hash): float(at) for hash, at in rows}

    def _forget(self) -> None:
        if time.monotonic() < self._forget_at:
            return
        self._forget_at = time.monotonic() + REMEMBER_SECONDS / 4
        horizon = time.time() - REMEMBER_SECONDS
        self._recent = {hash: at for hash, at in self._recent.items() if at >= horizon}
        self._connection.execute("delete from requests where epoch(time) < $horizon", {"horizon": horizon})


def _settle(done: Future[bool], stored: bool) -> None:
    if not done.done():  # a sender that gave up before its request was taken is not told
        done.set_result(stored)


def _rows(request: _Request) -> int:
    return sum(len(table) for table in request.tables.values())


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.Error:
        pass  # there was no transaction to roll back
