"""What became of requests that took long to decode: sent again, they are told at once, and are not too late for ever."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["SLOW_SECONDS", "SlowRequests"]

SLOW_SECONDS = 5.0
"""Seconds from where decoding begins to its end: a sixth of what a sender waits, so that a machine three times as busy at the next
try is allowed for."""
MAX_KNOWN = 256
"""Requests that are remembered, the newest of them; a sender has a handful under way."""

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class SlowRequests(Generic[Key, Found]):
    """Used by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Key, Found] = {}

    def __bool__(self) -> bool:
        """Return whether any is known: where none is, nobody need make a key."""
        return bool(self._known)

    def remember(self, key: Key, found: Found) -> None:
        """Keep what became of one, in place of the oldest where there are too many."""
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = found
            while len(self._known) > MAX_KNOWN:
                del self._known[next(iter(self._known))]

    def known(self, key: Key) -> Found | None:
        """Return what became of it; None of one that is not known."""
        with self._lock:
            return self._known.get(key)
