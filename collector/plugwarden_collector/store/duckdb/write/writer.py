"""The one thread that changes the database: groups requests into commits and tells each caller when its own is on disk."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from plugwarden_collector.clock import Clock, utc_now
from plugwarden_collector.errors import BusyError, StoreError
from plugwarden_collector.latency import Distribution
from plugwarden_collector.memory import memory
from plugwarden_collector.store.duckdb.calls.counting import Counting
from plugwarden_collector.store.duckdb.calls.resolutions import Tiers
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.traces.index import TraceIndex, read_blocks

from .backlog import Backlog, buckets_of
from .commit import Committer, explained
from .repeats import RecentRequests

__all__ = ["Work", "Writer", "WriterStats"]

MAX_QUEUED_BYTES = memory().queue_bytes
"""Decoded rows waiting for a commit; above it senders are told to come back."""
MAX_UNCOUNTED_BUCKETS = 1 << 23
"""Buckets of histograms that are stored, or wait for it, and are not counted yet; above it senders of histograms are told to come
back. A second or two of counting: few bytes of a request may be many buckets, and judging waits until what came before it is
counted."""
MAX_GROUP_ROWS = 262_144
FULL_GROUP_ROWS = 122_880
"""DuckDB's row group. A commit of at least this many rows writes them to their place in the file at once; a smaller one
writes them to the write-ahead log first and again at the next checkpoint, for 1.8 times the CPU (benchmarks/layout.py)."""
MAX_GROUP_BYTES = 8 * 1024 * 1024
"""Bytes of a group that still takes one more request: a commit is counted in one turn, and a few rows may have millions of buckets."""
LINGER_SECONDS = 0.25
"""How long a commit may wait for more rows, while they come in fast enough to fill it."""
SHORT_LINGER_SECONDS = 0.04
"""How long a commit may wait for more rows while they come too slowly to fill it: each commit has a fixed cost, which several requests
may share."""
LINGER_STEP_SECONDS = 0.01
"""Nothing new for this long: those who send wait for us, and so waiting for them is pointless."""
IDLE_SECONDS = 30.0
IDLE_LOG_BYTES = 8 * 1024 * 1024
"""After nothing came in for a while. Less is not worth it: each checkpoint leaves part of a block empty in every table."""

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
    busy: int = 0
    """Requests that were told to come back."""
    commit_seconds_last: float = 0.0
    commit_times: Distribution = field(default_factory=Distribution)
    uncounted_rows: int = 0
    """Raw rows that no rollup has counted yet."""
    uncounted_since: float = 0.0
    """Monotonic time at which the first of the uncounted rows was committed."""


@dataclass(slots=True)
class _Request:
    hash: int
    tables: Mapping[str, pa.Table]
    nbytes: int
    done: Future[bool]
    rows: int
    buckets: int


@dataclass(slots=True)
class _Work:
    run: Work
    done: Future[Any]
    transaction: bool = True
    then: Callable[[Any], None] | None = None
    """Told of the result in the writer's thread, after the commit and before anything else is done."""


class _Look:
    """Stands in the queue for work that is to be done first, wherever this is met."""


class _More:
    """What a work answers that has not come to its end: it goes on behind what waits."""


