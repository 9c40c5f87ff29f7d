"""An event loop whose time is not waited for: where it would sleep, its clock moves on instead."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from plugwarden.testing.clock import Clock

__all__ = ["loop_of"]


def loop_of(clock: Clock) -> asyncio.AbstractEventLoop:
    """A loop that goes by this clock. With nothing left to wait for it raises `RuntimeError` and does not wait for ever."""
    loop = asyncio.SelectorEventLoop(_Moving(clock))
    time: Callable[[], float] = lambda: clock() / 1e9  # noqa: E731 - to be put in a method's place
    loop.time = time  # type: ignore[method-assign]
    return loop


class _Moving(selectors.SelectSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        if timeout is None:
            raise RuntimeError("nothing is left that could happen")
        self._clock.advance(timeout)
        return super().select(0)
