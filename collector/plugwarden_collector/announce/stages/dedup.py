"""Dedup: nobody is told twice, unless there is more to say, or it has lasted for long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from plugwarden_collector.rules.receiver import Receiver

from ..message import FIRING, Known, Message, Telling
from ..subject import HEALTH, Subject, source_of

__all__ = ["UPDATE", "dedup"]

_NUMBER = re.compile(r"\d[\d.,]*( ?(%|[kMGT]?i?B|ms|s|min|h|d)\b)?")
UPDATE = timedelta(seconds=60)
"""A subject of which there is more to say, such as an incident that spreads, is told again no sooner than this."""


def dedup(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages that say something new, or that are to be repeated. What is on its way to its end is not told any more,
    unless it is owed, or must be refreshed."""
    receivers = {item.name: item for item in known.receivers}
    return [
        item
        for item in messages
        if item.ended is not None or _due(item.subject, known.tellings.get(item.key), receivers.get(item.receiver), at)
    ]


def _due(subject: Subject, last: Telling | None, receiver: Receiver | None, at: datetime) -> bool:
    if last is not None and last.owed == FIRING:
        return True
    again = last is not None and receiver is not None and _again(last, receiver, at)
    if subject.quiet:
        return again and receiver is not None and receiver.expires
    return last is None or again or _news(subject, last, at)


def _news(subject: Subject, last: Telling, at: datetime) -> bool:
    if not last.is_of(subject):
        return True
    recent = timedelta(0) <= at - (last.told_at or last.due_at) < UPDATE
    return _said(last.subject) != _said(subject) and not recent


def _said(subject: Subject) -> str:
    """Return what there is to say; of the collector's own conditions without numbers, which run: how long, how much."""
    return _NUMBER.sub("", subject.summary) if source_of(subject.key) == HEALTH else subject.summary


def _again(last: Telling, receiver: Receiver, at: datetime) -> bool:
    return last.told_at is not None and last.given_up_by is None and at - last.told_at >= receiver.repeat
