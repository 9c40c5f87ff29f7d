"""The line before the SQL seats: so many statements at once, and of one caller no more than leaves a seat for another."""

from __future__ import annotations

import asyncio
from collections import Counter as Counts
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter, Gauge
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import CollectorRegistry

from plugwarden_collector.errors import BusyError, TooManyError
from plugwarden_collector.figures import counted

__all__ = ["AT_ONCE", "OF_CALLER", "WAITING", "Line", "hurried", "stopping"]

AT_ONCE = 2
"""Queries that run; on two cores more would only slow each other, and ingest."""
OF_CALLER = AT_ONCE - 1
"""Statements of one caller that run at once: whatever it asks, there is a seat for another."""
WAITING = 8
"""Queries that may wait for their turn; the next one is told to come back."""
WAITING_OF_CALLER = WAITING // 2
"""Statements of one caller that wait: the line is no place to hold either."""
WAIT_SECONDS = 10.0


@dataclass(slots=True)
class _Caller:
    """Whoever has or wants seats."""

    seats: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OF_CALLER))
    queries: int = 0
    """That run or wait."""


class Line:
    """Seats for queries, and a bounded line before them."""

    def __init__(
        self, registry: CollectorRegistry, closed: asyncio.Future[None], ends: Callable[[], Mapping[str, int]]
    ) -> None:
        """`ends` returns reason -> reader processes that were ended for it."""
        self.closed = closed
        """Done once the collector stops."""
        self._seats = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._waiting_of: Counts[str] = Counts()
        self._callers: dict[str, _Caller] = {}
        # Of their own, so that long queries keep neither telemetry nor judging waiting.
        self.threads = ThreadPoolExecutor(AT_ONCE, "plugwarden-query")
        self.ended = Counter("plugwarden_queries", "Queries, by how they ended", ("result",), registry=registry)
        self.seconds = Counter("plugwarden_query_seconds", "Time that queries held a seat", registry=registry)
        self.running = Gauge("plugwarden_queries_running", "Queries that hold a seat", registry=registry)
        registry.register(_Ends(ends))
        waiting = Gauge("plugwarden_queries_waiting", "Queries that wait for one", registry=registry)
        waiting.set_function(lambda: self._waiting)

    async def take(self, caller: str | None) -> None:
        """Wait for a seat. `caller` None: nobody that can be told from others, and bound by the number of seats alone.

        Raises `BusyError` when the line is full or does not move, `TooManyError` when that is because of the caller itself.
        """
        if caller is not None and self._waiting_of[caller] >= WAITING_OF_CALLER:
            self.ended.labels("too_many").inc()
            raise TooManyError(
                f"you run {_queries(OF_CALLER)} and {self._waiting_of[caller]} of yours wait; wait for their answers, or give "
                "each user and program a token of its own",
                retry_after_seconds=2,
            )
        if self._seats.locked() and self._waiting >= WAITING:
            self.ended.labels("busy").inc()
            raise BusyError(
                f"{_queries(AT_ONCE)} run and {self._waiting} wait; try again in some seconds, with a narrower time range "
                "where yours takes long",
                retry_after_seconds=2,
            )
        with self._standing(caller):
            await self._wait(caller)
        self.running.inc()

    def give(self, caller: str | None, held_seconds: float) -> None:
        """Give the seat back."""
        self.running.dec()
        self.seconds.inc(held_seconds)
        self._seats.release()
        if caller is not None:
            self._callers[caller].seats.release()
            self._left(caller)

    async def _wait(self, caller: str | None) -> None:
        mine: asyncio.Semaphore | None = None
        got = False
        if caller is not None:
            known = self._callers.setdefault(caller, _Caller())
            known.queries += 1
            mine = known.seats
        own = False
        try:
            async with asyncio.timeout(WAIT_SECONDS) as limit, hurried(limit, self.closed, 0.0):
                if mine is not None:
                    await mine.acquire()  # first: who may have no more seats must not stand before those who may
                    own = True
                await self._seats.acquire()
                got = True
        except TimeoutError as error:
            if self.closed.done():
                self.ended.labels("busy").inc()
                raise stopping() from error
            if mine is not None and not own:
                self.ended.labels("too_many").inc()
                raise TooManyError(
                    f"none of your own queries ended within {WAIT_SECONDS:g} s, and you may run {OF_CALLER} at once; end it, or "
                    "give each user and program a token of its own",
                    retry_after_seconds=5,
                ) from error
            self.ended.labels("busy").inc()
            raise BusyError(
                f"no query ended within {WAIT_SECONDS:g} s; try again in some seconds", retry_after_seconds=5
            ) from error
        finally:
            if caller is not None and not got:
                if mine is not None and own:
                    mine.release()
                self._left(caller)

    def _left(self, caller: str) -> None:
        known = self._callers[caller]
        known.queries -= 1
        if not known.queries:
            del self._callers[caller]

    @contextmanager
    def _standing(self, caller: str | None) -> Iterator[None]:
        self._waiting += 1
        if caller is not None:
            self._waiting_of[caller] += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if caller is not None:
                self._waiting_of[caller] -= 1
                if not self._waiting_of[caller]:
                    del self._waiting_of[caller]


class _Ends:
    """What the store counts of its reader processes, as a metric."""

    def __init__(self, ends: Callable[[], Mapping[str, int]]) -> None:
        self._ends = ends

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One counter, by reason."""
        text = "Reader processes that were ended, by reason"
        ended = CounterMetricFamily("plugwarden_query_processes_ended", text, labels=["reason"])
        for reason, count in self._ends().items():
            ended.add_metric([reason], count)
        yield ended


@asynccontextmanager
async def hurried(limit: asyncio.Timeout, closed: asyncio.Future[None], seconds: float) -> AsyncIterator[None]:
    """What `limit` bounds has this long, at most, from the moment that the collector stops."""
    loop = asyncio.get_running_loop()

    def hurry(_: Any) -> None:
        limit.reschedule(min(limit.when() or loop.time() + seconds, loop.time() + seconds))

    closed.add_done_callback(hurry)
    try:
        yield
    finally:
        closed.remove_done_callback(hurry)


def stopping() -> BusyError:
    return BusyError("the collector is shutting down", retry_after_seconds=5)


def _queries(number: int) -> str:
    return counted(number, "query", "queries")
