"""From request bytes to an acknowledged commit: what the gRPC and the HTTP receiver share."""

from __future__ import annotations

import asyncio
import hashlib
import time
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from plugwarden_collector.errors import MalformedTelemetryError, PayloadTooLargeError
from plugwarden_collector.store import Writer

from .decode import Batch, Signal, read
from .identity import DEFAULT_IDENTITY, Identity

__all__ = ["MAX_BODY_BYTES", "Intake", "Receipt", "inflate"]

MAX_BODY_BYTES = 20 * 1024 * 1024
"""Before and after decompression. OTLP recommends 20 MiB for HTTP; gRPC's own default is 4 MiB."""
COMMIT_TIMEOUT_SECONDS = 30.0


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
        self.on_read: Callable[[Batch], None] = lambda batch: None
        """Told of every request that could be read, before it is stored."""
        self.on_taken: Callable[[Batch, float], None] = lambda batch, seconds: None
        """Told of every request that was taken, and how many seconds after it came in its rows were on disk."""
        # Of its own, so that people's long queries cannot keep telemetry waiting.
        self._threads = ThreadPoolExecutor(2, "plugwarden-decode")

    async def take(self, signal: Signal, body: bytes) -> Receipt:
        """Store one request; returns when it is on disk. Raises `MalformedTelemetryError`, `BusyError`, `StoreError`."""
        began = time.monotonic()
        batch = await asyncio.get_running_loop().run_in_executor(self._threads, self._read, signal, body)
        self.received_at = time.time()
        self.on_read(batch)
        stored = True
        if batch.accepted:
            digest = hashlib.blake2b(body, digest_size=8, person=signal.encode()[:16]).digest()
            done = self._writer.submit(int.from_bytes(digest, "big"), batch.tables, batch.nbytes)
            async with asyncio.timeout(COMMIT_TIMEOUT_SECONDS):
                stored = await asyncio.shield(asyncio.wrap_future(done))
        if stored:
            self.items[signal.value, "accepted"] += batch.accepted
        self.items[signal.value, "rejected"] += batch.rejected
        self.items[signal.value, "clock_adjusted"] += batch.adjusted if stored else 0
        self.on_taken(batch, time.monotonic() - began)
        return Receipt(batch.accepted, batch.rejected, batch.reason, not stored)

    def _read(self, signal: Signal, body: bytes) -> Batch:
        return read(signal, body, identity=self._identity)


def inflate(body: bytes, encoding: str, limit: int = MAX_BODY_BYTES) -> bytes:
    """Undo a content encoding, stopping at the limit: a bomb costs no more than an honest request of that size."""
    if encoding in {"", "identity", "none"}:
        return body
    if encoding not in {"gzip", "deflate"}:
        raise MalformedTelemetryError(f"content-encoding {encoding!r} is not supported; use gzip or none")
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip and zlib, by their header
    try:
        data = decoder.decompress(body, limit + 1)
    except zlib.error as error:
        raise MalformedTelemetryError(f"not {encoding}: {error}") from error
    if len(data) > limit:
        raise PayloadTooLargeError(f"larger than {limit} bytes when decompressed")
    if not decoder.eof:
        raise MalformedTelemetryError(f"the {encoding} data end too early")
    return data
