"""`POST /api/v1/query`: admission, streaming, and the end of queries whose time, memory or reader is gone.

Annotations in this module are not postponed: FastAPI must see the dependency, which is a local name.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pyarrow as pa
from fastapi import HTTPException, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from plugwarden_collector.api.described import Routes, problems, sends
from plugwarden_collector.api.models import QueryAnswer, QueryRequest
from plugwarden_collector.api.parts import Parts, peer
from plugwarden_collector.api.query_seats import Line, hurried, stopping
from plugwarden_collector.api.render import json_answer, last_piece
from plugwarden_collector.errors import BusyError, QueryCancelledError, QueryError, QueryTimeoutError, StoreError
from plugwarden_collector.store.pieces import MAX_BYTES, MAX_ROWS, MAX_STREAM_BYTES
from plugwarden_collector.store.telemetry import Query, RunningQuery
from plugwarden_collector.web.http_protocol import HANG_UP

__all__ = ["ARROW", "query_routes"]

ARROW = "application/vnd.apache.arrow.stream"
CLOSING_SECONDS = 0.3
"""When the collector stops: for the last batch of a stream to reach a reader who takes it."""
GRACE_SECONDS = 1.0
"""A step inside DuckDB that hears no interrupt for so long after the limit keeps its seat, and its caller gets an answer."""


T = TypeVar("T")


class Run:
    """A query in its seat, from admission to the last byte. Each step runs in a thread; leaving it early interrupts it."""

    def __init__(
        self, line: Line, caller: str | None, stream: RunningQuery, request: Request, timeout_seconds: float
    ) -> None:
        self._line, self._caller, self._stream = line, caller, stream
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
        any_of: set[asyncio.Future[Any]] = {future, self._gone, self._line.closed}
        await asyncio.wait(any_of, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            self._pending = None
            return future.result()
        if self._gone.done():
            raise QueryCancelledError("the reader has gone")
        if self._line.closed.done():
            raise stopping()
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
        elif isinstance(error, BusyError):
            result = "busy"
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
            closed.add_done_callback(lambda _: self._line.give(self._caller, time.monotonic() - self._began))

        if pending is None:
            close()
        else:
            self._stream.cancel()
            pending.add_done_callback(close)

    async def pieces(self, schema: pa.Schema) -> AsyncIterator[bytes]:
        """The Arrow stream. What goes wrong under way is said in its last batch: the status is out already."""
        pieces = iter(self._stream)
        said: dict[str, Any] = {}
        yield self._stream.begin
        try:
            while (piece := await self.step(lambda: next(pieces, None))) is not None:
                yield piece.data
            self.ended(None)
        except (QueryError, QueryTimeoutError, BusyError) as error:
            self.ended(error)
            status = 504 if isinstance(error, QueryTimeoutError) else 503 if isinstance(error, BusyError) else 400
            said = {"status": status, "error": str(error)}
            if self._pending is not None:
                return  # the thread still writes: no last batch, and the reader sees a stream that was cut off
        stream = self._stream
        said |= {"truncated": stream.truncated, "rows": stream.rows, "elapsed_ms": round(stream.elapsed_ms, 1)}
        yield last_piece(schema, said)


class ArrowResponse(Response):
    """Sends the pieces, and drops a reader that takes longer than the query may."""

    def __init__(self, run: Run, schema: pa.Schema, deadline: float, closed: asyncio.Future[None]) -> None:
        super().__init__(media_type=ARROW, headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._run, self._schema, self._deadline, self._closed = run, schema, deadline, closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        run = self._run
        try:
            left = max(0.1, self._deadline - time.monotonic())
            async with asyncio.timeout(left) as limit, hurried(limit, self._closed, CLOSING_SECONDS):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                async for piece in run.pieces(self._schema):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (QueryCancelledError, TimeoutError, OSError) as error:
            run.ended(TimeoutError() if isinstance(error, OSError) else error)  # nobody is left to tell
            if HANG_UP in scope:
                scope[HANG_UP]()
                while (await receive())["type"] != "http.disconnect":
                    pass
        except BaseException as error:
            run.ended(error)
            raise
        finally:
            run.leave()


def query_routes(parts: Parts) -> Routes:
    """Return /api/v1/query. What runs, waits or streams ends once the board is closed."""
    routes = Routes(tags=["sql"], dependencies=[parts.needs("read")])
    closed = parts.board.closed
    line = Line(parts.registry, closed, parts.telemetry.queries.ended)

    @routes.post("/api/v1/query", response_model=QueryAnswer, responses={**sends(ARROW), **problems(400, 429, 504)})
    async def query(body: QueryRequest, request: Request) -> Response:
        """Read-only SQL. Arrow, as a stream, when the Accept header asks for it; JSON otherwise."""
        parts.access.sql(request.state.principal.name, peer(request), body.sql)
        arrow = ARROW in request.headers.get("accept", "")
        if not arrow and body.limit > MAX_ROWS:
            raise HTTPException(422, f"limit: a JSON answer holds at most {MAX_ROWS} rows; ask for {ARROW}")
        await parts.catch_up()  # whoever asks after an acknowledgement sees what was acknowledged, in every view
        caller = parts.tokens.caller(request.state.principal, peer(request))
        await line.take(caller)
        seconds = body.timeout_seconds
        form, most = ("arrow", MAX_STREAM_BYTES) if arrow else ("json", MAX_BYTES)
        stream = parts.telemetry.queries.start(Query(body.sql, body.params, form, body.limit, most, seconds))
        run = Run(line, caller, stream, request, seconds)
        try:
            if arrow:
                schema = await run.step(stream.open)
                return ArrowResponse(run, schema, time.monotonic() + seconds + 2 * GRACE_SECONDS, closed)
            answered = await run.step(lambda: json_answer(stream))
        except BaseException as error:
            run.ended(error)
            run.leave()
            if isinstance(error, QueryCancelledError):
                return Response(status_code=499)  # nobody reads it
            if isinstance(error, StoreError | BusyError | asyncio.CancelledError):
                raise
            raise QueryError(f"the result cannot be passed on: {error}") from error
        run.ended(None)
        run.leave()
        return answered

    return routes


async def _disconnected(request: Request) -> None:
    """Ends when the client has gone. The body was read before, so nothing else is lost here."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
