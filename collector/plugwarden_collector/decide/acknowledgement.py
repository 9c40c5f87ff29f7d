"""Acknowledgements: a person knows of something that is told, and until when nobody needs to say it again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Acknowledgement"]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A person's word that they know. It holds for what began before it: what begins anew is told anew."""

    id: str
    subject: str
    """Fingerprint of an alert, or id of a quarantine or an incident."""
    made_at: datetime
    ends_at: datetime
    created_by: str
    reason: str

    def covers(self, started_at: datetime) -> bool:
        """Whether it speaks for its subject as it began then."""
        return started_at <= self.made_at
