"""Silences: alerts that nobody is told about for a while, because a person said so and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden_collector.matcher import Matcher, all_match

__all__ = ["MAX_SILENCE", "SILENCE_ENDS", "Silence", "silenced_by"]

MAX_SILENCE = timedelta(days=31)
"""How long a silence may last, from its begin or from when it is extended."""
SILENCE_ENDS = "silence ends"
"""Name under which people are told that a silence ends, and what it hides goes on."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Matchers that must all be true of an alert's labels, and from when to when."""

    id: str
    matchers: tuple[Matcher, ...]
    """Never empty, and not all true of an alert without labels (`matcher.checked`)."""
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    owner: str | None = None
    """Who answers for it, such as a team; None: who made it."""

    def state(self, at: datetime) -> str:
        """Return `pending` before it begins, `active` while it is in force, `expired` after that (Alertmanager's words)."""
        return "pending" if at < self.starts_at else "active" if at < self.ends_at else "expired"

    def covers(self, labels: Mapping[str, str], at: datetime) -> bool:
        """Whether it speaks for an alert with these labels now."""
        return self.starts_at <= at < self.ends_at and self.speaks_of(labels)

    def speaks_of(self, labels: Mapping[str, str]) -> bool:
        """Whether it speaks for an alert with these labels while it is in force; never for the notice that a silence ends, of which two
        would keep people from each other's."""
        return labels.get("alertname") != SILENCE_ENDS and all_match(self.matchers, labels)


def silenced_by(silences: Sequence[Silence], labels: Mapping[str, str], at: datetime) -> str | None:
    """The id of the first silence that covers an alert."""
    return next((item.id for item in silences if item.covers(labels, at)), None)
