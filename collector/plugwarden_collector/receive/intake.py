"""From request bytes to an acknowledged commit: what the gRPC and the HTTP receiver share."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from plugwarden_collector.errors import BusyError, CollectorError, UnreadableTelemetryError
from plugwarden_collector.store import Writer

from .allowance import Allowance
from .decode import Batch, Signal, read
from .identity import DEFAULT_IDENTITY, Identity

__all__ = ["Intake", "Receipt", "Unpack"]

COMMIT_TIMEOUT_SECONDS = 30.0

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
        self.allowance = Allowance()
        """Both receivers account here for the bytes of the requests they hold."""
        self._failed_with: set[str] = set()
        # Of its own, so that people's long queries cannot keep telemetry waiting.
        self._threads = ThreadPoolExecutor(2, "plugwarden-decode")

    async def take(self, signal: Signal, body: bytes, unpack: Unpack | None = None) -> Receipt:
        """Store one request; returns when it is on disk. Raises `MalformedTelemetryError`, `BusyError`, `StoreError`."""
        loop = asyncio.get_running_loop()
        batch, digest = await loop.run_in_executor(self._threads, self._decode, signal, body, unpack)
        self.received_at = time.time()
        stored = True
        if batch.accepted:
            done = self._writer.submit(digest, batch.tables, batch.nbytes)
            async with asyncio.timeout(COMMIT_TIMEOUT_SECONDS):
                stored = await asyncio.shield(asyncio.wrap_future(done))
        if stored:
            self.items[signal.value, "accepted"] += batch.accepted
        self.items[signal.value, "rejected"] += batch.rejected
        self.items[signal.value, "clock_adjusted"] += batch.adjusted if stored else 0
        return Receipt(batch.accepted, batch.rejected, batch.reason, not stored)

    def count(self, signal: Signal, transport: str, result: str) -> None:
        """Count one request by what became of it."""
        self.requests[signal.value, transport, result] += 1

    def _decode(self, signal: Signal, body: bytes, unpack: Unpack | None) -> tuple[Batch, int]:
        """What a decode thread does: rows, and the hash by which a repeat is known. Raises only what callers know."""
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
        digest = hashlib.blake2b(body, digest_size=8, person=signal.encode()[:16]).digest()
        return batch, int.from_bytes(digest, "big")
