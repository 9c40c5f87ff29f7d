"""The sidecar's background: a drain thread that counts and samples, and an export thread that talks to the network.

The caller's thread only appends to a deque (intake.py). When that is full the caller folds it into the histograms itself, so
counts are never lost and memory stays bounded. Nothing here runs before the first invocation.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from plugwarden.invocation import Invocation
from plugwarden.settings import Settings

from .dispatch import Dispatch
from .drain import Drain
from .estate import identity_of_process
from .intake import Intake
from .interval import Interval
from .keeping import make_estate
from .logs import LogEntry
from .tally import Tally

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from plugwarden.operation import Operation

__all__ = ["Pipeline"]

QUEUE_LIMIT = 8_192
"""Finished invocations waiting for the drain; at 100 ms a turn this is 80,000 calls/s before callers help. A caller
looks only at every 64th call of an operation, so this many more per operation may wait."""
MAX_WAIT_SECONDS = 2.0
"""A caller that ends calls faster than they can be folded waits for the fold under way: some 30 ms for 16,384 of them, and
more where many threads want the interpreter. Past this the call is counted, but not kept until it is folded."""
_LOOK_MASK = 31
"""Mask of callers' attentions, each at every 64th call of an operation: one in 32 adds up what waits at all operations."""

_log = logging.getLogger(__name__)


class Pipeline:
    """Everything between a finished call and the collector: its parts, and when they begin and end."""

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
        self._process = os.getpid()
        self._ancestor: str | None = None
        """In a forked child: the process that looks after what its family leaves."""
        self._said = ""
        """What was last said of why nothing can be sent."""
        self.intake = Intake(
            settings,
            operations,
            make_room=self._make_room,
            named=lambda invocation: self._interval.named(invocation),  # after a fork it is another
            count_drop=self.count_drop,
        )
        self._reset()
        reference = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (method := reference()) and method())

    def _reset(self) -> None:
        self.intake.clear()
        self._attended = 0
        self._tally = Tally()
        self.dispatch = Dispatch(self._settings, self._operations, self.count_drop)
        self._interval = Interval(
            self._settings.trace_ratio,
            self._operations,
            self.intake,
            self.dispatch,
            self._tally,
            lambda: self.started,
        )
        self.dispatch.estate = make_estate(
            self._settings,
            self._ancestor,
            lambda batch, about: self.dispatch.encode_left(batch, about),
            self.count_drop,
        )
        self.drain = Drain(self._settings.export_interval_seconds, self.intake, self._interval, self._tally)
        self.started = False

    # -- the caller's side ------------------------------------------------------------------------------------------

    def attend(self) -> None:
        """Be called from a caller's thread, now and then: start the background, wake it, or help it when it cannot keep up."""
        if not self.started:
            self.start()
        elif self.drain.resting:
            self.drain.wake()
        self._attended += 1
        if self._attended & _LOOK_MASK and len(self.intake.queue) <= QUEUE_LIMIT:
            return  # it costs something to see how many wait in all
        if self.intake.waiting > QUEUE_LIMIT and self._interval.lock.acquire(timeout=0):
            spent = time.thread_time()
            try:
                self._interval.fold()
            finally:
                self._interval.lock.release()
                self._tally.spend(time.thread_time() - spent)

    def _make_room(self) -> None:
        """Be called from a caller's thread when the ring is full, because calls end faster than they are folded, so they wait for
        that."""
        if self._interval.lock.acquire(timeout=MAX_WAIT_SECONDS):
            try:
                self._interval.fold()
            finally:
                self._interval.lock.release()

    def connect(self, operation: Operation) -> None:
        """Have an operation's calls come here."""
        self.intake.connect(operation)

    def emit(self, item: Invocation | ReadableSpan) -> None:
        """Take a finished invocation, or a span of the host's own provider, from where speed matters less."""
        if not self.intake.closed:
            self.intake.queue.append(item)
            self.attend()

    def emit_log(self, entry: LogEntry) -> None:
        """Take a log record."""
        if self.intake.closed:
            return
        self.intake.put_log(entry)
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
        self.drain.hurry()

    def say_goodbye(self) -> None:
        """The process will end: from now on everything leaves at once, and tells the collector that silence is meant."""
        self.drain.say_goodbye()

    def totals(self) -> dict[Any, Any]:
        """Cells since the start, for Prometheus: everything finished until now is in it."""
        with self._interval.lock:
            return self._interval.totals()

    # -- beginning and end --------------------------------------------------------------------------------------------

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

    def start(self) -> None:
        """Start the threads; a second call does nothing."""
        if self.intake.closed:
            return
        self.prepare()
        with self._lifecycle:
            if self.started or self.intake.closed:
                return
            if self.intake.journal is None:
                self._open_journal()
            for run, name in ((self.drain.run, "plugwarden-drain"), (self.dispatch.run, "plugwarden-export")):
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

    def _open_journal(self) -> None:
        """Keep what is counted from here on where a kill does not reach, if there is a place for it and an heir."""
        journal = self.intake.open_journal(self._ancestor)
        if journal is None:
            return
        self.dispatch.journal = journal
        self.intake.use(journal)
        if self._interval.lock.acquire(timeout=MAX_WAIT_SECONDS):
            try:
                self._interval.enter(journal)
            finally:
                self._interval.lock.release()
        self.intake.hand_over(journal)

    def flush(self, timeout: float) -> bool:
        """Send all there is.

        False when anything recorded since the last time was not taken within `timeout` seconds, waits on disk, or was dropped.
        """
        deadline = time.monotonic() + timeout
        while True:
            whole = self.drain.cut(everything=True, heartbeat=False)
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
        self._interval.ending = True
        self.flush(timeout * 0.5)
        with self._lifecycle:
            self.intake.close()
        # What ended while that was sent is sent too; the rest of the time is for the threads to end.
        done = self.flush(max(0.0, deadline - time.monotonic()) * 0.6) if self.started else True
        self.drain.wake()
        self.dispatch.stop()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        still_sending = any(thread.is_alive() for thread in self._threads)
        self.dispatch.shutdown(still_sending=still_sending)
        if self.intake.journal is not None:
            self.intake.journal.close()
        return done and not self._tally.lost

    def _after_fork(self) -> None:
        """Begin anew in a forked child: nothing of the parent's is ours to send, and its threads do not exist here."""
        self._ancestor = self._ancestor or identity_of_process(self._process)
        self._process = os.getpid()
        self._lifecycle = threading.Lock()
        self._threads = ()
        self.intake.renew_after_fork()
        self._reset()

    def take_settings(self, settings: Settings) -> None:
        """A new identity, after a fork."""
        self._settings = self.intake.settings = settings
        self._reset()
