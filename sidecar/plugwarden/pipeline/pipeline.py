"""The sidecar's background: a drain thread that counts and samples, and an export thread that talks to the network.

The caller's thread only appends to a deque. When that is full the caller folds it into the histograms itself, so counts
are never lost and memory stays bounded. Nothing here runs before the first invocation.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from plugwarden.invocation import Invocation, identify
from plugwarden.lifetime.fork import at_work
from plugwarden.settings import Settings

from .aggregate import Aggregator, Exemplar, MetricBatch, failures, merge_cells
from .dispatch import Dispatch
from .estate import identity_of_process
from .journal import PUBLISH_EVERY, Journal
from .keeping import make_estate, make_journal
from .logs import LogEntry
from .overdue import Overdue, is_told
from .owned_lock import OwnedLock
from .readings import Readings
from .sampling import Kept, TraceBuffer, gaps
from .tally import Tally

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
SECOND_LOOK_SECONDS = 0.2
"""The first calls of a trouble gather for so long."""
MAX_PENDING_LOGS = 8_192
MAX_UNENCODED = 3
"""Times in a row that an interval could not be encoded before its parts are tried one by one."""
MAX_WAIT_SECONDS = 2.0
"""A caller that ends calls faster than they can be folded waits for the fold under way: some 30 ms for 16,384 of them, and
more where many threads want the interpreter. Past this the call is counted, but not kept until it is folded."""
ENDING_SECONDS = 0.25
"""Once it is known that the process will end, telemetry leaves this often: the end may come without another word."""
_LOOK_MASK = 31
"""Mask of callers' attentions, each at every 64th call of an operation: one in 32 adds up what waits at all operations."""
SPAN_BATCH = 2_048
"""Spans are encoded as soon as so many are chosen, so that chosen ones take little memory."""

_log = logging.getLogger(__name__)
_DEAD_END: deque[Any] = deque(maxlen=0)


def _item_references() -> int:
    """Return how many references there are to an item of a list that somebody goes through, and that nobody else holds."""
    refs = sys.getrefcount
    items = [Invocation()]
    for item in items:
        found = refs(item)
    return found


