"""What a gate takes from outside: the time, and chance. Tests and emulations give it a world of their own."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

from plugwarden.chance import chance
from plugwarden.contract.value import value

__all__ = ["World"]


@value
class World:
    """Read when an operation is wrapped, never per call."""

    clock: Callable[[], int] = perf_counter_ns
    """Nanoseconds that only grow; deadlines, breakers, rates and quotas go by it."""
    chance: Callable[[], float] = chance
    """A number in [0, 1): who is let through on probation, and how far open times are spread."""
