"""Queues for export, and the thread that empties them: in order, bounded, into memory first and then onto disk.

Spans and logs are encoded when they are queued and wait as bytes. Metrics wait as batches that merge when there are too
many, so that an outage costs time resolution but no count. While sending fails and there is a place on disk, what waits
goes into the spool; afterwards the spool is sent first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from plugwarden.settings import Settings

from .aggregate import MetricBatch
from .logs import LogEntry
from .sampling import Kept

if TYPE_CHECKING:
    from plugwarden.operation import Operation

    from .outlet import Outlet
    from .spool import Spool, Spooled

__all__ = ["Dispatch"]

MAX_PENDING_METRICS = 120
"""Unsent intervals kept apart; beyond it the oldest are merged into one, losing time resolution but no count."""
MAX_PENDING_BYTES = 16 * 1024 * 1024
"""Encoded spans and logs waiting in memory, some 80,000 spans; beyond it the oldest go to the spool, or are dropped."""
FAILURES_BEFORE_SPOOLING = 2
"""One refusal may be a collector that restarts; from the second on, what waits is put on disk."""
_BACKOFF_FIRST_SECONDS, _BACKOFF_MAX_SECONDS = 0.25, 5.0

_log = logging.getLogger(__name__)


class _Request(NamedTuple):
    """One encoded request."""

    signal: str
    items: int
    data: Any
    size: int


class Dispatch:
    """Everything that waits to be sent. `put_*` may be called from any thread; `run` is the export thread."""

    def __init__(
        self,
        settings: Settings,
        operations: Callable[[], Collection[Operation]],
        count_drop: Callable[[str, str, int], None],
    ) -> None:
        self._settings = settings
        self._operations = operations
        self._count_drop = count_drop
        self._outlet: Outlet | None = None
        self._spool: Spool | None = None
        self._spool_used = True  # until a look shows that nothing was left behind
        self._lock = threading.Lock()
        self._outlet_lock = threading.Lock()
        self._metrics: deque[MetricBatch] = deque()
        self._requests: deque[_Request] = deque()
        self._bytes = 0
        self._head: _Request | None = None
        """What was sent and not yet taken: it is repeated unchanged, so that the collector can tell."""
        self._sending = False
        self._failures = 0
        self._wake = threading.Event()
        self._idle = threading.Condition(self._lock)
        self._stopping = False
        self._ending = threading.Event()
        self._overhead_seconds = 0.0

    @property
    def pending(self) -> bool:
        """Whether anything waits in memory."""
        return bool(self._sending or self._head or self._metrics or self._requests)

    def put_spans(self, kept: Sequence[Kept], clock_offset_ns: int) -> None:
        """Queue spans."""
        self._put("spans", len(kept), lambda outlet: outlet.encode_spans(kept, clock_offset_ns))

    def put_logs(self, entries: Sequence[LogEntry]) -> None:
        """Queue log records."""
        self._put("logs", len(entries), lambda outlet: outlet.encode_logs(entries))

    def put_metrics(self, batch: MetricBatch) -> None:
        """Queue one interval's metrics."""
        with self._lock:
            self._metrics.append(batch)
            while len(self._metrics) > MAX_PENDING_METRICS:
                oldest = self._metrics.popleft()
                oldest.merge(self._metrics.popleft())
                self._metrics.appendleft(oldest)
        self._wake.set()

    def take_overhead(self) -> float:
        """CPU seconds the export thread used since the last call."""
        seconds, self._overhead_seconds = self._overhead_seconds, 0.0
        return seconds

    def wait(self, timeout: float) -> bool:
        """Until all that waits is sent, on disk too; False when `timeout` seconds were not enough."""
        self._wake.set()
        with self._idle:
            return self._idle.wait_for(lambda: not self.pending and not self._spool_used, timeout)

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stopping = True
        self._ending.set()
        self._wake.set()

    def shutdown(self, *, still_sending: bool) -> None:
        """Put what is left on disk and let go of connections.

        With `still_sending` the thread hangs in a request that nothing can end; that one is put on disk as well, and
        the collector tells the repeat by its bytes.
        """
        try:
            if self.pending:
                self._spill(everything=True)
        except Exception:  # noqa: BLE001 - the host is closing, and must not hear of it
            _log.debug("what was left could not be stored", exc_info=True)
        if still_sending:
            return  # the connection and the file are its own until the process ends
        if self._spool is not None:
            self._spool.close()
        if self._outlet is not None:
            self._outlet.shutdown()
            self._outlet = None

    def run(self) -> None:
        """The export thread."""
        backoff = _BACKOFF_FIRST_SECONDS
        while True:
            if not self._wake.wait(1.0) and not self.pending:
                if self._stopping:
                    return
                continue
            self._wake.clear()
            spent = time.thread_time()
            sent = False
            try:
                sent = self._send_all()
                if not sent:
                    self._failures += 1
                    if self._failures >= FAILURES_BEFORE_SPOOLING:
                        self._spill(everything=False)
            except Exception:  # noqa: BLE001 - whatever an exporter does, the data stays here and is tried again
                self._count_drop("internal", "export_fault", 1)
                _log.debug("export failed", exc_info=True)
            self._overhead_seconds += time.thread_time() - spent
            with self._idle:
                self._sending = False
                self._idle.notify_all()
            if self._stopping:
                return
            if sent:
                backoff, self._failures = _BACKOFF_FIRST_SECONDS, 0
                continue
            self._ending.wait(backoff)
            backoff = min(backoff * 2, _BACKOFF_MAX_SECONDS)
            self._wake.set()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _put(self, signal: str, items: int, encode: Callable[[Outlet], Any]) -> None:
        try:
            data = encode(self._get_outlet())
        except Exception:  # noqa: BLE001 - what cannot be encoded never will be, and must not hold up the rest
            self._count_drop(signal, "encode_fault", items)
            _log.debug("a batch of %s could not be encoded", signal, exc_info=True)
            return
        size = len(data) if isinstance(data, bytes) else 500 * items
        with self._lock:
            self._requests.append(_Request(signal, items, data, size))
            self._bytes += size
            surplus = []
            while self._bytes > MAX_PENDING_BYTES and len(self._requests) > 1:
                oldest = self._requests.popleft()
                self._bytes -= oldest.size
                surplus.append(oldest)
        for request in surplus:
            self._count_drop(request.signal, "queue_full", request.items)
        self._wake.set()

    def _send_all(self) -> bool:
        """Send until nothing is left; False at the first refusal."""
        outlet = self._get_outlet()
        while True:
            spooled = self._oldest_spooled()
            if spooled is not None:
                if not self._sent(outlet, spooled.signal, spooled.items, spooled.data):
                    return False
                assert self._spool is not None  # noqa: S101 - it came from there
                self._spool.remove(spooled)
                continue
            with self._lock:
                self._sending = True
                if self._head is None:
                    self._head = self._next(outlet)
            if self._head is None:
                return True
            if not self._sent(outlet, self._head.signal, self._head.items, self._head.data):
                return False
            self._head = None

    def _next(self, outlet: Outlet) -> _Request | None:
        """Metrics first: they are the count, and what alerts are made of. Needs the lock."""
        while self._metrics:
            gauges = len(self._metrics) == 1  # gauges say how it is now: the newest batch has them
            batch = self._metrics.popleft()
            try:
                data = outlet.encode_metrics(batch, self._operations(), gauges=gauges)
            except Exception:  # noqa: BLE001 - as for the others
                self._count_drop("metrics", "encode_fault", len(batch.cells))
                _log.debug("metrics could not be encoded", exc_info=True)
                continue
            if data:
                return _Request("metrics", len(batch.cells), data, 0)
        if self._requests:
            request = self._requests.popleft()
            self._bytes -= request.size
            return request
        return None

    def _sent(self, outlet: Outlet, signal: str, items: int, data: Any) -> bool:
        """Whether a request is dealt with: taken, or refused for good, which is counted and must not hold up the rest."""
        from .outlet import Verdict

        try:
            verdict = outlet.send(signal, data)
        except Exception:  # noqa: BLE001 - an exporter that cannot take something never will
            self._count_drop(signal, "export_fault", items)
            _log.debug("a request of %s could not be sent", signal, exc_info=True)
            return True
        if verdict is Verdict.REFUSED:
            self._count_drop(signal, "refused", items)
        return verdict is not Verdict.RETRY

    def _oldest_spooled(self) -> Spooled | None:
        if not self._spool_used:
            return None
        spool = self._get_spool()
        found = None if spool is None else spool.oldest()
        self._spool_used = found is not None
        return found

    def _spill(self, *, everything: bool) -> None:
        """Move what waits from memory to disk, the request that is being repeated first."""
        spool = self._get_spool()
        outlet = self._get_outlet()
        while True:
            with self._lock:
                if self._head is None:
                    self._head = self._next(outlet)
            head = self._head
            if head is None:
                return
            if spool is None:
                if not everything:
                    return  # it stays in memory, bounded there
                stored, made_room = False, dict[str, int]()
            else:
                stored, made_room = spool.put(head.signal, head.items, head.data)
                self._spool_used = True
            for signal, items in made_room.items():
                self._count_drop(signal, "spool_full", items)
            if not stored:
                if head.signal == "metrics" and not everything:
                    return  # metrics wait in memory, where they merge
                self._count_drop(head.signal, "spool_full" if spool is not None else "closed", head.items)
            self._head = None

    def _get_outlet(self) -> Outlet:
        with self._outlet_lock:
            if self._outlet is None:
                from .outlet import make_outlet
                from .resource import make_resource

                self._outlet = make_outlet(self._settings, make_resource(self._settings), self._count_drop)
            return self._outlet

    def _get_spool(self) -> Spool | None:
        if self._spool is None and self._settings.state_dir is not None and self._settings.spool_bytes:
            if not self._get_outlet().spoolable:
                return None
            from .spool import Spool

            self._spool = Spool(self._settings.state_dir / "spool", self._settings.spool_bytes)
        return self._spool
