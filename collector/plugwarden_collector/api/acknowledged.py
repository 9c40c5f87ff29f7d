"""Who knows of what people are told of: two fields beside an alert, an incident and a condition of the collector."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from plugwarden_collector.decide.acknowledgement import Acknowledgement

__all__ = ["acknowledged"]


def acknowledged(
    known: Iterable[Acknowledgement], subject: str, started_at: datetime | None, at: datetime
) -> dict[str, Any]:
    """Return who knows of a subject, and until when: of this time that it lasts, and not of one before. `started_at` is None of what has
    not begun."""
    said = next(
        (
            item
            for item in known
            if item.subject == subject and started_at is not None and item.ends_at > at and item.covers(started_at)
        ),
        None,
    )
    return {
        "acknowledged_by": None if said is None else said.created_by,
        "acknowledged_until": None if said is None else said.ends_at,
    }
