"""The bulkhead of one plugin operation: how many calls run at once, and how many may wait for a place.

A call takes a place by adding itself to the set of running calls, which is one atomic step. Only when the set is then
too large is this module asked; the lock and the queue cost nothing while there is room.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.given import number, whole
from plugwarden.loops import signal_here

__all__ = ["Bulkhead", "BulkheadPolicy"]


@value
class BulkheadPolicy:
    """How many calls of an operation may run and wait."""

    concurrent: int = 25
    """Calls running at once (resilience4j's default). A call within a call of the same operation takes no place."""
    queue: int = 0
    """Calls that may wait for a place; 0 refuses at once."""
    wait_seconds: float = 1.0
    """The longest wait; a nearer deadline of the call cuts it short."""

    def __post_init__(self) -> None:
        if not whole(self.concurrent) >= 1:
            raise ConfigurationError(
                f"bulkhead.concurrent: must be 1 or more, a whole number; got {self.concurrent!r:.100}"
            )
        if not whole(self.queue) >= 0:
            raise ConfigurationError(f"bulkhead.queue: must be 0 or more, a whole number; got {self.queue!r:.100}")
        if not number(self.wait_seconds) >= 0:
            raise ConfigurationError(f"bulkhead.wait_seconds: must be 0 or more; got {self.wait_seconds!r:.100}")


class _Waiter:
    __slots__ = ("admitted", "entry", "wake")

    def __init__(self, entry: Hashable, wake: Callable[[], None]) -> None:
        self.entry = entry
        self.wake = wake
        self.admitted = False


class Bulkhead:
    """Places for calls. `running` is shared with whoever takes the fast path."""

    __slots__ = ("_lock", "policy", "running", "waiting")

    def __init__(self, policy: BulkheadPolicy, running: set[Any]) -> None:
        self.policy = policy
        self.running = running
        self.waiting: deque[_Waiter] = deque()
        """Calls in the queue, first come first served; read without the lock to see that there are none."""
        self._lock = threading.Lock()

    def renew_lock(self) -> None:
        """After a fork: nobody waits in the child."""
        self._lock = threading.Lock()
        self.waiting.clear()

    def change(self, policy: BulkheadPolicy | None) -> None:
        """New terms, None for no bound any more: who waits gets a place by them."""
        with self._lock:
            if policy is not None:
                self.policy = policy
            self._admit_waiting(math.inf if policy is None else policy.concurrent)

    def enter(self, entry: Hashable, wait_seconds: float) -> bool:
        """Whether `entry`, already in `running` though it is full, may stay; waits up to `wait_seconds` for a place."""
        place = threading.Event()
        waiter = self._queued(entry, place.set)
        if waiter is None:
            return entry in self.running
        try:
            place.wait(min(wait_seconds, self.policy.wait_seconds))
        except BaseException:  # interrupted, perhaps with a place in hand: it goes to the next
            if self._settle(waiter):
                self.leave(entry)
            raise
        return self._settle(waiter)

    async def enter_async(self, entry: Hashable, wait_seconds: float) -> bool:
        """The same for a coroutine: other tasks run while it waits. On a loop of a library that is not known, none waits."""
        place = signal_here()
        if place is None:
            return self.enter(entry, 0.0)
        waiter = self._queued(entry, place.give)
        if waiter is None:
            return entry in self.running
        try:
            await place.wait(min(wait_seconds, self.policy.wait_seconds))
        except BaseException:
            if self._settle(waiter):  # cancelled with a place in hand: it goes to the next
                self.leave(entry)
            raise
        return self._settle(waiter)

    def leave(self, entry: Hashable) -> None:
        """Give the place back, to the first that waits."""
        self.running.discard(entry)
        if self.waiting:
            with self._lock:
                self._admit_waiting()

    def _queued(self, entry: Hashable, wake: Callable[[], None]) -> _Waiter | None:
        """A place in the queue; None when the matter is settled: `entry` is in `running`, or out."""
        with self._lock:
            if len(self.running) <= self.policy.concurrent:
                return None
            self.running.discard(entry)
            if len(self.waiting) >= self.policy.queue:
                return None
            waiter = _Waiter(entry, wake)
            self.waiting.append(waiter)
            self._admit_waiting()  # somebody may have left before they could see this one wait
            return waiter

    def _settle(self, waiter: _Waiter) -> bool:
        with self._lock:
            if not waiter.admitted:
                self.waiting.remove(waiter)
            return waiter.admitted

    def _admit_waiting(self, places: float | None = None) -> None:
        places = self.policy.concurrent if places is None else places
        while self.waiting and len(self.running) < places:
            waiter = self.waiting.popleft()
            self.running.add(waiter.entry)
            waiter.admitted = True
            try:
                waiter.wake()
            except RuntimeError:  # its loop is closed: nobody will come for the place
                self.running.discard(waiter.entry)
