"""Queues for export, and the thread that empties them: in order, bounded, into memory first and then onto disk.

All is encoded when it is queued and waits as bytes, so a repeat is the same to the byte. When too many requests of metrics
wait, no more are made: the interval goes on, so that an outage costs time resolution but no count. While sending fails and
there is a place on disk, what waits goes into the spool; afterwards the spool is sent first, and what ended processes left.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plugwarden.contract.value import value
from plugwarden.lifetime.fork import at_work
from plugwarden.settings import Settings

from .aggregate import MetricBatch
from .logs import LogEntry
from .sampling import Kept

if TYPE_CHECKING:
    from plugwarden.operation import Operation

    from .estate import Estate, Inherited
    from .journal import Journal
    from .outlet import Outlet
    from .spool import Spool, Spooled

__all__ = ["Dispatch"]

MAX_PENDING_METRICS = 120
"""Unsent intervals kept apart; beyond it the interval goes on until one is taken, losing time resolution but no count."""
MAX_PENDING_BYTES = 16 * 1024 * 1024
"""Encoded spans and logs waiting in memory, some 80,000 spans; beyond it the oldest go to the spool, or are dropped."""
FAILURES_BEFORE_SPOOLING = 2
"""One refusal may be a collector that restarts; from the second on, what waits is put on disk."""
MAX_STRIKES = 5
"""Sendings of a request that raised while others were taken; after so many it is the request's own fault."""
MAX_ASIDE = 8
"""Requests that raised and wait behind the others; beyond it the way is at fault, and all wait in order."""
LOOK_SECONDS = 5.0
"""How often a process looks for what others left; whoever flushes looks at once."""
_BACKOFF_FIRST_SECONDS, _BACKOFF_MAX_SECONDS = 0.25, 5.0

_log = logging.getLogger(__name__)


