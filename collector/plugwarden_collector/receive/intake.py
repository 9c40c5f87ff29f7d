"""From request bytes to an acknowledged commit: what the gRPC and the HTTP receiver share."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from plugwarden_collector.errors import (
    BusyError,
    CollectorError,
    StoreError,
    UnreadableTelemetryError,
    UnstorableError,
)
from plugwarden_collector.receive.decode.half_pairs import InPart
from plugwarden_collector.receive.decode.identity import DEFAULT_IDENTITY, Identity
from plugwarden_collector.receive.decode.requests import Batch, Signal, read, read_many, reads_many
from plugwarden_collector.store.telemetry import Ingest
from plugwarden_collector.web.byte_budget import Allowance

from .lane import MAX_DECODERS, Lane
from .mailbox import Mailbox
from .slow import SLOW_SECONDS, SlowRequests

__all__ = ["Intake", "Receipt", "Unpack"]

TAKE_TIMEOUT_SECONDS = 30.0
"""From a request's bytes being there to its rows being on disk; after it the sender is told to come back."""

MAX_UNPACKED_BYTES = 8 * 1024 * 1024
"""Unpacked bytes of requests that are decoded together: a lane bounds what they are as received, which may be a thousandth of it."""

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
    """Whether the same bytes had been stored before."""


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One that is in hand."""

    signal: Signal
    body: bytes
    unpack: Unpack | None
    began: float
    told: asyncio.Future[Receipt]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of it."""

    request: _Request
    found: Batch | Exception
    stored: bool = True
    """False where the same bytes had been stored before."""


