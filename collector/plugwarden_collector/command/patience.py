"""Asking again: what commands do that stay, while a collector is gone, restarts or has no room for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from plugwarden_collector.api.refusals import ApiError

from .output import clean, errors

__all__ = ["FIRST_SECONDS", "MOST_SECONDS", "patiently", "pause_seconds"]

FIRST_SECONDS = 0.5
"""Pause after the first refusal, seconds; it doubles with each one that follows."""
MOST_SECONDS = 30.0
"""Longest pause, seconds, also of those that a collector asks for: whoever looks on wants to see that it is back."""

Answer = TypeVar("Answer")


def pause_seconds(error: ApiError, refusals: int) -> float:
    """Return how long to wait after so many refusals in a row: as long as was asked for, else twice as long each time."""
    asked = error.retry_after_seconds
    return min(
        MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(refusals - 1, 10) if asked is None else max(asked, FIRST_SECONDS)
    )


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Return the answer, asked for until there is one; that it is waited for is said once on stderr. Raises `ApiError` where waiting does
    not help, as without a token."""
    refusals = 0
    while True:
        try:
            return ask()
        except ApiError as error:
            if not error.passing:
                raise
            refusals += 1
            if refusals == 1:
                errors.print(f"plugwarden: {clean(str(error))}; waiting for it", soft_wrap=True)
            time.sleep(pause_seconds(error, refusals))
