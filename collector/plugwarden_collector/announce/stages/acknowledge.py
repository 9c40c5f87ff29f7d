"""Acknowledge: whoever was told of what a person knows of is not told again while the acknowledgement holds. Its end is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..message import RESOLVED, Known, Message

__all__ = ["acknowledge"]


def acknowledge(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages that nobody knows of yet, or that their receiver was never told."""
    return [
        item
        for item in messages
        if item.status == RESOLVED
        or item.subject.known_until is None
        or item.subject.known_until <= at
        or item.key not in known.told
    ]
