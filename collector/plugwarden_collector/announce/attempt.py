"""An attempt to tell somebody: it is recorded before it is made, and again with its result, so that no end of ours loses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from plugwarden_collector.clock import Clock
from plugwarden_collector.store.ledger import Delivery, Note

from .receivers.answer import Answer, Verdict
from .receivers.apart import apart

__all__ = ["Notebook", "attempted"]

RECORD_SECONDS = 2.0
"""Longest wait for the record of an attempt, and then for its line in the spare log: a disk that is full is what people must be told of."""


class Notebook(Protocol):
    """Where attempts are recorded."""

    @property
    def full(self) -> bool:
        """Whether no further attempt may begin, for so many are not recorded yet."""

    def add(self, *notes: Note) -> Future[None]:
        """Record something; the future ends when it is on disk."""

    def hold(self, attempt: Delivery) -> None:
        """Keep an attempt that is not on disk yet where no end of ours loses it."""


async def attempted(
    notes: Notebook, draft: Delivery, send: Callable[[], Awaitable[Answer]], clock: Clock
) -> tuple[Answer, Delivery]:
    """Return what the receiver made of an attempt, and the record of that, which the caller stores with what follows from it."""
    stored = asyncio.wrap_future(notes.add(draft))
    await asyncio.wait([stored], timeout=RECORD_SECONDS)
    if not stored.done():
        with suppress(TimeoutError):
            async with asyncio.timeout(RECORD_SECONDS):
                await apart("attempt", lambda: notes.hold(draft))
    try:
        answer = await send()
    except asyncio.CancelledError:
        notes.add(replace(draft, status="failed", error="the collector was stopped meanwhile", finished_at=clock()))
        raise
    except Exception as problem:  # noqa: BLE001 - told to whoever asked, and the others want their alerts
        # No text of an error of others': it may hold the receiver's address.
        answer = Answer(Verdict.MISSED, f"the attempt failed with {type(problem).__name__}")
    status = "sent" if answer.verdict is Verdict.TAKEN else "failed"
    return answer, replace(draft, status=status, error=answer.error, finished_at=clock())
