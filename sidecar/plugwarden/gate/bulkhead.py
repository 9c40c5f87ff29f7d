"""The bulkhead of one plugin operation: how many calls run at once, and how many may wait for a place.

A call takes a place by adding itself to the set of running calls, which is one atomic step. Only when the set is then
too large is this module asked; the lock and the queue cost nothing while there is room.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from plugwarden.errors import ConfigurationError

__all__ = ["Bulkhead", "BulkheadPolicy"]


@dataclass(frozen=True, slots=True)
class BulkheadPolicy:
    """How many calls of an operation may run and wait."""

    concurrent: int = 25
    """Calls running at once (resilience4j's default). A call within a call of the same operation takes no place."""
    queue: int = 0
    """Calls that may wait for a place; 0 refuses at once."""
    wait_seconds: float = 1.0
    """The longest wait; a nearer deadline of the call cuts it short."""

    def __post_init__(self) -> None:
        if self.concurrent < 1:
            raise ConfigurationError("bulkhead.concurrent: must be 1 or more")
        if self.queue < 0 or self.wait_seconds < 0:
            raise ConfigurationError("bulkhead.queue and bulkhead.wait_seconds: must be 0 or more")


@dataclass(slots=True, eq=False)
class _Waiter:
    entry: Hashable
    wake: Callable[[], None]
    admitted: bool = False


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
        """The same for a coroutine: other tasks run while it waits."""
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            loop.call_soon_threadsafe(lambda: None if place.done() else place.set_result(None))

        waiter = self._queued(entry, wake)
        if waiter is None:
            return entry in self.running
        try:
            await asyncio.wait((place,), timeout=min(wait_seconds, self.policy.wait_seconds))
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

    def _admit_waiting(self) -> None:
        while self.waiting and len(self.running) < self.policy.concurrent:
            waiter = self.waiting.popleft()
            self.running.add(waiter.entry)
            waiter.admitted = True
            try:
                waiter.wake()
            except RuntimeError:  # its loop is closed: nobody will come for the place
                self.running.discard(waiter.entry)
