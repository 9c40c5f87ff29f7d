"""Silences: alerts that nobody is told about for a while, because a person said so and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Silence", "silenced_by"]


@dataclass(frozen=True, slots=True)
class Silence:
    """Labels that must all be equal, and for how long."""

    id: str
    matchers: Mapping[str, str]
    """Label -> value, such as plugin -> csv. Never empty."""
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str

    def covers(self, labels: Mapping[str, str], at: datetime) -> bool:
        """Whether it speaks for an alert with these labels now."""
        return self.starts_at <= at < self.ends_at and all(
            labels.get(name) == value for name, value in self.matchers.items()
        )


def silenced_by(silences: Sequence[Silence], labels: Mapping[str, str], at: datetime) -> str | None:
    """The id of the first silence that covers an alert."""
    return next((item.id for item in silences if item.covers(labels, at)), None)
