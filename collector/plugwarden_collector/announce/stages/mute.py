"""Mute: nobody is told of what a silence covers, for as long as it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from plugwarden_collector.decide.silence import silenced_by

from ..message import Known, Message

__all__ = ["mute"]


def mute(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages that no silence covers. What must be refreshed goes on: a silence is no end."""
    covered = {key for key, item in known.active.items() if silenced_by(known.silences, item.labels, at) is not None}
    return [
        item for item in messages if item.ended is not None or item.subject.key not in covered or known.refreshes(item)
    ]