@value
class _Request:
    """One encoded request."""

    signal: str
    items: int
    """Spans, log records, or calls."""
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
        self._metrics: deque[_Request] = deque()
        self._requests: deque[_Request] = deque()
        self._bytes = 0
        self._head: _Request | None = None
        """What was sent and not yet taken: it is repeated unchanged, so that the collector can tell."""
        self._aside: deque[_Request] = deque()
        """What raised when it was sent, and is tried again after the others."""
        self._strikes: Counter[int] = Counter()
        """Its identity -> how many others were taken since."""
        self.journal: Journal | None = None
        """Where requests of metrics stand until they are taken; None: in memory alone."""
        self.estate: Estate | None = None
        """What ended processes left; None: there is no place where they could have."""
        self._estate_used = False
        self._look_at = 0.0
        self._sending = False
        self._failures = 0
        self._wake = threading.Event()
        self._idle = threading.Condition(self._lock)
        self._stopping = False
        self._ending = threading.Event()
        self._overhead_seconds = 0.0

    def prepare(self) -> None:
        """Import what sending needs and make the outlet; a second call does nothing. Raises what making it raises."""
        self._get_outlet()
        if self._settings.state_dir is not None:
            from . import spool  # noqa: F401 - so that the thread finds it loaded

    @property
    def pending(self) -> bool:
        """Whether anything waits in memory."""
        return bool(self._sending or self._head or self._metrics or self._requests or self._aside)

    @property
    def metrics_full(self) -> bool:
        """Whether the interval has to go on, because too many before it were not taken."""
        journal = self.journal
        return len(self._metrics) >= MAX_PENDING_METRICS or (journal is not None and not journal.room)

    @property
    def inherits(self) -> bool:
        """Whether ended processes may have left something to send."""
        return self.estate is not None and self.estate.waits()

    def encode_left(self, batch: MetricBatch, about: Mapping[str, Any]) -> bytes:
        """Return a request made of what another process left; for the estate."""
        encoded: bytes = self._get_outlet().encode_left(batch, about)
        return encoded

    def put_spans(self, kept: Sequence[Kept], clock_offset_ns: int) -> None:
        """Queue spans."""
        self._put("spans", len(kept), lambda outlet: outlet.encode_spans(kept, clock_offset_ns))

    def put_logs(self, entries: Sequence[LogEntry]) -> None:
        """Queue log records."""
        self._put("logs", len(entries), lambda outlet: outlet.encode_logs(entries))

    def put_metrics(self, batch: MetricBatch) -> None:
        """Queue one interval's metrics; raises what encoding them raises, and then nothing is queued."""
        data = self._get_outlet().encode_metrics(batch, self._operations(), gauges=True)
        request = _Request("metrics", batch.calls, data, 0)
        if data:
            if self.journal is not None:
                self.journal.cut(request.items, data if isinstance(data, bytes) else b"")
            with self._lock:
                self._metrics.append(request)
            self._wake.set()

    def can_encode(self, batch: MetricBatch) -> bool:
        """Whether a batch is one that metrics can be made of."""
        try:
            self._get_outlet().encode_metrics(batch, (), gauges=False)
        except Exception:  # noqa: BLE001 - that is the question
            return False
        return True

    def take_overhead(self) -> float:
        """CPU seconds the export thread used since the last call."""
        with self._lock:
            seconds, self._overhead_seconds = self._overhead_seconds, 0.0
        return seconds

    def wait(self, timeout: float) -> bool:
        """Until all that waits is taken, on disk and of ended processes too; False when `timeout` seconds were not enough."""
        with self._idle:
            self._estate_used = self.inherits
            self._wake.set()
            return self._idle.wait_for(
                lambda: not self.pending and not self._spool_used and not self._estate_used, timeout
            )

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
        if self.estate is not None:
            self.estate.close()
        if self._outlet is not None:
            self._outlet.shutdown()
            self._outlet = None

    def run(self) -> None:
        """The export thread."""
        backoff = _BACKOFF_FIRST_SECONDS
        while True:
            if not self._wake.wait(1.0) and not self.pending and not self._look():
                if self._stopping:
                    return
                continue
            self._wake.clear()
            spent = time.thread_time()
            sent = False
            try:
                with at_work():
                    sent = self._send_all()
                    if not sent:
                        self._failures += 1
                        if self._failures >= FAILURES_BEFORE_SPOOLING:
                            self._spill(everything=False)
            except Exception:  # noqa: BLE001 - whatever an exporter does, the data stays here and is tried again
                self._count_drop("internal", "export_fault", 1)
                _log.debug("export failed", exc_info=True)
            spent = time.thread_time() - spent
            with self._idle:
                self._overhead_seconds += spent
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
            left = self._oldest_left()
            if left is not None:
                if not self._sent(outlet, "metrics", left.items, left.data):
                    return False
                assert self.estate is not None  # noqa: S101 - it came from there
                self.estate.remove(left)
                continue
            with self._lock:
                self._sending = True
                if self._head is None:
                    self._head = self._next()
            if self._head is None:
                return self._try_aside(outlet)
            try:
                if not self._sent(outlet, self._head.signal, self._head.items, self._head.data):
                    return False
            except Exception:  # noqa: BLE001 - it may be this request's fault or the way's: others tell
                _log.debug("a request of %s could not be sent", self._head.signal, exc_info=True)
                with self._lock:
                    self._aside.append(self._head)
                    full = len(self._aside) > MAX_ASIDE
                    self._head = self._aside.popleft() if full else None
                if full:
                    return False
                continue
            for request in self._aside:
                self._strikes[id(request)] += 1
            self._done_with(self._head)
            self._head = None

    def _try_aside(self, outlet: Outlet) -> bool:
        """Send again what raised, each once; False at a refusal.

        What raised too often while others were taken is dropped, and counted.
        """
        for _ in range(len(self._aside)):
            request = self._aside[0]
            try:
                if not self._sent(outlet, request.signal, request.items, request.data):
                    return False
            except Exception:  # noqa: BLE001 - as when it was tried first
                self._aside.rotate(-1)
                if self._strikes[id(request)] < MAX_STRIKES:
                    continue
                self._count_drop(request.signal, "export_fault", request.items)
            del self._strikes[id(request)]
            self._done_with(request)
            self._aside.remove(request)
        return True

    def _done_with(self, request: _Request) -> None:
        """It was taken, refused for good, or stands on disk."""
        if self.journal is not None and request.signal == "metrics":
            self.journal.taken(request.data)

    def _next(self) -> _Request | None:
        """Metrics first: they are the count, and what alerts are made of. Needs the lock."""
        if self._metrics:
            return self._metrics.popleft()
        if self._requests:
            request = self._requests.popleft()
            self._bytes -= request.size
            return request
        return None

    def _sent(self, outlet: Outlet, signal: str, items: int, data: Any) -> bool:
        """Whether a request is dealt with: taken, or refused for good, which is counted and must not hold up the rest."""
        from .outlet import Verdict

        verdict = outlet.send(signal, data)
        if verdict is Verdict.REFUSED:
            self._count_drop(signal, "refused", items)
        return verdict is not Verdict.RETRY

    def _look(self) -> bool:
        """Whether it is time to look for what ended processes left, and there may be something."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        self._estate_used = self.inherits
        return self._estate_used

    def _oldest_left(self) -> Inherited | None:
        if not self._estate_used or self.estate is None:
            return None
        found = self.estate.oldest() if self._get_outlet().spoolable else None
        self._estate_used = found is not None
        return found

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
        if spool is None and not everything:
            return  # it stays in memory, bounded there
        while True:
            with self._lock:
                if self._head is None:
                    self._head = self._aside.popleft() if self._aside else self._next()
            head = self._head
            if head is None:
                return
            self._strikes.pop(id(head), None)
            if spool is None:
                stored, made_room = False, dict[str, int]()
            else:
                stored, made_room = spool.put(head.signal, head.items, head.data)
                self._spool_used = True
            for signal, items in made_room.items():
                self._count_drop(signal, "spool_full", items)
            if not stored:
                if head.signal == "metrics" and not everything:
                    return  # metrics wait in memory, and the interval goes on
                if head.signal == "metrics" and self.journal is not None:
                    self._head = None
                    continue  # the journal has it, for whoever comes after
                self._count_drop(head.signal, "spool_full" if spool is not None else "closed", head.items)
            self._done_with(head)
            self._head = None

    def _get_outlet(self) -> Outlet:
        with self._outlet_lock:
            if self._outlet is None:
                from . import outlet
                from .resource import make_resource

                resource = make_resource(self._settings)
                self._outlet = outlet.make_outlet(self._settings, resource, self._count_drop)
                if self.journal is not None:
                    self.journal.tell({"attributes": dict(resource.attributes)})
            return self._outlet

    def _get_spool(self) -> Spool | None:
        if self._spool is None and self._settings.state_dir is not None and self._settings.spool_bytes:
            if not self._get_outlet().spoolable:
                return None
            from .spool import Spool

            self._spool = Spool(self._settings.state_dir / "spool", self._settings.spool_bytes)
        return self._spool
