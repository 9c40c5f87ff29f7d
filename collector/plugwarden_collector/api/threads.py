"""Threads for what the API does: acts of people have their own, so that readers never keep them waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from plugwarden_collector.errors import BusyError

__all__ = ["Room"]

T = TypeVar("T")


class Room:
    """Some threads, and a bounded line before them."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._name, self._bound = name, threads + waiting
        self._threads = ThreadPoolExecutor(threads, f"plugwarden-{name}")
        self._inside = 0

    async def run(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """What `work` answers; raises `BusyError` when the line is full. Call it on the event loop."""
        if self._inside >= self._bound:
            raise BusyError(f"{self._inside} {self._name}s wait already", retry_after_seconds=2)
        self._inside += 1
        try:
            future = self._threads.submit(partial(work, *arguments, **named))
            # Counted until it is done, not until its caller goes: a call that nobody waits for holds its thread all the same.
            loop = asyncio.get_running_loop()
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave) if not loop.is_closed() else None)
        except BaseException:
            self._leave()
            raise
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Take no more, and let the threads go; what they still do ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self) -> None:
        self._inside -= 1
