"""The sidecar's background: a drain thread that counts and samples, and an export thread that talks to the network.

The caller's thread only appends to a deque. When that is full the caller folds it into the histograms itself, so counts
are never lost and memory stays bounded. Nothing here runs before the first invocation.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from plugwarden.invocation import Invocation
from plugwarden.settings import Settings

from .aggregate import Aggregator, Exemplar, MetricBatch, failures, merge_cells
from .logs import LogEntry
from .sampling import Kept, TraceBuffer

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from plugwarden.operation import Operation

    from .exporters import Exporters

__all__ = ["Pipeline"]

QUEUE_LIMIT = 8_192
"""Finished invocations waiting for the drain; at 100 ms a turn this is 80,000 calls/s before callers help."""
DRAIN_SECONDS = 0.1
TROUBLE_SECONDS = 0.4
"""While calls fail, telemetry leaves this often, whatever the ordinary interval."""
MAX_PENDING_METRICS = 120
"""Unsent intervals kept apart; beyond it the oldest are merged into one, losing time resolution but no count."""
MAX_PENDING_SPANS = 16_384
MAX_PENDING_LOGS = 8_192
MAX_EXPORT_ITEMS = 2_048
_BACKOFF_FIRST_SECONDS, _BACKOFF_MAX_SECONDS = 0.25, 5.0

_log = logging.getLogger(__name__)


class Pipeline:
    """Everything between a finished call and the collector."""

    def __init__(
        self,
        settings: Settings,
        operations: Callable[[], Collection[Operation]],
        *,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._operations = operations
        self._on_start = on_start
        self._exporters: Exporters | None = None
        self._resource: Resource | None = None
        self._lifecycle = threading.Lock()
        self._threads: tuple[threading.Thread, ...] = ()
        self._reset()
        reference = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (method := reference()) and method())

    def _reset(self) -> None:
        self._queue: deque[Invocation | ReadableSpan] = deque()
        self._logs: deque[LogEntry] = deque()
        self._lock = threading.Lock()
        """Guards the aggregator, the trace buffer and the pending collections."""
        self._aggregator = Aggregator()
        self._traces = TraceBuffer(self._settings.trace_ratio)
        self._drops: Counter[tuple[str, str]] = Counter()
        self._pending_metrics: deque[MetricBatch] = deque()
        self._head: tuple[MetricBatch, MetricsData] | None = None
        self._pending_spans: deque[ReadableSpan] = deque()
        self._pending_logs: deque[LogEntry] = deque()
        self._span_head: list[ReadableSpan] = []
        self._log_head: list[LogEntry] = []
        """What was sent and not yet taken: it is repeated unchanged, so that the collector can tell."""
        self._interval_start_ns = time.time_ns()
        self._last_cut = self._last_heartbeat = time.monotonic()
        self._overhead_seconds = 0.0
        self._wake_drain = threading.Event()
        self._wake_export = threading.Event()
        self._idle = threading.Condition(self._lock)
        self._exporting = False
        self._stopping = False
        self.started = False

    # -- the caller's side ------------------------------------------------------------------------------------------

    def emit(self, item: Invocation | ReadableSpan) -> None:
        """Take a finished invocation, or a span of the host's own provider."""
        queue = self._queue
        queue.append(item)
        if not self.started:
            self.start()
        if len(queue) > QUEUE_LIMIT and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def emit_log(self, entry: LogEntry) -> None:
        """Take a log record."""
        self._logs.append(entry)
        if len(self._logs) > MAX_PENDING_LOGS:
            try:
                self._logs.popleft()
                self.count_drop("logs", "queue_full")
            except IndexError:
                pass  # the drain emptied it in between
        if not self.started:
            self.start()

    def count_drop(self, signal: str, reason: str, items: int = 1) -> None:
        """Count telemetry that will not arrive, or an internal fault."""
        self._drops[signal, reason] += items

    def hurry(self) -> None:
        """Something an operator would want to see at once has happened."""
        self._last_cut = min(self._last_cut, time.monotonic() - self._settings.export_interval_seconds)
        self._wake_drain.set()

    def start(self) -> None:
        """Start the threads; a second call does nothing."""
        with self._lifecycle:
            if self.started or self._stopping:
                return
            self.started = True
            self._threads = (
                threading.Thread(target=self._run_drain, name="plugwarden-drain", daemon=True),
                threading.Thread(target=self._run_export, name="plugwarden-export", daemon=True),
            )
            for thread in self._threads:
                thread.start()
        self._on_start()

    def flush(self, timeout: float) -> bool:
        """Send all there is; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        self._cut(everything=True, heartbeat=False)
        if not self.started and (self._pending_metrics or self._pending_spans or self._pending_logs):
            self.start()
        self._wake_export.set()
        with self._idle:
            return self._idle.wait_for(self._nothing_pending, max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float) -> bool:
        """Flush and end the threads. May be called twice; the timeout covers everything."""
        deadline = time.monotonic() + timeout
        done = self.flush(timeout) if self.started else True
        with self._lifecycle:
            self._stopping = True
        self._wake_drain.set()
        self._wake_export.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        if self._exporters is not None and not any(thread.is_alive() for thread in self._threads):
            self._exporters.shutdown()
            self._exporters = None
        return done

    def totals(self) -> dict[Any, Any]:
        """Cells since the start, for Prometheus: everything finished until now is in it."""
        with self._lock:
            self._fold()
            merged: dict[Any, Any] = {}
            merge_cells(merged, self._aggregator.totals)
            merge_cells(merged, self._aggregator.cells)
            return merged

    # -- the drain thread ---------------------------------------------------------------------------------------------

    def _run_drain(self) -> None:
        while not self._stopping:
            self._wake_drain.wait(DRAIN_SECONDS)
            self._wake_drain.clear()
            spent = time.thread_time()
            try:
                with self._lock:
                    self._fold()
                    trouble = failures(self._aggregator.cells)
                now = time.monotonic()
                since = now - self._last_cut
                due = since >= self._settings.export_interval_seconds
                if due or (trouble and since >= TROUBLE_SECONDS):
                    heartbeat = now - self._last_heartbeat >= self._settings.export_interval_seconds
                    self._cut(everything=False, heartbeat=heartbeat)
            except Exception:  # noqa: BLE001 - the loop must outlive any one bad item
                self.count_drop("internal", "drain_fault")
                _log.debug("drain failed", exc_info=True)
            self._overhead_seconds += time.thread_time() - spent

    def _fold(self) -> None:
        """Move finished invocations into histograms and the trace buffer. Needs the lock."""
        queue, aggregator, traces = self._queue, self._aggregator, self._traces
        at = time.monotonic()
        for _ in range(len(queue)):
            try:
                item = queue.popleft()
            except IndexError:
                break
            try:
                if isinstance(item, Invocation):
                    aggregator.add(item)
                traces.add(item, at)
            except Exception:  # noqa: BLE001 - one odd record must not cost the others
                self._drops["internal", "record_fault"] += 1
                _log.debug("a record could not be counted", exc_info=True)

    def _cut(self, *, everything: bool, heartbeat: bool) -> None:
        """End the interval: decide on traces, close the cells, and queue all for export."""
        from .encode import encode_spans

        with self._lock:
            self._fold()
            now_ns, now = time.time_ns(), time.monotonic()
            offset = now_ns - time.perf_counter_ns()
            kept = self._traces.take(now, everything=everything)
            self._attach_exemplars(kept, offset)
            for reason, spans in self._traces.take_dropped().items():
                self._drops["spans", reason] += spans
            cells = self._aggregator.cut()
            drops, self._drops = self._drops, Counter()
            if cells or drops or heartbeat:
                overhead, self._overhead_seconds = self._overhead_seconds, 0.0
                self._pending_metrics.append(MetricBatch(self._interval_start_ns, now_ns, cells, dict(drops), overhead))
                self._interval_start_ns = now_ns
            self._last_cut = now
            if heartbeat:
                self._last_heartbeat = now
            if len(self._pending_metrics) > MAX_PENDING_METRICS:
                oldest = self._pending_metrics.popleft()
                oldest.merge(self._pending_metrics.popleft())
                self._pending_metrics.appendleft(oldest)
            if kept:
                self._pending_spans.extend(encode_spans(kept, self._get_resource(), offset))
                self._trim(self._pending_spans, MAX_PENDING_SPANS, "spans")
            while self._logs:
                self._pending_logs.append(self._logs.popleft())
            self._trim(self._pending_logs, MAX_PENDING_LOGS, "logs")
        self._wake_export.set()

    def _attach_exemplars(self, kept: list[Kept], offset: int) -> None:
        for item in kept:
            span = item.span
            if isinstance(span, Invocation):
                cell = self._aggregator.cells.get(self._aggregator.key(span))
                if cell is not None:
                    context = span.get_span_context()
                    cell.exemplar = Exemplar(
                        span.duration_ns / 1e9, span.started_ns + offset, context.trace_id, context.span_id
                    )

    def _trim(self, pending: deque[Any], limit: int, signal: str) -> None:
        surplus = len(pending) - limit
        if surplus > 0:
            for _ in range(surplus):
                pending.popleft()
            self._drops[signal, "queue_full"] += surplus

    # -- the export thread --------------------------------------------------------------------------------------------

    def _run_export(self) -> None:
        backoff = _BACKOFF_FIRST_SECONDS
        while True:
            if not self._wake_export.wait(1.0) and self._nothing_pending():
                if self._stopping:
                    return
                continue
            self._wake_export.clear()
            spent = time.thread_time()
            sent = False
            try:
                sent = self._export_all()
            except Exception:  # noqa: BLE001 - whatever an exporter does, the data stays here and is tried again
                self.count_drop("internal", "export_fault")
                _log.debug("export failed", exc_info=True)
            self._overhead_seconds += time.thread_time() - spent
            with self._idle:
                self._exporting = False
                self._idle.notify_all()
            if sent:
                backoff = _BACKOFF_FIRST_SECONDS
            else:
                time.sleep(backoff)
                backoff = min(backoff * 2, _BACKOFF_MAX_SECONDS)
                self._wake_export.set()
            if self._stopping:
                return

    def _export_all(self) -> bool:
        """Send until nothing is left; False at the first refusal."""
        from .encode import encode_logs, encode_metrics

        exporters = self._get_exporters()
        resource = self._get_resource()
        while True:
            with self._lock:
                self._exporting = True
                if self._head is None and self._pending_metrics:
                    batch = self._pending_metrics[0]
                    gauges = len(self._pending_metrics) == 1  # gauges say how it is now: the newest batch has them
                    self._head = (batch, encode_metrics(batch, self._operations(), resource, gauges=gauges))
                    self._pending_metrics.popleft()
                if not self._span_head:
                    self._span_head = _take(self._pending_spans)
                if not self._log_head:
                    self._log_head = _take(self._pending_logs)
            if self._head is None and not self._span_head and not self._log_head:
                return True
            # A repeat sends the same objects, so the same bytes: the collector counts them once.
            if self._head is not None:
                data = self._head[1]
                if data.resource_metrics[0].scope_metrics and not self._sent("metrics", exporters.metrics, data, 1):
                    return False
                self._head = None
            spans, logs = self._span_head, self._log_head
            if spans and not self._sent("spans", exporters.spans, spans, len(spans)):
                return False
            self._span_head = []
            if logs and not self._sent(
                "logs", lambda items: exporters.logs(encode_logs(items, resource)), logs, len(logs)
            ):
                return False
            self._log_head = []

    def _sent(self, signal: str, send: Callable[[Any], bool], batch: Any, items: int) -> bool:
        """Whether a batch is dealt with: taken, or impossible to send, which is counted and must not hold up the rest."""
        try:
            return send(batch)
        except Exception:  # noqa: BLE001 - an exporter that cannot encode something never will
            self.count_drop(signal, "export_fault", items)
            _log.debug("a batch of %s could not be sent", signal, exc_info=True)
            return True

    def _nothing_pending(self) -> bool:
        return not (self._exporting or self._head or self._pending_metrics or self._pending_spans or self._pending_logs)

    def _get_exporters(self) -> Exporters:
        if self._exporters is None:
            from .exporters import Exporters

            self._exporters = Exporters(self._settings)
        return self._exporters

    def _get_resource(self) -> Resource:
        if self._resource is None:
            from .resource import make_resource

            self._resource = make_resource(self._settings)
        return self._resource

    def _after_fork(self) -> None:
        """In the child: nothing of the parent's is ours to send, and its threads do not exist here."""
        self._lifecycle = threading.Lock()
        self._threads = ()
        self._exporters = None
        self._resource = None
        self._reset()


def _take(pending: deque[Any]) -> list[Any]:
    """Up to `MAX_EXPORT_ITEMS` from the front."""
    return [pending.popleft() for _ in range(min(len(pending), MAX_EXPORT_ITEMS))]