_ITEM_REFS = _item_references()


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
        self._stopping = settings.disabled
        """Whether nothing is taken or sent any more, in the children of this process either."""
        self._process = os.getpid()
        self._ancestor: str | None = None
        """In a forked child: the process that looks after what its family leaves."""
        self._journal: Journal | None = None
        self._said = ""
        """What was last said of why nothing can be sent."""
        self.queue: deque[Invocation | ReadableSpan] = deque()
        """Finished invocations, and spans of the host's own provider; callers append, nothing else."""
        self.chosen: deque[Invocation] = deque()
        """Plain successes whose spans are kept, as their callers decided."""
        self.gap = gaps(settings.trace_ratio)
        """For `Operation.gap`."""
        self.append: Callable[[Invocation], None] = self.queue.append
        """Takes a finished invocation: into the queue, or with a journal, there first."""
        self._reset()
        reference = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (method := reference()) and method())

    def _reset(self) -> None:
        self.queue.clear()
        self.chosen.clear()
        self._attended = 0
        self._logs: deque[LogEntry] = deque()
        self._lock = OwnedLock()
        """Guards the aggregator and the trace buffer."""
        self._aggregator = Aggregator()
        self._traces = TraceBuffer(self._settings.trace_ratio)
        self._tally = Tally()
        self._readings = Readings(self._operations)
        self._overdue = Overdue(self._operations)
        self._unencoded = 0
        self.dispatch = Dispatch(self._settings, self._operations, self.count_drop)
        self.dispatch.estate = make_estate(
            self._settings,
            self._ancestor,
            lambda batch, about: self.dispatch.encode_left(batch, about),
            self.count_drop,
        )
        self._interval_start_ns = time.time_ns()
        self._last_cut = self._last_heartbeat = time.monotonic()
        self._wake = threading.Event()
        self._resting = False
        self._tell_at: float | None = None
        """Monotonic time at which what failed is told; None while nothing of the kind waits."""
        self._ending = False
        self.started = False

    # -- the caller's side ------------------------------------------------------------------------------------------

    def attend(self) -> None:
        """Be called from a caller's thread, now and then: start the background, wake it, or help it when it cannot keep up."""
        if not self.started:
            self.start()
        elif self._resting:
            self._wake.set()
        self._attended += 1
        if self._attended & _LOOK_MASK and len(self.queue) <= QUEUE_LIMIT:
            return  # it costs something to see how many wait in all
        if self._waiting > QUEUE_LIMIT and self._lock.acquire(timeout=0):
            spent = time.thread_time()
            try:
                self._fold()
            finally:
                self._lock.release()
                self._tally.spend(time.thread_time() - spent)

    def emit(self, item: Invocation | ReadableSpan) -> None:
        """Take a finished invocation, or a span of the host's own provider, from where speed matters less."""
        if not self._stopping:
            self.queue.append(item)
            self.attend()

    def emit_log(self, entry: LogEntry) -> None:
        """Take a log record."""
        if self._stopping:
            return
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
        self._tally.drop(signal, reason, items)  # after a fork it is another

    def add_sum(self, operation: Operation, metric: str, value: float, why: str = "") -> None:
        """Add to a sum that runners and the loop's watch keep."""
        self._tally.add(operation, metric, value, why)

    def hurry(self) -> None:
        """Something an operator would want to see at once has happened."""
        self._last_cut = min(self._last_cut, time.monotonic() - self._settings.export_interval_seconds)
        self._wake.set()

    def prepare(self) -> None:
        """Import what the threads will need, and make what they send with, on the thread of the host that wraps.

        A thread that imports holds a module's lock, which a fork would leave locked for ever in the child; and it changes
        `sys.modules`, loggers and warnings while the host looks at them.
        """
        try:
            self.dispatch.prepare()
        except Exception as error:  # noqa: BLE001 - the host runs, and what cannot be sent is counted
            if str(error) != self._said:  # it is tried again with each block that begins
                self._said = str(error)
                _log.warning("telemetry cannot be sent: %s", error)

    def say_goodbye(self) -> None:
        """The process will end: from now on everything leaves at once, and tells the collector that silence is meant."""
        self._ending = True
        self.hurry()

    def start(self) -> None:
        """Start the threads; a second call does nothing."""
        if self._stopping:
            return
        self.prepare()
        with self._lifecycle:
            if self.started or self._stopping:
                return
            if self._journal is None:
                self._open_journal()
            for run, name in ((self._run_drain, "plugwarden-drain"), (self.dispatch.run, "plugwarden-export")):
                if any(thread.name == name for thread in self._threads):
                    continue
                thread = threading.Thread(target=run, name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no room for one more: it is tried again with the next attention
                    self.count_drop("internal", "no_thread")
                    return
                self._threads = (*self._threads, thread)
            self.started = True
        self._on_start()

    def flush(self, timeout: float) -> bool:
        """Send all there is.

        False when anything recorded since the last time was not taken within `timeout` seconds, waits on disk, or was dropped.
        """
        deadline = time.monotonic() + timeout
        while True:
            whole = self._cut(everything=True, heartbeat=False)
            if not self.started and (self.dispatch.pending or self.dispatch.inherits):
                self.start()
            arrived = not self.started or self.dispatch.wait(max(0.0, deadline - time.monotonic()))
            if whole or not arrived or time.monotonic() >= deadline:
                break
            time.sleep(0.01)  # there is room again, or what hindered encoding may have passed
        lost = self._tally.take_lost()
        return whole and arrived and not lost

    def close(self, timeout: float) -> bool:
        """Flush and end the threads; what cannot be sent goes to the spool. May be called twice.

        False when anything this process ever recorded was not taken.
        """
        deadline = time.monotonic() + timeout
        self._ending = True
        self.flush(timeout * 0.5)
        with self._lifecycle:
            self._stopping = True
        self._set_append(_DEAD_END.append)  # calls go on, unobserved
        # What ended while that was sent is sent too; the rest of the time is for the threads to end.
        done = self.flush(max(0.0, deadline - time.monotonic()) * 0.6) if self.started else True
        self._wake.set()
        self.dispatch.stop()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        still_sending = any(thread.is_alive() for thread in self._threads)
        self.dispatch.shutdown(still_sending=still_sending)
        if self._journal is not None:
            self._journal.close()
        return done and not self._tally.lost

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
        idle = min(IDLE_SECONDS, self._settings.export_interval_seconds)
        while not self._stopping:
            tell_at = self._tell_at
            self._resting = tell_at is None and not self._waiting
            left = DRAIN_SECONDS if tell_at is None else min(DRAIN_SECONDS, max(0.0, tell_at - time.monotonic()))
            self._wake.wait(idle if self._resting else left)
            self._wake.clear()
            if self._resting:
                self._resting = False
                if not self._stopping:
                    time.sleep(min(DRAIN_SECONDS, self._settings.export_interval_seconds))  # let a turn's worth gather
            spent = time.thread_time()
            with at_work():
                self._take_turn()
            self._tally.spend(time.thread_time() - spent)

    @property
    def _waiting(self) -> int:
        """Finished invocations that are not folded."""
        journal = self._journal
        waiting = len(self.queue) + len(self.chosen) + sum([len(operation.tally) for operation in self._operations()])
        return waiting if journal is None else waiting + len(journal.queue)

    def _take_turn(self) -> None:
        try:
            if self._journal is not None:
                self._journal.beat()
            with self._lock:
                self._aggregator.look_at_running()
                if self._trouble_begins():
                    self._set_apart()
                self._fold()
                self._count_lost()
                trouble = failures(self._aggregator.cells)
            now = time.monotonic()
            since = now - self._last_cut
            due = since >= (ENDING_SECONDS if self._ending else self._settings.export_interval_seconds)
            if due or (trouble and since >= TROUBLE_SECONDS):
                heartbeat = now - self._last_heartbeat >= self._settings.export_interval_seconds
                self._cut(everything=self._ending, heartbeat=heartbeat)
                self._tell_at = None
            else:
                self._tell_at = self._last_cut + TROUBLE_SECONDS if trouble else None
        except Exception:  # noqa: BLE001 - the loop must outlive any one bad item
            self._tell_at = None  # it is tried again with the next turn, and not at once and for ever
            self.count_drop("internal", "drain_fault")
            _log.debug("drain failed", exc_info=True)

    def _count_lost(self) -> None:
        """Count calls that do not come back. Needs the lock; a fault of it keeps nothing else from being told."""
        try:
            for lost in self._overdue.look(time.perf_counter_ns()):
                self._aggregator.add(lost)
        except Exception:  # noqa: BLE001 - as in a turn: counted, and what has ended is told all the same
            self.count_drop("internal", "drain_fault")
            _log.debug("running calls could not be looked at", exc_info=True)

    def _trouble_begins(self) -> bool:
        """Whether the first failed call of an interval waits to be folded. Needs the lock."""
        if time.monotonic() - self._last_cut < TROUBLE_SECONDS or failures(self._aggregator.cells):
            return False
        queues = (self.queue,) if self._journal is None else (self.queue, self._journal.queue)
        return any(_good_ones(queue) < len(queue) for queue in queues)

    def _set_apart(self) -> None:
        """Close the interval before a trouble: the good calls of seconds would hide the first bad ones. Needs the lock."""
        self._fold_some(self.queue, _good_ones(self.queue))
        if self._journal is not None:
            self._journal.folded += self._fold_some(self._journal.queue, _good_ones(self._journal.queue))
        self._fold_plain()
        if self._close_interval(heartbeat=False):
            self._last_cut = time.monotonic() - (TROUBLE_SECONDS - SECOND_LOOK_SECONDS)

    def _fold(self) -> None:
        """Move finished invocations into histograms and the trace buffer. Needs the lock."""
        journal = self._journal
        if journal is not None:
            left = len(journal.queue)
            while left > 0:
                journal.folded += self._fold_some(journal.queue, min(left, PUBLISH_EVERY))
                left -= PUBLISH_EVERY
                if journal.due:
                    journal.fold(self._interval_start_ns, self._aggregator.cells, self._tally.drops)
        self._fold_some(self.queue, len(self.queue))
        self._fold_plain()

    def _fold_plain(self) -> None:
        """The same for plain successes that were decided on where they ended. Needs the lock."""
        count = self._aggregator.add
        for _ in range(len(self.chosen)):
            invocation = self.chosen.popleft()
            count(invocation)
            self._traces.choose(invocation)
            if len(self._traces.kept) >= SPAN_BATCH:
                self._send_spans()
        for operation in self._operations():
            tally = operation.tally
            if tally:
                take = tally.popleft
                self._aggregator.add_durations(operation, [take() for _ in range(len(tally))])

    def _fold_some(self, queue: deque[Any], most: int) -> int:
        """Fold up to so many; return how many were there."""
        take, folded = queue.popleft, 0
        while folded < most and queue:
            items = [take() for _ in range(min(most - folded, len(queue), SPAN_BATCH))]
            folded += len(items)
            self._fold_items(items)
            if len(self._traces.kept) >= SPAN_BATCH:
                self._send_spans()
        return folded

    def _fold_items(self, items: list[Any]) -> None:
        traces, add, refs = self._traces, self._traces.add, sys.getrefcount
        at = time.monotonic()
        lone: list[Invocation] = []
        put_lone = lone.append
        plain: dict[Operation, list[int]] = {}
        operation: Operation | None = None
        ended: Callable[[int], None] = _DEAD_END.append
        for item in items:
            try:
                if type(item) is tuple:
                    if item[0] is not operation:
                        operation = item[0]
                        ended = plain.setdefault(operation, []).append
                    ended(item[1])
                elif type(item) is Invocation:
                    if item.more is None:
                        if item.operation is not operation:
                            operation = item.operation
                            ended = plain.setdefault(operation, []).append
                        ended(item.duration_ns)
                        if item.ids is None and item.parent is None and refs(item) == _ITEM_REFS:
                            put_lone(item)
                        else:
                            add(item, at)
                    else:
                        if is_told(item):
                            self._overdue.learn_late(item)
                        else:
                            self._aggregator.add(item)
                        add(item, at)
                else:
                    add(item, at)
            except Exception:  # noqa: BLE001 - one odd record must not cost the others
                self.count_drop("internal", "record_fault")
                _log.debug("a record could not be counted", exc_info=True)
        traces.add_lone(lone)
        for busy, durations in plain.items():
            self._aggregator.add_durations(busy, durations)

    def _send_spans(self) -> None:
        """Encode the spans chosen so far and queue them for export. Needs the lock."""
        self._put_spans(*self._take_spans())

    def _put_spans(self, kept: list[Kept], offset: int) -> None:
        """Queue chosen spans, no more of them in a request than are gathered for one."""
        for first in range(0, len(kept), SPAN_BATCH):
            self.dispatch.put_spans(kept[first : first + SPAN_BATCH], offset)

    def _take_spans(self) -> tuple[list[Kept], int]:
        """The spans chosen so far, each the exemplar of its cell if there is none yet, and how far the clocks are apart."""
        kept, offset = self._traces.take(), time.time_ns() - time.perf_counter_ns()
        self._attach_exemplars(kept, offset)
        return kept, offset

    def _cut(self, *, everything: bool, heartbeat: bool) -> bool:
        """End the interval: decide on traces, close the cells, and queue all for export.

        False: too much of before waits, so the interval goes on. Nothing of it is lost, only when within it things happened.
        """
        with self._lock:
            self._fold()
            now = time.monotonic()
            self._traces.settle(now, everything=everything)
            kept, offset = self._take_spans()
            for reason, spans in self._traces.take_dropped().items():
                self.count_drop("spans", reason, spans)
            for operation in self._operations():
                operation.slowest_ns = 0
            self._readings.note_peaks(self._aggregator, publish=heartbeat)
            if faults := self._readings.take_faults():
                self.count_drop("internal", "shim_fault", faults)
            whole = self._close_interval(heartbeat=heartbeat)  # first, so that the count is sent first
            self._put_spans(kept, offset)
            logs = []
            while self._logs:
                logs.append(self._logs.popleft())
            if logs:
                self.dispatch.put_logs(logs)
            self._last_cut = now
            if heartbeat:
                self._last_heartbeat = now
            return whole

    def _close_interval(self, *, heartbeat: bool) -> bool:
        """Make the interval's metrics a request. Needs the lock."""
        if self.dispatch.metrics_full:
            return False
        answers = self._readings.answers()
        cells = self._aggregator.cells
        # A process that never told anything needs no goodbye: nobody waits for it.
        ending = self._ending and self.started
        if not (cells or self._tally or answers.new or heartbeat or ending):
            return True
        now_ns = time.time_ns()
        self._tally.spend(self.dispatch.take_overhead())
        told = self._tally.look()
        batch = MetricBatch(
            self._interval_start_ns,
            now_ns,
            cells,
            told.drops,
            told.overhead_seconds,
            answers.new,
            told.sums,
            self._ending,
        )
        try:
            self.dispatch.put_metrics(batch)
        except Exception:  # noqa: BLE001 - what hinders it may pass; the interval goes on
            self._unencoded += 1
            _log.debug("metrics could not be encoded", exc_info=True)
            if self._unencoded >= MAX_UNENCODED:
                self._leave_out(batch)
            return False
        self._unencoded = 0
        self._overdue.learn(batch.cells)
        self._aggregator.cut()
        self._tally.take(told)
        self._readings.take_answers(answers)
        self._interval_start_ns = now_ns
        return True

    def _leave_out(self, batch: MetricBatch) -> None:
        """Leave out, and count, the cells that cannot be encoded where others can. Needs the lock."""
        parts = {key: MetricBatch(batch.start_ns, batch.end_ns, {key: cell}) for key, cell in batch.cells.items()}
        odd = [key for key, part in parts.items() if not self.dispatch.can_encode(part)]
        if len(odd) < len(parts):  # else it is no cell's fault, and may pass
            for key in odd:
                self.count_drop("metrics", "encode_fault", batch.cells[key].count)
                self._aggregator.leave_out(key)

    def _attach_exemplars(self, kept: list[Kept], offset: int) -> None:
        cells, key, plain = self._aggregator.cells, self._aggregator.key, None
        for span, _ in kept:
            if type(span) is Invocation:
                if span.more is None:
                    if span.operation is plain:
                        continue  # the first of them is the exemplar of all
                    plain = span.operation
                cell = span.operation.cell if span.more is None else cells.get(key(span))
                if cell is not None and cell.exemplar is None:
                    ids = identify(span)
                    at_ns = span.started_ns + offset
                    cell.exemplar = Exemplar(span.duration_ns / 1e9, at_ns, ids.trace_id, ids.span_id)

    # -- what a kill does not reach -----------------------------------------------------------------------------------

    def _open_journal(self) -> None:
        """Keep what is counted from here on where a kill does not reach, if there is a place for it and an heir."""
        try:
            self._journal = make_journal(
                self._settings, self._ancestor, make_room=self._make_room, spare=self.queue.append
            )
        except Exception:  # noqa: BLE001 - no disk, no room, no such system: it counts in memory
            self.count_drop("internal", "no_journal")
            _log.debug("no journal", exc_info=True)
        if self._journal is None:
            return
        self.dispatch.journal = self._journal
        self._set_append(self._journal.record)
        if self._lock.acquire(timeout=MAX_WAIT_SECONDS):
            try:
                self._fold_plain()
                if self._aggregator.cells:
                    self._journal.fold(self._interval_start_ns, self._aggregator.cells, self._tally.drops)
            finally:
                self._lock.release()
        for _ in range(len(self.queue)):  # what ended in other threads meanwhile
            item = self.queue.popleft()
            if type(item) is Invocation:
                self._journal.record(item)
            else:
                self.queue.append(item)

    def _make_room(self) -> None:
        """Be called from a caller's thread when the ring is full, because calls end faster than they are folded, so they wait for
        that."""
        if self._lock.acquire(timeout=MAX_WAIT_SECONDS):
            try:
                self._fold()
            finally:
                self._lock.release()

    def connect(self, operation: Operation) -> None:
        """Have an operation's calls come here."""
        operation.append = self.append
        if self._stopping:
            operation.count = operation.choose = _DEAD_END.append
            return
        if self._journal is None:
            operation.count, operation.choose = operation.tally.append, self.chosen.append
        else:
            # A journal takes them all in the order in which they end, those that are chosen too.
            operation.count = self._journal.counter(operation, self._make_room)
            operation.choose = self._choose
        if self._settings.trace_ratio >= 1.0:
            operation.keep_at, operation.keep_every_ns = -1, 0
        else:
            operation.keep_at = operation.calls + self.gap()
            operation.keep_every_ns = int(1e9 / self._settings.traces_per_second)

    def _choose(self, invocation: Invocation) -> None:
        self.append(self._traces.named(invocation))

    def _set_append(self, append: Callable[[Invocation], None]) -> None:
        self.append = append
        for operation in self._operations():
            self.connect(operation)

    def _after_fork(self) -> None:
        """Begin anew in a forked child: nothing of the parent's is ours to send, and its threads do not exist here."""
        self._ancestor = self._ancestor or identity_of_process(self._process)
        self._process = os.getpid()
        self._lifecycle = threading.Lock()
        self._threads = ()
        if self._journal is not None:
            self._journal.forget()
            self._journal = None
        if not self._stopping:
            self._set_append(self.queue.append)
        self._reset()

    def take_settings(self, settings: Settings) -> None:
        """A new identity, after a fork."""
        self._settings = settings
        self._reset()


def _good_ones(queue: deque[Any]) -> int:
    """How many finished invocations came before the first that failed; all of them where none did."""
    items = tuple(queue)
    failed = (place for place, item in enumerate(items) if type(item) is Invocation and item.outcome.failed)
    return next(failed, len(items))
