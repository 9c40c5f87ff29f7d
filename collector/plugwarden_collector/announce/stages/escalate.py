"""Escalate: some receivers are told only of what others were told of for so long without anybody having said that they know of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..message import Known, Message

__all__ = ["escalate"]


def escalate(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages to receivers that wait for nobody, and those that were waited for long enough. Whoever was told stays told."""
    waits = {item.name: item.escalate_after for item in known.receivers if item.escalate_after is not None}
    if not waits:
        return list(messages)
    first: dict[str, datetime] = {}
    for (name, key), telling in known.tellings.items():
        if name not in waits:
            first[key] = min(first.get(key, telling.due_at), telling.due_at)

    def is_due(item: Message) -> bool:
        wait = waits.get(item.receiver)
        if wait is None or item.ended is not None:
            return True
        telling, subject = known.tellings.get(item.key), item.subject
        if telling is not None and telling.told_at is not None:
            return True
        if subject.known_until is not None and subject.known_until > at:
            return False
        return at - max(first.get(subject.key, subject.started_at), subject.started_at) >= wait

    return [item for item in messages if is_due(item)]
