"""`POST /api/v1/query`: admission, streaming, and the end of queries whose time, memory or reader is gone.

Annotations in this module are not postponed: FastAPI must see the dependency, which is an argument.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa
from fastapi import FastAPI, HTTPException, Request
from prometheus_client import Counter, Gauge
from prometheus_client.registry import CollectorRegistry
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from plugwarden_collector.errors import BusyError, QueryError, QueryTimeoutError, StoreError
from plugwarden_collector.store import Database, QueryStream
from plugwarden_collector.store.query import MAX_BYTES, MAX_ROWS, MAX_STREAM_BYTES, QueryCancelledError, collect

from . import problem
from .models import QueryRequest
from .render import ArrowPieces, as_rows

__all__ = ["ARROW", "install"]

ARROW = "application/vnd.apache.arrow.stream"
AT_ONCE = 2
"""Queries that run; on two cores more would only slow each other, and ingest."""
WAITING = 8
"""Queries that may wait for their turn; the next one is told to come back."""
WAIT_SECONDS = 10.0
GRACE_SECONDS = 1.0
"""A step inside DuckDB that hears no interrupt for so long after the limit keeps its seat, and its caller gets an answer."""

T = TypeVar("T")


class Line:
    """Seats for queries, and a bounded line before them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seats = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        # Of their own, so that long queries keep neither telemetry nor judging waiting.
        self.threads = ThreadPoolExecutor(AT_ONCE, "plugwarden-query")
        self.ended = Counter("plugwarden_queries", "Queries, by how they ended", ("result",), registry=registry)
        self.seconds = Counter("plugwarden_query_seconds", "Time that queries held a seat", registry=registry)
        self.running = Gauge("plugwarden_queries_running", "Queries that hold a seat", registry=registry)
        waiting = Gauge("plugwarden_queries_waiting", "Queries that wait for one", registry=registry)
        waiting.set_function(lambda: self._waiting)

    async def take(self) -> None:
        """Wait for a seat; raises `BusyError` when the line is full or does not move."""
        if self._seats.locked() and self._waiting >= WAITING:
            self.ended.labels("busy").inc()
            raise BusyError(f"{AT_ONCE} queries run and {WAITING} wait", retry_after_seconds=2)
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._seats.acquire()
        except TimeoutError as error:
            self.ended.labels("busy").inc()
            raise BusyError(f"no query ended within {WAIT_SECONDS:g} s", retry_after_seconds=5) from error
        finally:
            self._waiting -= 1
        self.running.inc()

    def give(self, held_seconds: float) -> None:
        """Give the seat back."""
        self.running.dec()
        self.seconds.inc(held_seconds)
        self._seats.release()