class Writer:
    """Owns the writing connection. `submit`, `run` and `run_outside_transaction` may be called from any thread."""

    def __init__(
        self,
        database: Database,
        *,
        on_commit: Callable[[], None] = lambda: None,
        clock: Clock = utc_now,
        warm: bool = True,
    ) -> None:
        """Without `warm`, it takes requests at once, and somebody calls `warm` later."""
        self._database = database
        self._on_commit = on_commit
        self._connection = database.cursor()
        self._queue: queue.SimpleQueue[_Request | _Work | _Look | None] = queue.SimpleQueue()
        self._first: deque[_Work] = deque()
        self._backlog = Backlog()
        self._lock = threading.Lock()
        self.queued_bytes = 0
        self.queued_requests = 0
        self.stats = WriterStats()
        self.traces = TraceIndex()
        self._committer = Committer(self._connection, self.traces, database.commit, clock)
        self._rows_per_second = 0.0
        self._committed_at = time.monotonic()
        self.counting = Counting(self._connection)
        self._recent = RecentRequests(clock)
        self.warmed = False
        """Whether `warm` has come to its end."""
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="plugwarden-writer", daemon=True)
        self._thread.start()
        if warm:
            try:
                self.warm()
            except BaseException:
                self.close(0.0)
                raise

    def warm(self) -> None:
        """Read what memory keeps of the store: the index of traces, and the requests stored of late.

        In any thread but the writer's own, which answers from the store until then, and adds at the end what came meanwhile.
        Raises `StoreError`; may be called again then.
        """
        with self._database.reading() as cursor:
            blocks = read_blocks(cursor)
        self.run_outside_transaction(lambda connection: self.traces.take(blocks, connection)).result()
        with self._database.reading() as cursor:
            stored = self._recent.read(cursor)
        self.run_outside_transaction(lambda connection: self._recent.take(stored)).result()
        self.warmed = True

    @property
    def queue_bound_bytes(self) -> int:
        """What may wait for a commit before senders are told to come back."""
        return MAX_QUEUED_BYTES

    @property
    def batch(self) -> int:
        """The number of the newest commit."""
        return self._committer.batch

    def submit(self, hash: int, tables: Mapping[str, pa.Table], nbytes: int) -> Future[bool]:
        """Queue the rows of one request. The future ends after the commit: True stored, False a repeat.

        Raises `BusyError` when the queue is full, or too many buckets are not counted; nothing of the request is kept then.
        """
        buckets = buckets_of(tables)
        with self._lock:
            if self._closed:
                raise BusyError("the collector is shutting down", retry_after_seconds=5)
            if self.queued_bytes + nbytes > MAX_QUEUED_BYTES and self.queued_bytes:
                self.stats.busy += 1
                raise BusyError(f"{self.queued_bytes} bytes are waiting to be stored")
            if buckets and self._backlog.buckets and self._backlog.buckets + buckets > MAX_UNCOUNTED_BUCKETS:
                self.stats.busy += 1
                raise BusyError(f"{self._backlog.buckets} buckets of histograms are waiting to be counted")
            self._backlog.queue(buckets)
            self.queued_bytes += nbytes
            self.queued_requests += 1
            rows = sum(len(table) for table in tables.values())
            request = _Request(hash, tables, nbytes, Future(), rows, buckets)
            self._queue.put(request)
        return request.done

    def run(self, work: Work, then: Callable[[Any], None] | None = None, *, first: bool = False) -> Future[Any]:
        """Run a function on the writing connection, in a transaction of its own.

        `then` is told of its result in the writer's thread, once it is committed and before the next item: what memory
        knows of the database must never be behind it. `first`: before all that waits, as what a person or the judge decides is;
        it must need nothing of what was queued before it.
        """
        return self._enqueue(_Work(work, Future(), then=then), first=first)

    def run_outside_transaction(self, work: Work) -> Future[Any]:
        """Run a function on the writing connection as it is, such as a checkpoint."""
        return self._enqueue(_Work(work, Future(), transaction=False))

    def roll_up(self, at: datetime) -> Future[Any]:
        """Count what is stored and not yet counted; when the future ends, every view shows it."""

        aim: list[tuple[int, int, float]] = []

        def turn(connection: duckdb.DuckDBPyConnection) -> Tiers | _More:
            if not aim:
                aim.append((self.batch, self.stats.uncounted_rows, time.monotonic()))
            batch, rows, begun = aim[0]
            # Not where an earlier turn left it: another may have counted in between.
            tiers, uncounted = self._database.tiers, frozenset(self._committer.uncounted)
            for after in self.counting.turn(tiers, max(batch, tiers.rolled), at, uncounted):
                self._database.tiers = tiers = after
            with self._lock:
                self._backlog.counted(tiers.rolled)
            if tiers.rolled < batch:
                return _More()
            if tiers.rolled >= self.batch:
                self._committer.uncounted.clear()
                self.stats.uncounted_rows = 0
            else:
                self.stats.uncounted_rows = max(1, self.stats.uncounted_rows - rows)
                self.stats.uncounted_since = begun
            return tiers

        return self.run_outside_transaction(turn)

    def count_again(self, identity: str, at: datetime, also: Work | None = None) -> Future[Any]:
        """Count what was set aside once more; raises `NotFoundError`, or `StoreError` when it still cannot be.

        `also` is done in the same transaction, and its answer is the future's.
        """

        def work(connection: duckdb.DuckDBPyConnection) -> Any:
            said: list[Any] = []
            for tiers in self.counting.roll_up(self._database.tiers, self.batch, at):
                self._database.tiers = tiers
            # A number of its own, as if the rows came in now: who follows the rollups goes by these.
            then = None if also is None else lambda found: said.append(also(found))
            self._database.tiers = self.counting.again(self._database.tiers, self.batch + 1, at, identity, then)
            self._committer.batch += 1
            return said[-1] if said else None

        return self.run_outside_transaction(work)

    def checkpoint(self) -> Future[Any]:
        """Fold the write-ahead log into the file; the answer is False while a backup or a reader keeps it off."""
        checkpoints = self._database.checkpoints
        return self.run_outside_transaction(lambda connection: checkpoints.checkpoint(connection, threshold_bytes=0))

    def close(self, timeout: float) -> None:
        """Commit what is queued and end the thread."""
        with self._lock:
            self._closed = True
            self._queue.put(None)  # nothing is queued behind it
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._connection.close()

    @property
    def alive(self) -> bool:
        """Whether the thread runs: without it nothing can be stored."""
        return self._thread.is_alive()

    def _enqueue(self, item: _Work, *, first: bool = False) -> Future[Any]:
        with self._lock:
            if self._closed:
                item.done.set_exception(StoreError("the collector is shutting down"))
            elif first:
                self._first.append(item)
                self._queue.put(_Look())
            else:
                self._queue.put(item)
        return item.done

    def _run(self) -> None:
        carry: _Request | _Work | _Look | None = None
        while True:
            while self._first:
                self._asked(self._first.popleft())
            item = carry
            carry = None
            if item is None:
                try:
                    item = self._queue.get(timeout=IDLE_SECONDS)
                except queue.Empty:
                    self._checkpoint_when_idle()
                    continue
            if item is None:
                return
            if isinstance(item, _Look):
                continue
            if isinstance(item, _Work):
                self._asked(item)
                continue
            group, carry = self._gather(item)
            for request in group:
                request.done.set_running_or_notify_cancel()  # from here on nobody can cancel it
            self._note_rate(sum(request.rows for request in group))
            try:
                self._commit(group)
                self._database.checkpoints.checkpoint(self._connection)
            except BaseException as error:  # noqa: BLE001 - the only writer must outlive any one group
                _log.exception("a group of requests could not be stored")
                for request in group:
                    if not request.done.done():
                        request.done.set_exception(StoreError(str(error)))

    def _asked(self, item: _Work) -> None:
        if item.done.running() or item.done.set_running_or_notify_cancel():  # whoever asked may have given up
            self._do(item)

    def _note_rate(self, rows: int) -> None:
        """How fast rows come in, smoothed over about a second."""
        now = time.monotonic()
        passed = max(1e-3, now - self._committed_at)
        share = min(1.0, passed)
        self._rows_per_second += share * (rows / passed - self._rows_per_second)
        self._committed_at = now

    def _checkpoint_when_idle(self) -> None:
        try:
            self._database.checkpoints.checkpoint(self._connection, threshold_bytes=IDLE_LOG_BYTES)
        except Exception:  # noqa: BLE001 - the only writer must outlive it
            _log.exception("a checkpoint failed; the write-ahead log keeps everything")

    def _gather(self, first: _Request) -> tuple[list[_Request], _Request | _Work | _Look | None]:
        """The requests of one commit, and an item that was met on the way and comes next."""
        group, rows, nbytes = [first], first.rows, first.nbytes
        fills = self._rows_per_second * LINGER_SECONDS >= FULL_GROUP_ROWS / 2
        until = time.monotonic() + (LINGER_SECONDS if fills else SHORT_LINGER_SECONDS)
        while rows < MAX_GROUP_ROWS and (nbytes < MAX_GROUP_BYTES or rows > FULL_GROUP_ROWS / 16):
            try:
                # Under load, wait for a full row group; a few rows are committed at once.
                patience = min(LINGER_STEP_SECONDS, until - time.monotonic()) if len(group) > 1 else 0.0
                if rows >= FULL_GROUP_ROWS or patience <= 0:
                    following = self._queue.get_nowait()
                else:
                    following = self._queue.get(timeout=patience)
            except queue.Empty:
                break
            if following is None:
                self._queue.put(None)
                break
            if not isinstance(following, _Request):
                return group, following
            group.append(following)
            rows += following.rows
            nbytes += following.nbytes
        return group, None

    def _do(self, item: _Work) -> None:
        connection = self._connection
        try:
            if item.transaction:
                connection.execute("begin")
            result = item.run(connection)
            if item.transaction:
                self._database.commit(connection)
            if isinstance(result, _More):
                self._go_on(item)
                return
            if item.then is not None:
                item.then(result)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked for the work
            if item.transaction:
                self._committer.rollback()
            item.done.set_exception(StoreError(str(error)) if isinstance(error, duckdb.Error) else error)
        else:
            item.done.set_result(result)

    def _go_on(self, item: _Work) -> None:
        """Behind all that waits, so that no work keeps a person or a sender from their turn for long."""
        with self._lock:
            if not self._closed:
                self._queue.put(item)
                return
        item.done.set_exception(
            StoreError("the collector is shutting down; what is not counted yet is at the next start")
        )

    def _commit(self, group: Sequence[_Request]) -> None:
        """Store a group; each request is told by itself how it went."""
        fresh: list[_Request] = []
        seen: set[int] = set()
        repeats: list[_Request] = []
        kept = 0
        started = time.perf_counter()
        try:
            stored = self._recent.known([request.hash for request in group], self._connection)
            for request in group:
                known = request.hash in stored or request.hash in seen
                (repeats if known else fresh).append(request)
                seen.add(request.hash)
            failures = self._committer.store([(request.hash, request.tables) for request in fresh])
            kept = sum(request.buckets for request in fresh if request.hash not in failures)
        finally:
            with self._lock:
                self._backlog.drop(sum(request.buckets for request in group) - kept)
                self._backlog.store(self.batch, kept)
                self.queued_bytes -= sum(request.nbytes for request in group)
                self.queued_requests -= len(group)
        stats = self.stats
        stats.commit_seconds_last = time.perf_counter() - started
        stats.commit_times.observe(stats.commit_seconds_last)
        stats.commits += 1
        stats.duplicates += len(repeats)
        for request in fresh:
            failure = failures.get(request.hash)
            if failure is None:
                self._recent.add(request.hash)
                stats.requests += 1
                if not stats.uncounted_rows:
                    stats.uncounted_since = time.monotonic()
                stats.uncounted_rows += request.rows
                for name, table in request.tables.items():
                    stats.rows[name] = stats.rows.get(name, 0) + len(table)
                _settle(request.done, True)
            else:
                stats.failed_requests += 1
                if not request.done.done():
                    request.done.set_exception(explained(failure))
        for request in repeats:
            original = failures.get(request.hash)
            if original is None:
                _settle(request.done, False)
            elif not request.done.done():
                request.done.set_exception(explained(original))
        self._recent.forget(self._connection)
        self._on_commit()


def _settle(done: Future[bool], stored: bool) -> None:
    if not done.done():  # a sender that gave up before its request was taken is not told
        done.set_result(stored)
