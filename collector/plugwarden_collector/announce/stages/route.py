"""Route: each receiver hears of the severities that it asked for, and of what its matchers match."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from plugwarden_collector.rules.receiver import Receiver

from ..message import Known, Message
from ..subject import Subject

__all__ = ["route", "wants"]


def route(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages that their receivers want."""
    receivers = {receiver.name: receiver for receiver in known.receivers}
    return [
        item
        for item in messages
        if item.ended is not None
        or ((receiver := receivers.get(item.receiver)) is not None and wants(receiver, item.subject))
    ]


def wants(receiver: Receiver, subject: Subject) -> bool:
    """Whether a receiver is to hear of a subject: each of its matchers matches a label of it, or what the rules say of it."""
    return subject.severity in receiver.severities and all(
        matcher.is_true_of(_values(subject, matcher.name)) for matcher in receiver.matchers
    )


def _values(subject: Subject, label: str) -> list[str]:
    """Return the values of a label of a subject and of what the rules say of it; one that it does not have is empty."""
    found = [subject.labels.get(label, ""), *(value for name, value in subject.also if name == label)]
    return [value for value in found if value] or [""]
