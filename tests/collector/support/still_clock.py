"""A clock that stands still until it is moved."""

from __future__ import annotations

from datetime import datetime, timedelta

from plugwarden_collector.clock import utc_now

AT = datetime(2026, 1, 1, 12)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


class StillClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = utc_now()

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
