"""Waiting for what comes about, and not for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(look: Callable[[], Any], timeout: float = 20.0) -> Any:
    """Return what `look` answers, as soon as it answers something; fail after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, "not seen in time"
        time.sleep(0.02)


def while_calling(calls: Callable[[], Any], look: Callable[[], Any], timeout: float = 40.0) -> Any:
    """Return what `look` answers, as soon as it does, while the calls go on: what is over by itself isolates nobody."""

    def called() -> Any:
        calls()
        return look()

    return eventually(called, timeout)
