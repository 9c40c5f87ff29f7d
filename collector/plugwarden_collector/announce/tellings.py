"""What each receiver holds for open and what it is owed, from one look to the next. Pure; time is an argument.

What is owed stays until the receiver took it or a person gave it up, though what it tells of is over: it is stored at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .message import FIRING, Ending, Key, Known, Message, Telling
from .subject import Subject, source_of

__all__ = ["GONE", "MAX_TELLINGS", "Owed", "given_up", "just_over", "owed_now", "owing", "settled", "taken"]

MAX_TELLINGS = 10_000
"""Subjects that receivers hold for open or are owed; beyond, further ones wait until others end."""
GONE = "the receiver is not in the rules"
"""Why what it is owed is given up."""

Tellings = Mapping[Key, Telling]


@dataclass(frozen=True, slots=True)
class Owed:
    """What a receiver is owed of one subject."""

    receiver: str
    """Name of the receiver in the rules."""
    fingerprint: str
    """Alert, quarantine or incident."""
    status: str
    """`firing`: its beginning, and its end where it is over; `resolved`: its end."""
    since: datetime
    """Since when, UTC."""
    severity: str
    """`page` or `ticket`."""
    summary: str
    """One sentence."""
    attempts: int = 0
    """How often it was offered since the last start and not taken."""
    next_attempt_at: datetime | None = None
    """Before when it is not offered again, UTC; None: as soon as it is due and there is room."""


Tried = Callable[[str, Subject], tuple[int, datetime | None]]
"""Receiver, subject -> attempts, and when the next one may be made; None: now."""


def owed_now(tellings: Tellings, tried: Tried) -> list[Owed]:
    """Return what receivers are owed, the oldest first."""
    found = [
        Owed(
            receiver, fingerprint, item.owed,
            item.due_at if item.owed == FIRING or item.ended is None else item.ended.at,
            item.subject.severity, item.subject.summary, *tried(receiver, item.subject),
        )
        for (receiver, fingerprint), item in tellings.items()
        if item.owed is not None
    ]  # fmt: skip
    return sorted(found, key=lambda item: (item.since, item.receiver, item.fingerprint))


def just_over(known: Known) -> set[str]:
    """Return the keys of subjects that are over, and of which that was not noticed before."""
    return {key for (_, key), item in known.tellings.items() if item.ended is None and _over(key, known)}


def settled(known: Known, endings: Mapping[str, Ending], at: datetime) -> dict[Key, Telling]:
    """Return the tellings with the ends of what is over, how it ended where that is known, and without what began anew.

    Nothing has been due or told since a time to come: the clock was set back, and what waits from then on waits from now on.
    """
    found = {}
    for (name, key), item in known.tellings.items():
        if max(item.due_at, item.told_at or item.due_at) > at:
            told_at = None if item.told_at is None else min(item.told_at, at)
            item = replace(item, due_at=min(item.due_at, at), told_at=told_at)
        if key in known.active:
            item = replace(item, ended=None) if item.ended is not None else item
        elif item.ended is None and _over(key, known):
            if item.given_up_by is not None:
                continue
            item = replace(item, ended=endings.get(key, Ending(at)))
        found[name, key] = item
    return found


def owing(known: Known, messages: Sequence[Message], at: datetime) -> dict[Key, Telling]:
    """Return the tellings with what is owed by these messages, which are all that are due.

    What is owed and lasts, and is due no more, such as under a silence that has begun, is owed no more.
    """
    due = {item.key: item.subject for item in messages if item.status == FIRING and item.ended is None}
    found = {
        key: item
        for key, item in known.tellings.items()
        if item.owed != FIRING or item.ended is not None or key in due or key[1] not in known.active
    }
    for key, subject in due.items():
        item = found.get(key)
        if item is None and len(found) < MAX_TELLINGS:
            found[key] = Telling(subject, at)
        elif item is not None and item.owed == FIRING and item.subject != subject:
            found[key] = replace(item, subject=subject)
    return found


def taken(tellings: Tellings, message: Message, at: datetime) -> dict[Key, Telling]:
    """Return the tellings after a receiver has taken a message."""
    found, item = dict(tellings), tellings.get(message.key)
    if message.status == FIRING:
        before = item or Telling(message.subject, at)
        ended = before.ended
        if ended is not None and before.told_at is None:
            ended = replace(ended, told_at=at)
        found[message.key] = replace(before, subject=message.subject, told_at=at, ended=ended, given_up_by=None)
    else:
        found.pop(message.key, None)
    return found


def given_up(tellings: Tellings, key: Key, by: str) -> dict[Key, Telling]:
    """Return the tellings after a person gave up what a receiver is owed; what lasts is told again when there is more to say."""
    found, item = dict(tellings), tellings[key]
    if item.ended is not None:
        del found[key]
    else:
        found[key] = replace(item, given_up_by=by)
    return found


def _over(key: str, known: Known) -> bool:
    return key not in known.active and source_of(key) in known.reported
