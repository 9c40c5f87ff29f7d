"""Inhibit: whoever hears of the subject that speaks for another need not be told of the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..message import FIRING, Known, Message
from .route import route

__all__ = ["inhibit"]


def inhibit(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages whose subjects nobody speaks for to the same receiver.

    A speaker that is muted speaks only to those who were told of it before. What must be refreshed goes on.
    """
    held = [
        Message(name, FIRING, known.active[key])
        for (name, key), item in known.tellings.items()
        if item.told_at is not None and key in known.active
    ]
    given_up = {key for key, item in known.tellings.items() if item.told_at is None and item.given_up_by is not None}
    heard = {item.key for item in (*messages, *route(held, known, at)) if item.status == FIRING} - given_up
    return [
        item
        for item in messages
        if item.ended is not None or (item.receiver, item.subject.speaker or "") not in heard or known.refreshes(item)
    ]
