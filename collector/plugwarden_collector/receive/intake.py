"""From request bytes to an acknowledged commit: what the gRPC and the HTTP receiver share."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from plugwarden_collector.errors import BusyError, CollectorError, UnreadableTelemetryError
from plugwarden_collector.store import Writer

from .allowance import Allowance
from .decode import Batch, Signal, read, read_many
from .identity import DEFAULT_IDENTITY, Identity

__all__ = ["Intake", "Receipt", "Unpack"]

COMMIT_TIMEOUT_SECONDS = 30.0
MAX_TOGETHER = 32
"""Requests decoded at once: the fixed cost of one is then a thirtieth, and nobody waits long for the others."""
MAX_TOGETHER_BYTES = 4 * 1024 * 1024

Unpack = Callable[[bytes], bytes]
"""Body as received -> protobuf. Runs in a decode thread; raises `MalformedTelemetryError`, `PayloadTooLargeError`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one export request."""

    accepted: int
    rejected: int
    reason: str
    repeated: bool
    """The same bytes had been stored before."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request before it is decoded."""

    body: bytes
    unpack: Unpack | None
    decoded: asyncio.Future[tuple[Batch, int]]


class Intake:
    """Decodes in a thread, queues at the writer, waits for the commit."""

    def __init__(self, writer: Writer, identity: Identity = DEFAULT_IDENTITY) -> None:
        self._writer = writer
        self._identity = identity
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """(signal, transport, result) -> requests."""
        self.items: Counter[tuple[str, str]] = Counter()
        """(signal, `accepted` or `rejected`) -> spans, points or records."""
        self.received_at = 0.0
        self.on_read: Callable[[Batch], None] = lambda batch: None
        """Told of every request that could be read, before it is stored."""
        self.on_taken: Callable[[Batch, float], None] = lambda batch, seconds: None
        """Told of every request that was taken, and how many seconds after it came in its rows were on disk."""
        self.allowance = Allowance()
        """Both receivers account here for the bytes of the requests they hold."""
        self._failed_with: set[str] = set()
        # Of its own, so that people's long queries cannot keep telemetry waiting.
        self._threads = ThreadPoolExecutor(2, "plugwarden-decode")
        # Bounded by the allowance, which every request passes before it gets here.
        self._waiting: dict[Signal, deque[_Waiting]] = {signal: deque() for signal in Signal}

    async def take(self, signal: Signal, body: bytes, unpack: Unpack | None = None) -> Receipt:
        """Store one request; returns when it is on disk. Raises `MalformedTelemetryError`, `BusyError`, `StoreError`."""
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        decoded: asyncio.Future[tuple[Batch, int]] = loop.create_future()
        self._waiting[signal].append(_Waiting(body, unpack, decoded))
        self._threads.submit(self._decode_waiting, signal, loop)
        batch, digest = await decoded
        self.received_at = time.time()
        self.on_read(batch)
        stored = True
        if batch.accepted:
            done = self._writer.submit(digest, batch.tables, batch.nbytes)
            async with asyncio.timeout(COMMIT_TIMEOUT_SECONDS):
                stored = await asyncio.shield(asyncio.wrap_future(done))
        if stored:
            self.items[signal.value, "accepted"] += batch.accepted
        self.items[signal.value, "rejected"] += batch.rejected
        self.items[signal.value, "clock_adjusted"] += batch.adjusted if stored else 0
        self.on_taken(batch, time.monotonic() - began)
        return Receipt(batch.accepted, batch.rejected, batch.reason, not stored)

    def count(self, signal: Signal, transport: str, result: str) -> None:
        """Count one request by what became of it."""
        self.requests[signal.value, transport, result] += 1

    def _decode_waiting(self, signal: Signal, loop: asyncio.AbstractEventLoop) -> None:
        """What a decode thread does, once for each request that came in: decode what waits, several at once where that is
        cheaper. Whoever comes after finds less, or nothing."""
        group: list[_Waiting] = []
        most = MAX_TOGETHER if signal is Signal.METRICS else 1
        size = 0
        while len(group) < most and size < MAX_TOGETHER_BYTES:
            try:
                item = self._waiting[signal].popleft()
            except IndexError:
                break
            group.append(item)
            size += len(item.body)
        if not group:
            return
        outcomes = self._decode_together(signal, group)
        try:
            loop.call_soon_threadsafe(_settle, group, outcomes)
        except RuntimeError:
            pass  # the loop has ended, and with it whoever waited

    def _decode_together(self, signal: Signal, group: Sequence[_Waiting]) -> list[tuple[Batch, int] | CollectorError]:
        if len(group) > 1:
            try:
                bodies = [item.body if item.unpack is None else item.unpack(item.body) for item in group]
                batches = read_many(signal, bodies, identity=self._identity)
            except (CollectorError, MemoryError):
                batches = None
            if batches is not None:
                return [(batch, _digest(signal, body)) for batch, body in zip(batches, bodies, strict=True)]
        outcomes: list[tuple[Batch, int] | CollectorError] = []
        for item in group:
            try:
                outcomes.append(self._decode(signal, item.body, item.unpack))
            except CollectorError as error:
                outcomes.append(error)
        return outcomes

    def _decode(self, signal: Signal, body: bytes, unpack: Unpack | None) -> tuple[Batch, int]:
        """Rows, and the hash by which a repeat is known. Raises only what callers know."""
        try:
            if unpack is not None:
                body = unpack(body)
            batch = read(signal, body, identity=self._identity)
        except CollectorError:
            raise
        except MemoryError as error:
            raise BusyError("not enough memory to decode this now", retry_after_seconds=5) from error
        except BaseException as error:
            kind = type(error).__name__
            # Once each: whoever sends such bytes may send many; `requests` counts them.
            if kind not in self._failed_with:
                self._failed_with.add(kind)
                _log.error("the decoder failed at a request of %d bytes of %s", len(body), signal, exc_info=error)
            raise UnreadableTelemetryError(f"cannot be decoded ({kind})") from error
        return batch, _digest(signal, body)


def _settle(group: Sequence[_Waiting], outcomes: Sequence[tuple[Batch, int] | CollectorError]) -> None:
    for item, outcome in zip(group, outcomes, strict=True):
        if item.decoded.done():
            continue  # its sender gave up
        if isinstance(outcome, CollectorError):
            item.decoded.set_exception(outcome)
        else:
            item.decoded.set_result(outcome)


def _digest(signal: Signal, body: bytes) -> int:
    digest = hashlib.blake2b(body, digest_size=8, person=signal.encode()[:16]).digest()
    return int.from_bytes(digest, "big")
