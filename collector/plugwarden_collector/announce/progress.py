"""How far a receiver of events has got: a value. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from .event import Event
from .stages.retry import RESOLVED_FOR, Attempts, picked

__all__ = ["MAX_AHEAD", "Progress", "ready"]

MAX_AHEAD = 256
"""Events that wait for one receiver in memory; the log has those after them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What waits for a receiver, and where it goes on. Every change is a new value."""

    read_to: int
    """Sequence up to which the log was read."""
    waiting: tuple[Event, ...] = ()
    """In the order of the log."""
    attempts: Attempts = field(default_factory=Attempts)
    """By subject."""
    refused_since: Mapping[str, datetime] = field(default_factory=dict)
    """Subject -> since when the receiver has refused what it is sent of it."""

    @property
    def sent_to(self) -> int:
        """Sequence up to which all is delivered: from here it goes on after a restart."""
        return self.waiting[0].sequence - 1 if self.waiting else self.read_to

    @property
    def room(self) -> int:
        """Events that may be read further."""
        return MAX_AHEAD - len(self.waiting)

    def read(self, events: Iterable[Event], to: int) -> Progress:
        """Return the progress with what the log had up to a sequence."""
        return replace(self, waiting=(*self.waiting, *events), read_to=to)

    def begun(self, event: Event) -> Progress:
        """Return the progress with one more delivery under way."""
        return replace(self, attempts=self.attempts.begun(event.subject))

    def taken(self, event: Event) -> Progress:
        """Return the progress after the receiver has taken an event."""
        return self._without(event, {key: at for key, at in self.refused_since.items() if key != event.subject})

    def missed(self, event: Event, now: float, wait_seconds: float = 0.0) -> Progress:
        """Return the progress after no answer, or one that says that the receiver is in trouble and wants to be left alone for so long."""
        return replace(self, attempts=self.attempts.missed(event.subject, now, wait_seconds))

    def refused(self, event: Event, now: float, at: datetime) -> Progress:
        """Return the progress after the receiver was there and did not want an event as it is."""
        since = {event.subject: at, **self.refused_since}
        return replace(self, attempts=self.attempts.refused(event.subject, now), refused_since=since)

    def gives_up(self, event: Event, at: datetime) -> bool:
        """Whether a refused event goes, so that what comes after it is told: its subject was refused for an hour on end."""
        return at - self.refused_since.get(event.subject, at) >= RESOLVED_FOR

    def given_up(self, event: Event) -> Progress:
        """Return the progress without an event that the receiver will not take."""
        return self._without(event, self.refused_since)

    def _without(self, event: Event, refused_since: Mapping[str, datetime]) -> Progress:
        waiting = tuple(item for item in self.waiting if item.sequence != event.sequence)
        return replace(
            self, waiting=waiting, attempts=self.attempts.delivered(event.subject), refused_since=refused_since
        )


def ready(progress: Progress, now: float) -> Event | None:
    """Return what to send to a receiver now: one at a time, in the order of the log, past those of subjects that have to wait.

    A receiver that is away is asked with another subject each time: it may be a single event that it fails at.
    """
    if progress.attempts.under_way:
        return None
    firsts: dict[str, Event] = {}
    for event in progress.waiting:
        firsts.setdefault(event.subject, event)
    chosen = picked(firsts, progress.attempts, now)
    return firsts[chosen[0]] if chosen else None
