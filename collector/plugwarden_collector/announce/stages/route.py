"""Route: each receiver hears of the severities that it asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..message import Known, Message

__all__ = ["route"]


def route(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages that their receivers want."""
    wanted = {receiver.name: receiver.severities for receiver in known.receivers}
    return [
        item for item in messages if item.ended is not None or item.subject.severity in wanted.get(item.receiver, ())
    ]
