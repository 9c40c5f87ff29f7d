"""A clock that moves when it is told to: for breakers, rates, quotas and the deadlines of what runs in place."""

from __future__ import annotations

__all__ = ["Clock"]

_START_SECONDS = 1_000
"""Not 0, which means "no deadline" to the gate."""


class Clock:
    """Given to `recording`: the gate's time stands still until `advance`."""

    def __init__(self) -> None:
        self._now_ns = int(_START_SECONDS * 1e9)

    def advance(self, seconds: float) -> None:
        """Move on. Raises `ValueError` for a time below 0: it never goes back."""
        if not seconds >= 0:
            raise ValueError(f"{seconds} s: a clock does not go back")
        self._now_ns += round(seconds * 1e9)

    @property
    def seconds(self) -> float:
        """How far it has moved."""
        return self._now_ns / 1e9 - _START_SECONDS

    def __call__(self) -> int:
        """Nanoseconds, as the gate reads them."""
        return self._now_ns
