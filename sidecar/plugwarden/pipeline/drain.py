"""When what waits is folded and when an interval ends: the drain thread, and what hurries it."""

from __future__ import annotations

import logging
import threading
import time

from plugwarden.lifetime.fork import at_work

from .intake import Intake
from .interval import Interval
from .tally import Tally

__all__ = ["Drain"]

DRAIN_SECONDS = 0.1
IDLE_SECONDS = 1.0
"""With nothing to drain it looks this often; the first call after a pause, and every failure, wake it."""
TROUBLE_SECONDS = 0.4
"""While calls fail, telemetry leaves this often, whatever the ordinary interval."""
SECOND_LOOK_SECONDS = 0.2
"""The first calls of a trouble gather for so long."""
ENDING_SECONDS = 0.25
"""Once it is known that the process will end, telemetry leaves this often: the end may come without another word."""

_log = logging.getLogger(__name__)


class Drain:
    """Turns until its intake is closed. `run` is the thread; the rest may be called from any."""

    def __init__(self, export_interval_seconds: float, intake: Intake, interval: Interval, tally: Tally) -> None:
        self._export_seconds = export_interval_seconds
        self._intake = intake
        self._interval = interval
        self._tally = tally
        self._last_cut = self._last_heartbeat = time.monotonic()
        self._wake = threading.Event()
        self.resting = False
        """Whether it waits for a call."""
        self._tell_at: float | None = None
        """Monotonic time at which what failed is told; None while nothing of the kind waits."""

    def wake(self) -> None:
        """Something has come, or the end."""
        self._wake.set()

    def hurry(self) -> None:
        """Something an operator would want to see at once has happened."""
        self._last_cut = min(self._last_cut, time.monotonic() - self._export_seconds)
        self._wake.set()

    def say_goodbye(self) -> None:
        """The process will end: from now on everything leaves at once, and tells the collector that silence is meant."""
        self._interval.ending = True
        self.hurry()

    def run(self) -> None:
        """Take turns until the intake is closed."""
        idle = min(IDLE_SECONDS, self._export_seconds)
        while not self._intake.closed:
            tell_at = self._tell_at
            self.resting = tell_at is None and not self._intake.waiting
            left = DRAIN_SECONDS if tell_at is None else min(DRAIN_SECONDS, max(0.0, tell_at - time.monotonic()))
            self._wake.wait(idle if self.resting else left)
            self._wake.clear()
            if self.resting:
                self.resting = False
                if not self._intake.closed:
                    time.sleep(min(DRAIN_SECONDS, self._export_seconds))  # let a turn's worth gather
            spent = time.thread_time()
            with at_work():
                self._take_turn()
            self._tally.spend(time.thread_time() - spent)

    def _take_turn(self) -> None:
        interval = self._interval
        try:
            if self._intake.journal is not None:
                self._intake.journal.beat()
            with interval.lock:
                interval.look_at_running()
                if self._trouble_begins() and interval.set_apart():
                    self._last_cut = time.monotonic() - (TROUBLE_SECONDS - SECOND_LOOK_SECONDS)
                interval.fold()
                interval.count_lost()
                trouble = interval.failed
            now = time.monotonic()
            since = now - self._last_cut
            due = since >= (ENDING_SECONDS if interval.ending else self._export_seconds)
            if due or (trouble and since >= TROUBLE_SECONDS):
                heartbeat = now - self._last_heartbeat >= self._export_seconds
                self.cut(everything=interval.ending, heartbeat=heartbeat)
                self._tell_at = None
            else:
                self._tell_at = self._last_cut + TROUBLE_SECONDS if trouble else None
        except Exception:  # noqa: BLE001 - the loop must outlive any one bad item
            self._tell_at = None  # it is tried again with the next turn, and not at once and for ever
            self._tally.drop("internal", "drain_fault")
            _log.debug("drain failed", exc_info=True)

    def _trouble_begins(self) -> bool:
        """Whether the first failed call of an interval waits to be folded. Needs the interval's lock."""
        if time.monotonic() - self._last_cut < TROUBLE_SECONDS or self._interval.failed:
            return False
        return self._interval.failure_waits

    def cut(self, *, everything: bool, heartbeat: bool) -> bool:
        """End the interval now; flags and answer are those of `Interval.end`."""
        with self._interval.lock:
            self._interval.fold()
            now = time.monotonic()
            whole = self._interval.end(everything=everything, heartbeat=heartbeat)
            self._last_cut = now
            if heartbeat:
                self._last_heartbeat = now
            return whole
