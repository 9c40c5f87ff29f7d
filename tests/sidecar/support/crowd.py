"""Many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["call_from_threads"]


def call_from_threads(threads: int, call: Callable[[], object], calls: int) -> None:
    """Call so many times from each of so many threads, and return when all have ended."""

    def run() -> None:
        for _ in range(calls):
            call()

    crowd = [threading.Thread(target=run) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
