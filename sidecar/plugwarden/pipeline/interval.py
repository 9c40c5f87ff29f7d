"""The interval under way: what of its calls is counted, and which spans are kept, until it is told.

All of it needs the lock, which its holder cannot take again.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from plugwarden.invocation import Invocation, identify

from .aggregate import Aggregator, Exemplar, MetricBatch, failures, merge_cells
from .dispatch import Dispatch
from .intake import Intake
from .journal import PUBLISH_EVERY, Journal
from .overdue import Overdue, is_told
from .owned_lock import OwnedLock
from .readings import Readings
from .sampling import Kept, TraceBuffer
from .tally import Tally

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["Interval"]

MAX_UNENCODED = 3
"""Times in a row that an interval could not be encoded before its parts are tried one by one."""
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


class Interval:
    """Moves what waits at an intake into histograms and the trace buffer, and what they hold into requests."""

    def __init__(
        self,
        trace_ratio: float,
        operations: Callable[[], Collection[Operation]],
        intake: Intake,
        dispatch: Dispatch,
        tally: Tally,
        started: Callable[[], bool],
    ) -> None:
        """`started`: whether this process ever told anything."""
        self.lock = OwnedLock()
        """Held by whoever calls any of the methods below."""
        self.ending = False
        """Whether the process will end: from then on each interval says so."""
        self._operations = operations
        self._intake = intake
        self._dispatch = dispatch
        self._tally = tally
        self._started = started
        self._aggregator = Aggregator()
        self._traces = TraceBuffer(trace_ratio)
        self._readings = Readings(operations)
        self._overdue = Overdue(operations)
        self._start_ns = time.time_ns()
        self._unencoded = 0

    @property
    def failed(self) -> bool:
        """Whether it counts calls that failed."""
        return failures(self._aggregator.cells)

    @property
    def failure_waits(self) -> bool:
        """Whether a failed call waits to be folded."""
        journal = self._intake.journal
        queues = (self._intake.queue,) if journal is None else (self._intake.queue, journal.queue)
        return any(_good_ones(queue) < len(queue) for queue in queues)

    def named(self, invocation: Invocation) -> Invocation:
        """A plain success that nobody asked for its ids, with ids that are kept. The one method that needs no lock."""
        return self._traces.named(invocation)

    def look_at_running(self) -> None:
        """Note how many calls run at this moment."""
        self._aggregator.look_at_running()

    def count_lost(self) -> None:
        """Count calls that do not come back; a fault of it keeps nothing else from being told."""
        try:
            for lost in self._overdue.look(time.perf_counter_ns()):
                self._aggregator.add(lost)
        except Exception:  # noqa: BLE001 - as in a turn: counted, and what has ended is told all the same
            self._tally.drop("internal", "drain_fault")
            _log.debug("running calls could not be looked at", exc_info=True)

    def fold(self) -> None:
        """Move finished invocations into histograms and the trace buffer."""
        journal = self._intake.journal
        if journal is not None:
            left = len(journal.queue)
            while left > 0:
                journal.folded += self._fold_some(journal.queue, min(left, PUBLISH_EVERY))
                left -= PUBLISH_EVERY
                if journal.due:
                    self._note(journal)
        self._fold_some(self._intake.queue, len(self._intake.queue))
        self._fold_plain()

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
                self._tally.drop("internal", "record_fault")
                _log.debug("a record could not be counted", exc_info=True)
        traces.add_lone(lone)
        for busy, durations in plain.items():
            self._aggregator.add_durations(busy, durations)

    def _fold_plain(self) -> None:
        """The same for plain successes that were decided on where they ended."""
        count = self._aggregator.add
        for _ in range(len(self._intake.chosen)):
            invocation = self._intake.chosen.popleft()
            count(invocation)
            self._traces.choose(invocation)
            if len(self._traces.kept) >= SPAN_BATCH:
                self._send_spans()
        for operation in self._operations():
            tally = operation.tally
            if tally:
                take = tally.popleft
                self._aggregator.add_durations(operation, [take() for _ in range(len(tally))])

    def set_apart(self) -> bool:
        """Close the interval before a trouble, where there is room for it, and return whether there was: the good calls of seconds
        would hide the first bad ones."""
        queue, journal = self._intake.queue, self._intake.journal
        self._fold_some(queue, _good_ones(queue))
        if journal is not None:
            journal.folded += self._fold_some(journal.queue, _good_ones(journal.queue))
        self._fold_plain()
        return self._close(heartbeat=False)

    def end(self, *, everything: bool, heartbeat: bool) -> bool:
        """Decide on traces, close the cells, and queue all for export. `everything`: traces that are not complete, too; `heartbeat`:
        also where nothing happened.

        False: too much of before waits, so the interval goes on. Nothing of it is lost, only when within it things happened.
        """
        self._traces.settle(time.monotonic(), everything=everything)
        kept, offset = self._take_spans()
        for reason, spans in self._traces.take_dropped().items():
            self._tally.drop("spans", reason, spans)
        for operation in self._operations():
            operation.slowest_ns = 0
        self._readings.note_peaks(self._aggregator, time.monotonic(), publish=heartbeat)
        if faults := self._readings.take_faults():
            self._tally.drop("internal", "shim_fault", faults)
        whole = self._close(heartbeat=heartbeat)  # first, so that the count is sent first
        self._put_spans(kept, offset)
        if logs := self._intake.take_logs():
            self._dispatch.put_logs(logs)
        return whole

    def _take_spans(self) -> tuple[list[Kept], int]:
        """The spans chosen so far, each the exemplar of its cell if there is none yet, and how far the clocks are apart."""
        kept, offset = self._traces.take(), time.time_ns() - time.perf_counter_ns()
        self._attach_exemplars(kept, offset)
        return kept, offset

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

    def _send_spans(self) -> None:
        """Encode the spans chosen so far and queue them for export."""
        self._put_spans(*self._take_spans())

    def _put_spans(self, kept: list[Kept], offset: int) -> None:
        """Queue chosen spans, no more of them in a request than are gathered for one."""
        for first in range(0, len(kept), SPAN_BATCH):
            self._dispatch.put_spans(kept[first : first + SPAN_BATCH], offset)

    def _close(self, *, heartbeat: bool) -> bool:
        """Make the interval's metrics a request."""
        if self._dispatch.metrics_full:
            return False
        answers = self._readings.answers()
        cells = self._aggregator.cells
        # A process that never told anything needs no goodbye: nobody waits for it.
        ending = self.ending and self._started()
        if not (cells or self._tally or answers.new or heartbeat or ending):
            return True
        now_ns = time.time_ns()
        self._tally.spend(self._dispatch.take_overhead())
        told = self._tally.look()
        batch = MetricBatch(
            self._start_ns,
            now_ns,
            cells,
            told.drops,
            told.overhead_seconds,
            answers.new,
            told.sums,
            self.ending,
        )
        try:
            self._dispatch.put_metrics(batch)
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
        self._start_ns = now_ns
        return True

    def _leave_out(self, batch: MetricBatch) -> None:
        """Leave out, and count, the cells that cannot be encoded where others can."""
        parts = {key: MetricBatch(batch.start_ns, batch.end_ns, {key: cell}) for key, cell in batch.cells.items()}
        odd = [key for key, part in parts.items() if not self._dispatch.can_encode(part)]
        if len(odd) < len(parts):  # else it is no cell's fault, and may pass
            for key in odd:
                self._tally.drop("metrics", "encode_fault", batch.cells[key].count)
                self._aggregator.leave_out(key)

    def totals(self) -> dict[Any, Any]:
        """Cells since the start: everything finished until now is in it."""
        self.fold()
        merged: dict[Any, Any] = {}
        merge_cells(merged, self._aggregator.totals)
        merge_cells(merged, {key: cell.without_cpu() for key, cell in self._aggregator.cells.items()})
        return merged

    def _note(self, journal: Journal) -> None:
        """Have the journal know of what is folded."""
        journal.fold(self._start_ns, self._aggregator.cells, self._tally.drops)

    def enter(self, journal: Journal) -> None:
        """Have a journal that is new know of what was counted before it."""
        self._fold_plain()
        if self._aggregator.cells:
            self._note(journal)


def _good_ones(queue: deque[Any]) -> int:
    """How many finished invocations came before the first that failed; all of them where none did."""
    items = tuple(queue)
    failed = (place for place, item in enumerate(items) if type(item) is Invocation and item.outcome.failed)
    return next(failed, len(items))
