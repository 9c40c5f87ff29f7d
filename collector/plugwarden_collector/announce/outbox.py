"""What must be told to whom right now, given what each receiver was told last. Pure; time is an argument.

There is no queue: whatever is not told yet is due again at the next look, so that a receiver may be away for as long as it
likes, and a restart begins where the last one ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden_collector.decide.silence import Silence, silenced_by
from plugwarden_collector.rules.file import Receiver

from .subject import Subject, source_of

__all__ = ["FIRING", "RESOLVED", "Message", "Told", "due"]

FIRING, RESOLVED = "firing", "resolved"
PRECISION = timedelta(milliseconds=1)
"""Precision of times in a message: what was told is read from it after a restart."""
UPDATE = timedelta(seconds=60)
"""A subject of which there is more to say, such as an incident that spreads, is told again no sooner than this."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver was last told of a subject that it holds for open."""

    at: datetime
    subject: Subject


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell one receiver."""

    receiver: str
    status: str
    """`firing` or `resolved`."""
    subject: Subject

    @property
    def key(self) -> tuple[str, str]:
        """Receiver and subject."""
        return self.receiver, self.subject.key


def due(
    active: Mapping[str, Subject],
    reported: Collection[str],
    told: Mapping[tuple[str, str], Told],
    receivers: Sequence[Receiver],
    silences: Sequence[Silence],
    at: datetime,
) -> list[Message]:
    """Every message that should have been delivered by now, pages first, then what began first.

    `active` are all subjects by key; `reported` names the sources (`source_of`) that have said what is active: of others, nothing
    is known to be over. `told` is by receiver and key. An end is told to whoever was told of the beginning, silenced or not:
    the receiver holds it for open.
    """
    covered = {key for key, item in active.items() if silenced_by(silences, item.labels, at) is not None}
    found: list[Message] = []
    for receiver in receivers:

        def hears_of(key: str | None, receiver: Receiver = receiver) -> bool:
            speaker = active.get(key or "")
            if speaker is None or speaker.severity not in receiver.severities:
                return False
            return speaker.key not in covered or (receiver.name, speaker.key) in told

        for key, subject in active.items():
            if subject.severity not in receiver.severities or subject.quiet or key in covered:
                continue
            last = told.get((receiver.name, key))
            if last is not None and abs(last.subject.started_at - subject.started_at) < PRECISION:
                recent = timedelta(0) <= at - last.at < UPDATE
                if last.subject.summary == subject.summary or recent:
                    continue
            if not hears_of(subject.speaker):
                found.append(Message(receiver.name, FIRING, subject))
    names = {receiver.name for receiver in receivers}
    for (name, key), last in told.items():
        if name in names and key not in active and source_of(key) in reported:
            found.append(Message(name, RESOLVED, last.subject))
    return sorted(found, key=lambda item: (item.subject.severity != "page", item.subject.started_at, item.subject.key))
