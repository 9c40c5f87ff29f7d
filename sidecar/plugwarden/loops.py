"""The event loops that a coroutine may run on: asyncio's and trio's. anyio runs on either, and shows as the one it runs on.

Neither library is loaded for it: who runs on one of them has loaded it.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Awaitable

__all__ = ["Signal", "asyncio_here", "first_step", "running_loop", "signal_here", "trio_here"]


class Signal(Protocol):
    """Something one coroutine waits for and any thread may give."""

    def give(self) -> None:
        """Wake who waits, from any thread. Raises `RuntimeError` when its loop has ended."""

    async def wait(self, seconds: float) -> None:
        """Until it is given, or so many seconds are over, which may be infinitely many."""

    async def wait_undisturbed(self, seconds: float) -> None:
        """The same by who was cancelled already, and has something to see to first."""


def first_step(steps: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """The first step of an async generator that the loop is not told of: when the loop tidies up, it would close it while whoever
    hands its items on does."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return steps.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


def trio_here() -> Any:
    """The module trio, if a task of trio's is running now; else None."""
    trio: Any = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return None
    return trio


def asyncio_here() -> Any:
    """The module asyncio, if a loop of its kind runs in this thread; else None."""
    asyncio: Any = sys.modules.get("asyncio")
    get: Any = getattr(asyncio, "_get_running_loop", None)  # not there yet while the module is being imported
    return None if get is None or get() is None else asyncio


def running_loop() -> asyncio.AbstractEventLoop | None:
    """asyncio's event loop that runs in this thread, if one does."""
    asyncio = asyncio_here()
    return None if asyncio is None else asyncio._get_running_loop()


def signal_here() -> Signal | None:
    """A signal for the coroutine that asks; None on a loop of another library."""
    trio = trio_here()
    if trio is not None:
        return _TrioSignal(trio)
    asyncio = asyncio_here()
    return None if asyncio is None else _AsyncioSignal(asyncio)


class _AsyncioSignal:
    __slots__ = ("_asyncio", "_future", "_loop")

    def __init__(self, asyncio: Any) -> None:
        self._asyncio = asyncio
        self._loop: asyncio.AbstractEventLoop = asyncio._get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def give(self) -> None:
        self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float) -> None:
        await self._asyncio.wait((self._future,), timeout=None if seconds == math.inf else seconds)

    async def wait_undisturbed(self, seconds: float) -> None:
        await self.wait(seconds)  # a cancellation is told once


class _TrioSignal:
    __slots__ = ("_event", "_token", "_trio")

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()
        self._event = trio.Event()

    def give(self) -> None:
        self._token.run_sync_soon(self._event.set)  # RunFinishedError is a RuntimeError

    async def wait(self, seconds: float) -> None:
        with self._trio.move_on_after(seconds):
            await self._event.wait()

    async def wait_undisturbed(self, seconds: float) -> None:
        with self._trio.move_on_after(seconds, shield=True):
            await self._event.wait()