class Run:
    """A query in its seat, from admission to the last byte. Each step runs in a thread; leaving it early interrupts it."""

    def __init__(self, line: Line, stream: QueryStream, request: Request, timeout_seconds: float) -> None:
        self._line, self._stream = line, stream
        self._began = time.monotonic()
        self._timeout_seconds = timeout_seconds
        self._pending: asyncio.Future[Any] | None = None
        self._gone = asyncio.create_task(_disconnected(request))
        self._counted = False

    async def step(self, work: Callable[[], T]) -> T:
        """Run one step; ends when it does, when the reader goes, or soon after the time limit."""
        future = asyncio.get_running_loop().run_in_executor(self._line.threads, work)
        self._pending = future
        left = self._began + self._timeout_seconds + GRACE_SECONDS - time.monotonic()
        both: set[asyncio.Future[Any]] = {future, self._gone}
        await asyncio.wait(both, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            self._pending = None
            return future.result()
        if self._gone.done():
            raise QueryCancelledError("the reader has gone")
        raise QueryTimeoutError(f"not done after {self._timeout_seconds:g} s; narrow the time range or aggregate")

    def ended(self, error: BaseException | None) -> None:
        """Count how it went, once."""
        if self._counted:
            return
        self._counted = True
        result = "failed"
        if error is None:
            result = "answered"
        elif isinstance(error, QueryTimeoutError):
            result = "timed_out"
        elif isinstance(error, QueryError):
            result = "refused"
        elif isinstance(error, QueryCancelledError | asyncio.CancelledError | TimeoutError):
            result = "abandoned"
        self._line.ended.labels(result).inc()

    def leave(self) -> None:
        """Interrupt what still runs; the seat is free when it has stopped."""
        self._gone.cancel()
        loop = asyncio.get_running_loop()
        pending, self._pending = self._pending, None

        def close(_: Any = None) -> None:
            if pending is not None and not pending.cancelled():
                pending.exception()  # seen: its caller has had an answer
            closed = loop.run_in_executor(self._line.threads, self._stream.close)
            closed.add_done_callback(lambda _: self._line.give(time.monotonic() - self._began))

        if pending is None:
            close()
        else:
            self._stream.cancel()
            pending.add_done_callback(close)

    async def pieces(self, schema: pa.Schema) -> AsyncIterator[bytes]:
        """The Arrow stream. What goes wrong under way is said in its last batch: the status is out already."""
        arrow = ArrowPieces(schema)
        batches = iter(self._stream)

        def following() -> bytes | None:
            batch = next(batches, None)
            return None if batch is None else arrow.batch(batch)

        said: dict[str, Any] = {}
        try:
            while (piece := await self.step(following)) is not None:
                yield piece
            self.ended(None)
        except (QueryError, QueryTimeoutError) as error:
            self.ended(error)
            said = {"status": 504 if isinstance(error, QueryTimeoutError) else 400, "error": str(error)}
            if self._pending is not None:
                return  # the thread still writes: no last batch, and the reader sees a stream that was cut off
        stream = self._stream
        said |= {"truncated": stream.truncated, "rows": stream.rows, "elapsed_ms": round(stream.elapsed_ms, 1)}
        yield arrow.end(said)


class ArrowResponse(Response):
    """Sends the pieces, and drops a reader that takes longer than the query may."""

    def __init__(self, run: Run, schema: pa.Schema, deadline: float) -> None:
        super().__init__(media_type=ARROW, headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._run, self._schema, self._deadline = run, schema, deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        run = self._run
        try:
            async with asyncio.timeout(max(0.1, self._deadline - time.monotonic())):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                async for piece in run.pieces(self._schema):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (QueryCancelledError, TimeoutError, OSError) as error:
            run.ended(TimeoutError() if isinstance(error, OSError) else error)  # nobody is left to tell
        except BaseException as error:
            run.ended(error)
            raise
        finally:
            run.leave()


def install(
    app: FastAPI,
    database: Database,
    registry: CollectorRegistry,
    reading: Any,
    catch_up: Callable[[], Awaitable[None]],
) -> None:
    """Add the route. `reading` is the dependency that checks the scope; `catch_up` counts what is stored and not counted."""
    line = Line(registry)

    @app.post("/api/v1/query", tags=["sql"], dependencies=[reading])
    async def query(body: QueryRequest, request: Request) -> Response:
        """Read-only SQL. Arrow, as a stream, when the Accept header asks for it; JSON otherwise."""
        arrow = ARROW in request.headers.get("accept", "")
        if not arrow and body.limit > MAX_ROWS:
            raise HTTPException(422, f"limit: a JSON answer holds at most {MAX_ROWS} rows; ask for {ARROW}")
        try:
            await catch_up()  # whoever asks after an acknowledgement sees what was acknowledged, in every view
            await line.take()
        except BusyError as error:
            answer = problem.problem(503, "busy", str(error))
            answer.headers["retry-after"] = str(error.retry_after_seconds)
            return answer
        seconds = body.timeout_seconds
        stream = QueryStream(
            database,
            body.sql,
            body.params,
            limit=body.limit,
            max_bytes=MAX_STREAM_BYTES if arrow else MAX_BYTES,
            timeout_seconds=seconds,
        )
        run = Run(line, stream, request, seconds)
        try:
            if arrow:
                schema = await run.step(stream.open)
                return ArrowResponse(run, schema, time.monotonic() + seconds + 2 * GRACE_SECONDS)
            answered = await run.step(lambda: as_rows(collect(stream)))
        except BaseException as error:
            run.ended(error)
            run.leave()
            if isinstance(error, QueryCancelledError):
                return Response(status_code=499)  # nobody reads it
            if isinstance(error, StoreError | asyncio.CancelledError):
                raise
            raise QueryError(f"the result cannot be passed on: {error}") from error
        run.ended(None)
        run.leave()
        return answered


async def _disconnected(request: Request) -> None:
    """Ends when the client has gone. The body was read before, so nothing else is lost here."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