class Intake:
    """Decodes in a thread, queues at the store, waits until it is on disk. Made on the event loop that it then belongs to.

    A request meets the loop twice: when it has come in, and when it is on disk. In between it goes from thread to thread.
    """

    def __init__(
        self, ingest: Ingest, identity: Identity = DEFAULT_IDENTITY, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._ingest = ingest
        self._identity = identity
        self._now_ns = now_ns
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """(signal, transport, result) -> requests."""
        self.items: Counter[tuple[str, str]] = Counter()
        """(signal, `accepted` or `rejected`) -> spans, points or records."""
        self.received_at = time.monotonic()
        """When anything last came in, in monotonic time; before that, when we began."""
        self.on_stranger: Callable[[str, str, str], None] = lambda peer, where, why: None
        """Told of each request without the right token: address, transport and signal, what is wrong."""
        self.on_read: Callable[[Sequence[Batch]], None] = lambda batches: None
        """Told, in a decode thread, of all requests that could be read, before they are stored."""
        self.on_taken: Callable[[Sequence[tuple[Batch, float]]], None] = lambda taken: None
        """Told, on the loop, of all requests that were taken, and how many seconds after they came in they were on disk."""
        self.allowance = Allowance()
        """Both receivers account here for the bytes of the requests they hold."""
        self._failed_with: set[str] = set()
        self._slow: SlowRequests[tuple[int, str], Batch | Exception] = SlowRequests()
        self._lanes: dict[Signal, Lane[_Request]] = {signal: Lane() for signal in Signal}
        self._in_hand = 0
        self._loop = asyncio.get_running_loop()
        self._mailbox: Mailbox[_Outcome] = Mailbox(self._loop, self._deliver)
        # Of its own, so that people's long queries cannot keep telemetry waiting.
        self._threads = ThreadPoolExecutor(MAX_DECODERS, "plugwarden-decode")

    async def take(self, signal: Signal, body: bytes, unpack: Unpack | None = None) -> Receipt:
        """Store one request; returns when it is on disk. Raises `MalformedTelemetryError`, `BusyError`, `StoreError`."""
        began = time.monotonic()
        told: asyncio.Future[Receipt] = self._loop.create_future()
        lane = self._lanes[signal]
        request = _Request(signal, body, unpack, began, told)
        lane.put(request)
        self._in_hand += 1
        try:
            wait = lane.due(began, self._in_hand)
            if wait == 0.0:
                self._threads.submit(self._decode_some, lane)
            elif wait is not None:
                self._loop.call_later(wait, self._keep_promise, lane)
            async with asyncio.timeout(TAKE_TIMEOUT_SECONDS):
                return await told
        except BaseException:
            lane.drop(request)
            raise
        finally:
            self._in_hand -= 1

    def count(self, signal: Signal, transport: str, result: str) -> None:
        """Count one request by what became of it."""
        self.requests[signal.value, transport, result] += 1

    def _keep_promise(self, lane: Lane[_Request]) -> None:
        if lane.keep_promise(time.monotonic()):
            self._threads.submit(self._decode_some, lane)

    def _decode_some(self, lane: Lane[_Request]) -> None:
        """What a decode thread does: decode some of what waits, pass it on to the store, and get in line again for the rest."""
        group = lane.take()
        try:
            if group:
                self._decode_group(group)
        except BaseException as error:  # noqa: BLE001 - whoever waits must be told
            _log.exception("a group of %d requests could not be passed on", len(group))
            for request in group:  # those that were told already do not hear it again
                self._mailbox.post(_Outcome(request, StoreError(f"could not be passed on ({type(error).__name__})")))
        finally:
            if lane.again():
                self._threads.submit(self._decode_some, lane)

    def _decode_group(self, group: Sequence[_Request]) -> None:
        group = [request for request in group if not self._slow or not self._told_before(request)]
        together = self._decode_together(group) if len(group) > 1 and reads_many(group[0].signal) else None
        if together is not None:
            self._pass_on(group, together)
            return
        for request in group:  # each on its way before the next: what one takes in memory, all together might not
            began = time.monotonic()
            try:
                batch, digest = self._decode(request.signal, request.body, request.unpack)
            except CollectorError as error:
                if not isinstance(error, BusyError) and time.monotonic() - began > SLOW_SECONDS:
                    self._slow.remember(_key(request), copy.copy(error))
                self._mailbox.post(_Outcome(request, error))
            else:
                self._pass_on([request], [(batch, digest)], slow=time.monotonic() - began > SLOW_SECONDS)

    def _told_before(self, request: _Request) -> bool:
        """Whether it was slow once, and is told what became of it then; it would be too late again."""
        found = self._slow.known(_key(request))
        if found is not None:
            # A copy of an error is without its traceback, in whose frames the request's bytes would live on.
            self._mailbox.post(_Outcome(request, copy.copy(found), stored=False))
        return found is not None

    def _pass_on(self, group: Sequence[_Request], decoded: Sequence[tuple[Batch, int]], *, slow: bool = False) -> None:
        try:
            self.on_read([batch for batch, _ in decoded])
        except Exception:  # noqa: BLE001 - whoever listens must not keep telemetry from being stored
            _log.exception("what was read could not be noted")
        for request, (batch, digest) in zip(group, decoded, strict=True):
            try:
                self._store(request, batch, digest, slow=slow)
            except CollectorError as error:
                self._mailbox.post(_Outcome(request, error))
            except BaseException as error:  # noqa: BLE001 - neither those behind it nor whoever sent it must wait for ever
                self._mailbox.post(_Outcome(request, self._unforeseen(error, request.signal, len(request.body))))

    def _store(self, request: _Request, batch: Batch, digest: int, *, slow: bool) -> None:
        if not batch.accepted:
            self._mailbox.post(_Outcome(request, batch))
            return

        def committed(done: Future[bool]) -> None:
            error = done.exception()
            if slow and (error is None or isinstance(error, UnstorableError)):
                self._slow.remember(_key(request), copy.copy(error) if error else replace(batch, tables={}, nbytes=0))
            if error is None:
                self._mailbox.post(_Outcome(request, batch, done.result()))
            else:
                self._mailbox.post(_Outcome(request, error if isinstance(error, Exception) else StoreError(str(error))))

        self._ingest.append(digest, batch.tables, batch.nbytes).add_done_callback(committed)

    def _deliver(self, outcomes: Sequence[_Outcome]) -> None:
        """Tell those who wait, on the loop."""
        now = time.monotonic()
        self.received_at = now
        taken = []
        for outcome in outcomes:
            request, batch, told = outcome.request, outcome.found, outcome.request.told
            if isinstance(batch, Exception):
                if not told.done():  # else its sender gave up
                    told.set_exception(batch)
                continue
            signal = request.signal.value
            if outcome.stored:
                self.items[signal, "accepted"] += batch.accepted
                self.items[signal, "clock_adjusted"] += batch.adjusted
            self.items[signal, "rejected"] += batch.rejected
            taken.append((batch, now - request.began))
            if not told.done():
                told.set_result(Receipt(batch.accepted, batch.rejected, batch.reason, not outcome.stored))
        if taken:
            self.on_taken(taken)

    def _decode_together(self, group: Sequence[_Request]) -> list[tuple[Batch, int]] | None:
        """None where each has to be read by itself: any is odd, or unpacked they are too much at once."""
        signal, bodies, size = group[0].signal, [], 0
        try:
            for item in group:
                bodies.append(item.body if item.unpack is None else item.unpack(item.body))
                size += len(bodies[-1])
                if isinstance(bodies[-1], InPart):
                    return None
                if size > MAX_UNPACKED_BYTES:
                    return None
            batches = read_many(signal, bodies, identity=self._identity, now_ns=self._now_ns())
        except BaseException:  # noqa: BLE001 - each by itself is told what is wrong with it
            return None
        if batches is None:
            return None
        return [(batch, _digest(signal, body)) for batch, body in zip(batches, bodies, strict=True)]

    def _decode(self, signal: Signal, body: bytes, unpack: Unpack | None) -> tuple[Batch, int]:
        """Rows, and the hash by which a repeat is known. Raises only what callers know."""
        try:
            if unpack is not None:
                body = unpack(body)
            batch = read(signal, body, identity=self._identity, now_ns=self._now_ns())
            if isinstance(body, InPart):
                reason = "; ".join(filter(None, (batch.reason, body.reason)))
                batch = replace(batch, rejected=batch.rejected + body.refused, reason=reason)
        except CollectorError:
            raise
        except BaseException as error:
            raise self._unforeseen(error, signal, len(body)) from error
        return batch, _digest(signal, body)

    def _unforeseen(self, error: BaseException, signal: Signal, nbytes: int) -> CollectorError:
        """What a sender is told of an error that its bytes led to and nobody foresaw: the same bytes would lead to it again."""
        if isinstance(error, MemoryError):
            return BusyError("not enough memory to decode this now", retry_after_seconds=5)
        kind = type(error).__name__
        # Once each: whoever sends such bytes may send many; `requests` counts them.
        if kind not in self._failed_with:
            self._failed_with.add(kind)
            _log.error("the decoder failed at a request of %d bytes of %s", nbytes, signal, exc_info=error)
        return UnreadableTelemetryError(f"cannot be decoded ({kind})")


def _key(request: _Request) -> tuple[int, str]:
    """Return what tells a request from others before it is unpacked: its bytes, and how they are to be unpacked."""
    return _digest(request.signal, request.body), repr(request.unpack)


def _digest(signal: Signal, body: bytes) -> int:
    digest = hashlib.blake2b(body, digest_size=8, person=signal.encode()[:16]).digest()
    return int.from_bytes(digest, "big")
