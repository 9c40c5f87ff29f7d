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

from plugwarden.invocation import Invocation, identify
from plugwarden.operation import DETAILED_FAILURES
from plugwarden.settings import Settings

from .aggregate import Aggregator, Exemplar, MetricBatch, failures, merge_cells
from .dispatch import Dispatch
from .logs import LogEntry
from .sampling import Kept, TraceBuffer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from plugwarden.operation import Operation

__all__ = ["Pipeline"]

QUEUE_LIMIT = 8_192
"""Finished invocations waiting for the drain; at 100 ms a turn this is 80,000 calls/s before callers help. A caller
looks only at every 64th call of an operation, so this many more per operation may wait."""
DRAIN_SECONDS = 0.1
IDLE_SECONDS = 1.0
"""With nothing to drain it looks this often; the first call after a pause, and every failure, wake it."""
TROUBLE_SECONDS = 0.4
"""While calls fail, telemetry leaves this often, whatever the ordinary interval."""
MAX_PENDING_LOGS = 8_192
SPAN_BATCH = 2_048
"""Spans are encoded as soon as so many are chosen, so that chosen ones take little memory."""

_log = logging.getLogger(__name__)
_DEAD_END: deque[Any] = deque(maxlen=0)


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
        self._lifecycle = threading.Lock()
        self._threads: tuple[threading.Thread, ...] = ()
        self.queue: deque[Invocation | ReadableSpan] = deque()
        """Finished invocations, and spans of the host's own provider; callers append, nothing else."""
        self._reset()
        reference = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (method := reference()) and method())

    def _reset(self) -> None:
        self.queue.clear()
        self._logs: deque[LogEntry] = deque()
        self._lock = threading.Lock()
        """Guards the aggregator and the trace buffer."""
        self._aggregator = Aggregator()
        self._traces = TraceBuffer(self._settings.trace_ratio)
        self._drops: Counter[tuple[str, str]] = Counter()
        self._sums: Counter[tuple[Operation, str, str]] = Counter()
        self._faults_seen = sum(operation.faults for operation in self._operations())
        self._longest: dict[Operation, int] = {}
        self._answers_seen: dict[tuple[Operation, str], int] = {}
        self.dispatch = Dispatch(self._settings, self._operations, self.count_drop)
        self._interval_start_ns = time.time_ns()
        self._last_cut = self._last_heartbeat = time.monotonic()
        self._overhead_seconds = 0.0
        self._wake = threading.Event()
        self._resting = False
        self._stopping = False
        self.started = False

    # -- the caller's side ------------------------------------------------------------------------------------------

    def attend(self) -> None:
        """From a caller's thread, now and then: start the background, wake it, or help it when it cannot keep up."""
        if not self.started:
            self.start()
        elif self._resting:
            self._wake.set()
        if len(self.queue) > QUEUE_LIMIT and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def emit(self, item: Invocation | ReadableSpan) -> None:
        """Take a finished invocation, or a span of the host's own provider, from where speed matters less."""
        self.queue.append(item)
        self.attend()

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

    def add_sum(self, operation: Operation, metric: str, value: float, why: str = "") -> None:
        """Add to a sum that runners and the loop's watch keep."""
        self._sums[operation, metric, why] += value  # type: ignore[assignment]  # a Counter of floats

    def hurry(self) -> None:
        """Something an operator would want to see at once has happened."""
        self._last_cut = min(self._last_cut, time.monotonic() - self._settings.export_interval_seconds)
        self._wake.set()

    def start(self) -> None:
        """Start the threads; a second call does nothing."""
        with self._lifecycle:
            if self.started or self._stopping:
                return
            threads = (
                threading.Thread(target=self._run_drain, name="plugwarden-drain", daemon=True),
                threading.Thread(target=self.dispatch.run, name="plugwarden-export", daemon=True),
            )
            for thread in threads:
                thread.start()
                self._threads = (*self._threads, thread)
            self.started = True
        self._on_start()

    def flush(self, timeout: float) -> bool:
        """Send all there is; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        self._cut(everything=True, heartbeat=False)
        if not self.started:
            if not self.dispatch.pending:
                return True
            self.start()
        return self.dispatch.wait(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float) -> bool:
        """Flush and end the threads; what cannot be sent goes to the spool. May be called twice."""
        deadline = time.monotonic() + timeout
        if self.started:
            self.flush(timeout * 0.5)
        with self._lifecycle:
            self._stopping = True
        for operation in self._operations():
            operation.append = _DEAD_END.append  # calls go on, unobserved
        # What ended while that was sent is sent too; the rest of the time is for the threads to end.
        done = self.flush(max(0.0, deadline - time.monotonic()) * 0.6) if self.started else True
        self._wake.set()
        self.dispatch.stop()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self.dispatch.shutdown(still_sending=any(thread.is_alive() for thread in self._threads))
        return done

    def totals(self) -> dict[Any, Any]:
        """Cells since the start, for Prometheus: everything finished until now is in it."""
        with self._lock:
            self._fold()
            merged: dict[Any, Any] = {}
            merge_cells(merged, self._aggregator.totals)
            merge_cells(merged, {key: cell.without_cpu() for key, cell in self._aggregator.cells.items()})
            return merged

    # -- the drain thread ---------------------------------------------------------------------------------------------

    def _run_drain(self) -> None:
        while not self._stopping:
            self._resting = not self.queue
            self._wake.wait(
                min(IDLE_SECONDS, self._settings.export_interval_seconds) if self._resting else DRAIN_SECONDS
            )
            self._wake.clear()
            if self._resting:
                self._resting = False
                if not self._stopping:
                    time.sleep(min(DRAIN_SECONDS, self._settings.export_interval_seconds))  # let a turn's worth gather
            spent = time.thread_time()
            try:
                with self._lock:
                    self._aggregator.look_at_running()
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
        queue, count, sample = self.queue, self._aggregator.add, self._traces.add
        at = time.monotonic()
        for _ in range(len(queue)):
            try:
                item = queue.popleft()
            except IndexError:
                break
            try:
                if type(item) is Invocation:
                    count(item)
                sample(item, at)
            except Exception:  # noqa: BLE001 - one odd record must not cost the others
                self._drops["internal", "record_fault"] += 1
                _log.debug("a record could not be counted", exc_info=True)
            if len(self._traces.kept) >= SPAN_BATCH:
                self._send_spans()

    def _send_spans(self) -> None:
        """Encode the spans chosen so far and queue them for export. Needs the lock."""
        kept = self._traces.take()
        if kept:
            offset = time.time_ns() - time.perf_counter_ns()
            self._attach_exemplars(kept, offset)
            self.dispatch.put_spans(kept, offset)

    def _cut(self, *, everything: bool, heartbeat: bool) -> None:
        """End the interval: decide on traces, close the cells, and queue all for export."""
        with self._lock:
            self._fold()
            now_ns, now = time.time_ns(), time.monotonic()
            self._traces.settle(now, everything=everything)
            self._send_spans()
            for reason, spans in self._traces.take_dropped().items():
                self._drops["spans", reason] += spans
            self._note_peaks(publish=heartbeat)
            cells = self._aggregator.cut()
            self._take_faults()
            drops, self._drops = self._drops, Counter()
            sums, self._sums = self._sums, Counter()
            fallbacks = self._take_fallbacks()
            if cells or drops or sums or fallbacks or heartbeat:
                overhead = self._overhead_seconds + self.dispatch.take_overhead()
                self._overhead_seconds = 0.0
                batch = MetricBatch(
                    self._interval_start_ns, now_ns, cells, dict(drops), overhead, fallbacks, dict(sums)
                )
                self.dispatch.put_metrics(batch)
                self._interval_start_ns = now_ns
            self._last_cut = now
            if heartbeat:
                self._last_heartbeat = now
            logs = []
            while self._logs:
                logs.append(self._logs.popleft())
            if logs:
                self.dispatch.put_logs(logs)

    def _note_peaks(self, *, publish: bool) -> None:
        """Observed against declared: gather over cuts, publish once an interval."""
        for key, cell in self._aggregator.cells.items():
            if key.downstream is None and cell.ns_max > self._longest.get(key.operation, 0):
                self._longest[key.operation] = cell.ns_max
        if publish:
            longest, self._longest = self._longest, {}
            peaks = self._aggregator.take_peaks()
            for operation in self._operations():
                operation.longest_ns = longest.get(operation, 0)
                operation.peak_running = max(peaks.get(operation, 0), len(operation.running))
                operation.details_left = DETAILED_FAILURES

    def _take_faults(self) -> None:
        faults = sum(operation.faults for operation in self._operations())
        if faults > self._faults_seen:
            self.count_drop("internal", "shim_fault", faults - self._faults_seen)
            self._faults_seen = faults

    def _take_fallbacks(self) -> dict[tuple[Operation, str], int]:
        """What fallbacks answered since the last interval, from their own running counts."""
        found: dict[tuple[Operation, str], int] = {}
        for operation in self._operations():
            fallback = operation.fallback
            if fallback is None:
                continue
            counts = [(f"step {number}", count) for number, count in enumerate(fallback.answered, start=1)]
            counts += [("failed", fallback.exhausted), ("full", fallback.turned_away)]
            for answer, count in counts:
                new = count - self._answers_seen.get((operation, answer), 0)
                if new:
                    self._answers_seen[operation, answer] = count
                    if new > 0:  # below 0: a new declaration brought a new fallback, whose counts begin anew
                        found[operation, answer] = new
        return found

    def _attach_exemplars(self, kept: list[Kept], offset: int) -> None:
        cells, key = self._aggregator.cells, self._aggregator.key
        for span, _ in kept:
            if type(span) is Invocation:
                cell = span.operation.cell if span.more is None else cells.get(key(span))
                if cell is not None and cell.exemplar is None:
                    ids = identify(span)
                    at_ns = span.started_ns + offset
                    cell.exemplar = Exemplar(span.duration_ns / 1e9, at_ns, ids.trace_id, ids.span_id)

    def _after_fork(self) -> None:
        """In the child: nothing of the parent's is ours to send, and its threads do not exist here."""
        self._lifecycle = threading.Lock()
        self._threads = ()
        self._reset()

    def take_settings(self, settings: Settings) -> None:
        """A new identity, after a fork."""
        self._settings = settings
        self._reset()
