"""The receiver without a network: requests go to the ASGI application, rows into a real file; and what must hold of every answer."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from plugwarden_collector.control.observe import observe
from plugwarden_collector.errors import UnreadableTelemetryError
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.receive.http import otlp_app
from plugwarden_collector.receive.intake import Intake, Receipt, Unpack
from plugwarden_collector.rules.file import DEFAULT_RULES, Rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.store import Database, Writer, telemetry_of
from plugwarden_collector.store.telemetry import Ingest
from plugwarden_collector.web.auth import TokenBook

from .fuzz_inputs import JSON, TOKENS, Input
from .otlp_client import PROTOBUF, SIGNALS, VIEWS

__all__ = ["LATE", "Outcome", "Receiver", "fault", "kept"]

LATE = "it was not on disk in time"
"""What `fault` finds at a request that was too late: of one that is sent again, alone, it is a fault."""

_RULES = Rules(
    (*DEFAULT_RULES.objectives, Objective("fast", Sli.LATENCY, 0.9, 86400.0, threshold_seconds=0.1)),
    DEFAULT_RULES.policy,
)

STATUSES = {200, 204, 400, 401, 403, 404, 405, 413, 415, 503}
_PART_BYTES = 64 * 1024


@dataclass
class Outcome:
    """What became of one input."""

    status: int = 0
    headers: dict[bytes, bytes] | None = None
    body: bytes = b""
    receipt: Receipt | None = None
    error: BaseException | None = None
    """What escaped the application: a server would have answered 500."""
    cause: BaseException | None = None
    """What went wrong in the decoder, behind a polite 400."""


_current: ContextVar[Outcome] = ContextVar("outcome")


class _Counted:
    """A store that tells how many requests wait for it."""

    def __init__(self, ingest: Ingest, intake: _Watched) -> None:
        self._ingest, self._intake = ingest, intake

    def append(self, *arguments: Any) -> Any:
        done = self._ingest.append(*arguments)
        self._intake.waiting.append(arguments[0])
        return done


class _Watched(Intake):
    def __init__(self, ingest: Ingest) -> None:
        self.waiting: list[int] = []
        """Requests that are decoded and wait for their commit; several threads add to it."""
        super().__init__(_Counted(ingest, self))  # type: ignore[arg-type]

    async def take(self, signal: Signal, body: bytes, unpack: Unpack | None = None) -> Receipt:
        try:
            receipt = await super().take(signal, body, unpack)
        except UnreadableTelemetryError as error:
            _current.get().cause = error.__cause__
            raise
        _current.get().receipt = receipt
        return receipt


class Receiver:
    """Application, writer and file. One event loop runs it: the one that it is made on."""

    @classmethod
    async def opened(cls, folder: Path) -> Receiver:
        """One on the loop that runs."""
        return cls(folder)

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self.database = Database(folder)
        self._stack.callback(self.database.close)
        self._writer = Writer(self.database)
        self._stack.callback(self._writer.close, 30)
        self._telemetry = telemetry_of(self.database, self._writer)
        self.intake = _Watched(self._telemetry.ingest)
        self._open = otlp_app(self.intake, TokenBook(()))
        sender, reader = ("sender", frozenset({"ingest"}), TOKENS[0]), ("reader", frozenset({"read"}), TOKENS[1])
        self._guarded = otlp_app(self.intake, TokenBook((sender, reader)))
        self._rows = 0

    def close(self) -> None:
        """Stop the writer and close the file."""
        self._stack.close()

    async def answers(self, inputs: Iterable[Input]) -> list[Outcome]:
        """Send all at once. The writer is held until all are decoded, so that they share one commit."""
        release = Event()
        self._writer.run(lambda connection: release.wait(60))
        try:
            tasks = [asyncio.create_task(self._answer(item)) for item in inputs]
            self.intake.waiting.clear()
            while sum(task.done() for task in tasks) + len(self.intake.waiting) < len(tasks):
                await asyncio.sleep(0.001)
        finally:
            release.set()
        return await asyncio.gather(*tasks)

    async def _answer(self, item: Input) -> Outcome:
        outcome = Outcome()
        _current.set(outcome)
        parts = [item.body[at : at + _PART_BYTES] for at in range(0, len(item.body), _PART_BYTES)] or [b""]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(event: dict[str, Any]) -> None:
            if event["type"] == "http.response.start":
                outcome.status, outcome.headers = event["status"], dict(event["headers"])
            else:
                outcome.body += event.get("body", b"")

        scope = {"type": "http", "method": item.method, "path": item.path, "headers": list(item.headers)}
        try:
            async with asyncio.timeout(60):
                # Who shows a token meets a collector that has some.
                app = self._guarded if any(name == b"authorization" for name, _ in item.headers) else self._open
                await app(scope, receive, send)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
                raise
            outcome.error = error
        return outcome

    def judged(self) -> str | None:
        """What goes wrong when what came in is counted and judged; None when all is well."""
        at = datetime.now(UTC).replace(tzinfo=None)
        for moment in (at, at + timedelta(minutes=5)):
            try:
                self._writer.roll_up(moment).result(60)
                seen = observe(self._telemetry.judging, _RULES, moment, since=moment - timedelta(days=1), budgets=True)
            except Exception as error:
                return f"judging ended: {type(error).__name__}: {error}"
            windows = [counts for of in seen.windows.values() for sizes in of.values() for counts in sizes.values()]
            budgets = [counts for of in (seen.periods or {}).values() for counts in of.values()]
            wrong = [counts for counts in windows + budgets if not 0 <= counts.failed + counts.slow <= counts.total]
            if wrong:
                return f"more is bad than there is: {wrong[0]}"
        return None

    def stored(self) -> int:
        """Spans, points and records that were not there when last asked."""
        before = self._rows
        with self.database.reading() as cursor:
            counts = [cursor.execute(f"select count(*) from {view}").fetchone() for view in VIEWS.values()]
        self._rows = sum(count[0] for count in counts if count)
        return self._rows - before


def fault(item: Input, outcome: Outcome, *, strict: bool = False) -> str | None:
    """What is wrong with one answer; None when it is as it must be.

    `strict` also minds a decoder that failed in a way nobody foresaw: the client has its polite 400, we have a fault.
    """
    if outcome.error is not None:
        return f"{type(outcome.error).__name__} escaped: {outcome.error}"
    if outcome.status not in STATUSES or outcome.headers is None:
        return f"status {outcome.status}"
    if outcome.status == 204:
        return None
    kind = PROTOBUF if item.kind == PROTOBUF else JSON
    if outcome.headers.get(b"content-type") != kind.encode():
        return f"the answer is in {outcome.headers.get(b'content-type')!r} and not in {kind}"
    signal = item.path.rpartition("/")[2]
    found: Any = SIGNALS[signal][2]() if outcome.status == 200 else status_pb2.Status()
    try:
        found.ParseFromString(outcome.body) if kind == PROTOBUF else json_format.Parse(outcome.body, found)
    except (DecodeError, json_format.ParseError) as error:
        return f"the answer's body cannot be read: {error}"
    if outcome.status != 200:
        if (b"retry-after" in outcome.headers) != (outcome.status == 503):
            return "Retry-After belongs to 503 and to nothing else"
        if "the store did not take it" in found.message:
            return "a request that the store can never take is answered with 503"
        if LATE in found.message:
            return LATE
        return _place(outcome.cause) if strict and outcome.cause is not None else None
    if outcome.receipt is None:
        return "200 and no receipt"
    partial = found.partial_success
    rejected = getattr(partial, partial.DESCRIPTOR.fields[0].name)
    if rejected != outcome.receipt.rejected or bool(rejected) != bool(partial.error_message):
        return f"{rejected} rejected in the answer ({partial.error_message!r}), {outcome.receipt.rejected} in truth"
    if kind == PROTOBUF and not any(name == b"content-encoding" and value for name, value in item.headers):
        sent = _leaves(signal, item.body)
        if sent is not None and sent != outcome.receipt.accepted + outcome.receipt.rejected:
            return f"{sent} sent, {outcome.receipt.accepted} accepted and {outcome.receipt.rejected} rejected"
    return None


def _place(error: BaseException) -> str:
    """An error and where in our own code it came up."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "plugwarden_collector" in frame.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "elsewhere"
    return f"the decoder failed at {where}: {type(error).__name__}: {error}"


def kept(outcomes: Sequence[Outcome]) -> int:
    """How many rows the answers have promised."""
    return sum(
        outcome.receipt.accepted
        for outcome in outcomes
        if outcome.status == 200 and outcome.receipt is not None and not outcome.receipt.repeated
    )


def _leaves(signal: str, body: bytes) -> int | None:
    """Spans, points or records in it as protobuf's own parser sees them; None where it refuses."""
    try:
        message = SIGNALS[signal][1].FromString(body)
    except DecodeError:
        return None
    if signal == "traces":
        return sum(len(scope.spans) for group in message.resource_spans for scope in group.scope_spans)
    if signal == "logs":
        return sum(len(scope.log_records) for group in message.resource_logs for scope in group.scope_logs)
    metrics = [m for group in message.resource_metrics for scope in group.scope_metrics for m in scope.metrics]
    kinds = [(metric, metric.WhichOneof("data")) for metric in metrics]
    return sum(len(getattr(metric, kind).data_points) for metric, kind in kinds if kind)
