"""What threads have to tell an event loop: one wake-up carries as much as there is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

Letter = TypeVar("Letter")


class Mailbox(Generic[Letter]):
    """Takes letters in any thread and hands them over on the loop's own, in order.

    Waking a loop costs a system call and a turn of it. A commit settles a hundred requests at once, and need not do so a
    hundred times.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[list[Letter]], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._letters: deque[Letter] = deque()
        self._called = False

    def post(self, letter: Letter) -> None:
        """Have a letter handed over soon; one for a loop that has ended is lost, with whoever waited for it."""
        self._letters.append(letter)
        if not self._called:
            # Should two threads get here at once, the loop is woken twice, and finds nothing the second time.
            self._called = True
            try:
                self._loop.call_soon_threadsafe(self._hand_over)
            except RuntimeError:
                self._letters.clear()
                self._called = False

    def _hand_over(self) -> None:
        # Before looking: what is posted from here on calls again.
        self._called = False
        letters = []
        while self._letters:
            letters.append(self._letters.popleft())
        if letters:
            self._deliver(letters)
