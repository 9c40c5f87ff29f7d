"""Messages to receivers, and what the stages that they pass look at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.rules.receiver import Receiver

from .subject import Subject

__all__ = ["FIRING", "RESOLVED", "Key", "Known", "Message", "Stage", "Told"]

FIRING, RESOLVED = "firing", "resolved"

Key = tuple[str, str]
"""Name of a receiver, and key of a subject."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell one receiver."""

    receiver: str
    status: str
    """`firing` or `resolved`."""
    subject: Subject

    @property
    def key(self) -> Key:
        """Receiver and subject."""
        return self.receiver, self.subject.key


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver was last told of a subject that it holds for open."""

    at: datetime
    subject: Subject


@dataclass(frozen=True, slots=True)
class Known:
    """What stages look at beside the messages."""

    active: Mapping[str, Subject]
    """All subjects by key."""
    reported: Collection[str]
    """Sources (`source_of`) that have said what is active: of others, nothing is known to be over."""
    told: Mapping[Key, Told]
    receivers: Sequence[Receiver]
    silences: Sequence[Silence]


Stage = Callable[[Sequence[Message], Known, datetime], list[Message]]
"""Returns the messages that go on, at a time. A message of an end passes every stage: the receiver holds its subject for open."""
