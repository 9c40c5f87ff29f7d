"""The clock that loops are given, so that tests and backtests can bring their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["Clock", "utc_now"]

Clock = Callable[[], datetime]
"""Answers the time as UTC without a zone, as the database stores it."""


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC).replace(tzinfo=None)
