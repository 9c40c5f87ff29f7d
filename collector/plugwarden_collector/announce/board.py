"""The directives in force, and everyone who waits for the next revision."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from plugwarden.contract import DirectiveSet

__all__ = ["Board"]


class Board:
    """Lives in the event loop; `publish` may be called from any thread."""

    def __init__(self, current: DirectiveSet) -> None:
        self.current = current
        self.listeners: dict[str, tuple[str, float]] = {}
        """Instance -> (service, when it last asked, in loop time): who hears of a directive."""
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        """Done once the collector stops: whatever is held open or streamed ends then."""

    @property
    def closing(self) -> bool:
        """Whether nobody may wait any more."""
        return self.closed.done()

    def close(self) -> None:
        """Let everyone who waits go, so that a shutdown need not wait for them."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._changed.set()

    def publish(self, directives: DirectiveSet) -> None:
        """Put up a new set and wake everyone who waits."""
        self._loop.call_soon_threadsafe(self._put_up, directives)

    async def wait_beyond(self, epoch: str, revision: int, timeout: float) -> DirectiveSet | None:
        """The current set, as soon as it is another than (epoch, revision); None after `timeout` seconds."""
        deadline = self._loop.time() + timeout
        # Also one that claims to know a later revision is told what there is: nobody can, and it would be deaf until then.
        while self.current.epoch == epoch and self.current.revision == revision:
            remaining = deadline - self._loop.time()
            if remaining <= 0 or self.closing:
                return None
            changed = self._changed
            with suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await changed.wait()
        return self.current

    def heard_from(self, service: str, instance: str) -> None:
        """Note that a sidecar asks."""
        if instance:
            self.listeners[instance] = (service, self._loop.time())
            if len(self.listeners) > 10_000:
                oldest = min(self.listeners, key=lambda name: self.listeners[name][1])
                del self.listeners[oldest]

    def _put_up(self, directives: DirectiveSet) -> None:
        self.current = directives
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
