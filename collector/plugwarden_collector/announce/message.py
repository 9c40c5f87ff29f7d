"""Messages to receivers, and what the stages that they pass look at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.rules.receiver import Receiver

from .subject import Subject

__all__ = ["FIRING", "RESOLVED", "Ending", "Key", "Known", "Message", "Stage", "Telling"]

FIRING, RESOLVED = "firing", "resolved"

PRECISION = timedelta(milliseconds=1)
"""Stores of earlier versions kept times this exact."""
Key = tuple[str, str]
"""Name of a receiver, and key of a subject."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a subject ended."""

    at: datetime
    kind: str = "over"
    """Kind of the decision that ended it, such as `released`; `resolved` of an alert; `over` where nothing says how."""
    actor: str = ""
    reason: str = ""
    told_at: datetime | None = None
    """When its beginning was told, where that was not before it had ended."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell one receiver."""

    receiver: str
    status: str
    """`firing` or `resolved`."""
    subject: Subject
    ended: Ending | None = None
    """How it ended: an end has one, and so has a beginning that is told late. No stage holds such a message back."""

    @property
    def key(self) -> Key:
        """Receiver and subject."""
        return self.receiver, self.subject.key


@dataclass(frozen=True, slots=True)
class Telling:
    """What one receiver holds for open of a subject, or is owed of it."""

    subject: Subject
    """What was told last; before that, what is to be told."""
    due_at: datetime
    """Since when its beginning has been due."""
    told_at: datetime | None = None
    """When it was told last; None: the beginning is owed."""
    ended: Ending | None = None
    """How it ended; None while it lasts."""
    given_up_by: str | None = None
    """Who gave it up: nothing of it is owed any more, unless there is more to say."""

    def is_of(self, subject: Subject) -> bool:
        """Whether it is of this time that a subject lasts: one that began anew is another to whoever was told of the one before."""
        return abs(self.subject.started_at - subject.started_at) < PRECISION

    @property
    def owed(self) -> str | None:
        """What the receiver is owed: `firing`, `resolved`, or None."""
        if self.told_at is None:
            return FIRING if self.given_up_by is None else None
        return RESOLVED if self.ended is not None else None


@dataclass(frozen=True, slots=True)
class Known:
    """What stages look at beside the messages."""

    active: Mapping[str, Subject]
    """Subjects that people must know of now, by key (`subject.active_at`)."""
    reported: Collection[str]
    """Sources (`source_of`) that have said what is active: of others, nothing is known to be over."""
    tellings: Mapping[Key, Telling]
    receivers: Sequence[Receiver]
    silences: Sequence[Silence]
    apart: Collection[tuple[str, str]] = ()
    """Receivers and groups that are told one message at a time, for the receiver refused several at once."""

    def refreshes(self, message: Message) -> bool:
        """Whether a receiver holds a subject for open that is over to it when it is not told again: that would be no true end."""
        telling = self.tellings.get(message.key)
        told = telling is not None and telling.told_at is not None and telling.given_up_by is None
        return told and any(item.expires for item in self.receivers if item.name == message.receiver)


Stage = Callable[[Sequence[Message], Known, datetime], list[Message]]
"""Returns the messages that go on, at a time. What has ended passes every stage: the receiver holds it for open, or is owed it."""
