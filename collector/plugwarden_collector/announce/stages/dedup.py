"""Dedup: nobody is told twice, unless there is more to say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..message import RESOLVED, Known, Message, Told
from ..subject import Subject

__all__ = ["UPDATE", "dedup"]

PRECISION = timedelta(milliseconds=1)
"""Times in a message are this exact: what was told is read from it after a restart."""
UPDATE = timedelta(seconds=60)
"""A subject of which there is more to say, such as an incident that spreads, is told again no sooner than this."""


def dedup(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages that say something new. What is on its way to its end is not told any more."""
    return [
        item
        for item in messages
        if item.status == RESOLVED or (not item.subject.quiet and _news(item.subject, known.told.get(item.key), at))
    ]


def _news(subject: Subject, last: Told | None, at: datetime) -> bool:
    if last is None or abs(last.subject.started_at - subject.started_at) >= PRECISION:
        return True
    recent = timedelta(0) <= at - last.at < UPDATE
    return last.subject.summary != subject.summary and not recent
