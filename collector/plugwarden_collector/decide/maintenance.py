"""Silences that maintenance windows of the rules make while they are open."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from plugwarden_collector.rules.maintenance import Maintenance

from .identity import new_id
from .silence import Silence

__all__ = ["BY_RULES", "silences_at"]

BY_RULES = "the rules"
"""Who made them, where a silence names a person."""


def silences_at(windows: Iterable[Maintenance], at: datetime) -> tuple[Silence, ...]:
    """Return a silence for each window that is open at a moment, equal to another of the same opening."""
    return tuple(
        Silence(new_id("m", item.name), item.matchers, *span, BY_RULES, f"{item.name}: {item.reason}")
        for item in windows
        if (span := item.lasts(at)) is not None
    )
