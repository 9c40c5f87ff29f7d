"""A lock that knows who holds it, so that whoever would wait for itself can tell."""

from __future__ import annotations

import threading
from types import TracebackType

__all__ = ["OwnedLock"]


class OwnedLock:
    """A lock that its holder cannot take again: a finalizer may run anywhere, and must not come into a fold half done."""

    __slots__ = ("_lock", "_owner")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0

    @property
    def mine(self) -> bool:
        """Whether this thread holds it."""
        return self._owner == threading.get_ident()

    def acquire(self, *, timeout: float) -> bool:
        """Take it within `timeout` seconds, 0 for at once; False when that was not possible."""
        if self.mine:
            return False
        taken = self._lock.acquire(timeout=timeout) if timeout else self._lock.acquire(blocking=False)
        if taken:
            self._owner = threading.get_ident()
        return taken

    def release(self) -> None:
        """Give it back."""
        self._owner = 0
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
