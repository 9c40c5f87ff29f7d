"""Acknowledge: whoever was told of what a person knows of is not told again while the acknowledgement holds. Its end is told, and what
was done about it since, or is to be decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from plugwarden_collector.rules.receiver import ReceiverKind

from ..message import Known, Message
from ..subject import Subject

__all__ = ["acknowledge"]


def acknowledge(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages that nobody knows of yet, or that their receiver was never told.

    An Alertmanager is told all the same: to it an alert that it does not hear of is over.
    """
    refreshed = {item.name for item in known.receivers if item.kind is ReceiverKind.ALERTMANAGER}
    return [
        item
        for item in messages
        if item.ended is not None
        or item.subject.known_until is None
        or item.subject.known_until <= at
        or item.receiver in refreshed
        or not _told(known, item)
    ]


def _told(known: Known, message: Message) -> bool:
    telling = known.tellings.get(message.key)
    if telling is None or telling.owed is not None or not telling.is_of(message.subject):
        return False
    return _course(telling.subject) == _course(message.subject)


def _course(subject: Subject) -> tuple[str, str, str]:
    return subject.done, subject.until, subject.todo
