"""Requests of one signal on their way to a decode thread: large ones at once, small and many ones several together."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, Protocol, TypeVar

__all__ = ["MAX_DECODERS", "Lane"]

MAX_DECODERS = 2
"""At work on one signal at a time."""
MAX_TOGETHER = 32
"""Requests decoded at once: the fixed cost of one is then a thirtieth, and nobody waits long for the others."""
ENOUGH_BYTES = 256 * 1024
"""Requests of this size together are worth a decoder by themselves: the fixed cost is small beside the rest."""
PACE_SECONDS = 0.05
"""Small requests of a crowd are fetched so often, and not one by one as they come: each then costs a fraction
(benchmarks/decoding.py), and the commit that follows takes them together as well."""
CROWD = 16
"""Requests in hand that make a crowd: fewer come from senders that wait for their answers, and need them now."""


class Sized(Protocol):
    """What waits in a lane."""

    @property
    def body(self) -> bytes:
        """The request as it came."""


Request = TypeVar("Request", bound=Sized)


class Lane(Generic[Request]):
    """Used by any thread. Whoever puts something in asks `due`, starts a decoder then, and each decoder takes until told to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Request] = deque()
        self._bytes = 0
        self._decoders = 0
        self._promised = False
        self._begun_at = float("-inf")

    def put(self, request: Request) -> None:
        """One more. What may wait is bounded by the allowance, which every request passes before it gets here."""
        with self._lock:
            self._waiting.append(request)
            self._bytes += len(request.body)

    def drop(self, request: Request) -> None:
        """Whoever sent it gave up: what nobody has begun with is not kept, and not decoded."""
        with self._lock:
            try:
                self._waiting.remove(request)
            except ValueError:
                return  # a decoder has it
            self._bytes -= len(request.body)

    def due(self, now: float, in_hand: int) -> float | None:
        """Return in how many seconds to start a decoder, with so many requests in hand; 0 is now, and then it is counted as started.

        None where nobody is needed: those that are at work, or were promised, will do. After the wait, `keep_promise`.
        """
        with self._lock:
            if not self._waiting or self._decoders >= MAX_DECODERS:
                return None
            wait = self._begun_at + PACE_SECONDS - now
            many = len(self._waiting) >= MAX_TOGETHER or self._bytes >= ENOUGH_BYTES
            if in_hand < CROWD or many or wait <= 0:
                self._start(now)
                return 0.0
            if self._promised:
                return None
            self._promised = True
            return wait

    def keep_promise(self, now: float) -> bool:
        """The wait is over: whether to start a decoder, which is then counted."""
        with self._lock:
            self._promised = False
            if not self._waiting or self._decoders >= MAX_DECODERS:
                return False
            self._start(now)
            return True

    def take(self) -> list[Request]:
        """What one decoder decodes at once; empty when others were faster."""
        group: list[Request] = []
        size = 0
        with self._lock:
            while self._waiting and len(group) < MAX_TOGETHER and size < ENOUGH_BYTES:
                request = self._waiting.popleft()
                group.append(request)
                size += len(request.body)
            self._bytes -= size
        return group

    def again(self) -> bool:
        """A decoder has done a group: whether there is another for it; if not, it is no longer counted."""
        with self._lock:
            if self._waiting and not self._promised:
                return True
            self._decoders -= 1
            return False

    def _start(self, now: float) -> None:
        self._decoders += 1
        self._begun_at = now
