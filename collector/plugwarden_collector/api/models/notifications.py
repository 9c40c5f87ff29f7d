"""What people were told, what receivers are owed, and giving it up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from plugwarden.contract.value import value

from plugwarden_collector.announce import tellings

from .answer import Answer
from .words import Name, ReasonedRequest

__all__ = ["Attempt", "GiveUpRequest", "GivenUp", "Notifications", "Owed"]


@dataclass(frozen=True, slots=True)
class Owed(Answer, tellings.Owed):
    """What a receiver is owed of one subject."""


@value
class Attempt(Answer):
    """An attempt to tell a receiver something."""

    time: datetime
    """When it began, UTC."""
    receiver: str
    """Name of the receiver in the rules."""
    fingerprint: str
    """Alert, quarantine or incident, several with spaces between; of an event `e-` and its sequence in the decision log."""
    status: str
    """`begun` (no result), `sent`, `failed` (tried again) or `given_up`."""
    attempt: int
    """Which attempt since the last start, from 1."""
    error: str | None
    """What went wrong; null when it was sent."""
    id: str
    """Identity of the attempt; empty of one that an earlier version made."""
    finished_at: datetime | None
    """When its result was known, UTC; null without one."""


@value
class Notifications(Answer):
    """What receivers are owed, and what was tried."""

    owed: list[Owed]
    """The oldest first."""
    attempts: list[Attempt]
    """Those that began last first."""


class GiveUpRequest(ReasonedRequest):
    """Give up what a receiver is owed."""

    receiver: Name
    fingerprint: Name | None = None


@value
class GivenUp(Answer):
    """What was given up."""

    receiver: str
    """Name of the receiver."""
    fingerprints: list[str]
    """Subjects that it is not told of any more."""
