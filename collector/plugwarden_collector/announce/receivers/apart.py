"""Work of libraries that wait: each piece in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["apart"]

T = TypeVar("T")


async def apart(name: str, work: Callable[[], T]) -> T:
    """Return what some work returns. No other work waits for it, and neither does the end of the process; whoever waits no longer
    leaves it to itself. So many at once as there are deliveries (`stages.retry.MAX_AT_ONCE` for each receiver)."""
    done = Future[T]()

    def run() -> None:
        done.set_running_or_notify_cancel()
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name=f"plugwarden-{name}", daemon=True).start()
    return await asyncio.wrap_future(done)
