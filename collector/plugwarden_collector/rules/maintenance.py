"""Maintenance windows: times that come again at which nobody is told of some things, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from plugwarden_collector.matcher import Matcher

__all__ = ["WEEK", "Maintenance"]

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Words for the days, in the order of `datetime.weekday`."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """One window of the rules; a day is that on which it begins, where the zone is."""

    name: str
    reason: str
    """Why, for whoever wonders that nobody was told."""
    begins: time
    """Time of the day, in the zone."""
    length_seconds: float
    """At most a day."""
    zone: ZoneInfo
    matchers: tuple[Matcher, ...]
    """All of which must be true, as of a silence. Never empty."""
    days: frozenset[int] = frozenset(range(len(WEEK)))
    """Days of the week, from Monday 0 on."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.name, "reason": self.reason, "begins": f"{self.begins:%H:%M}", "length_seconds": self.length_seconds,
            "zone": self.zone.key, "matchers": [*map(str, self.matchers)], "days": [WEEK[day] for day in sorted(self.days)],
        }  # fmt: skip

    def lasts(self, at: datetime) -> tuple[datetime, datetime] | None:
        """Return from when to when the window is open that is open at a moment, all UTC without a zone; None while it is closed.

        A time that the zone's clocks skip is when they would have come to it, and of one that they show twice the first is meant; its
        length is always the same.
        """
        local = at.replace(tzinfo=UTC).astimezone(self.zone).date()
        for day in (local, local - timedelta(days=1), local - timedelta(days=2)):  # of a day and a skipped hour
            if day.weekday() not in self.days:
                continue
            start = datetime.combine(day, self.begins, self.zone).astimezone(UTC).replace(tzinfo=None)
            end = start + timedelta(seconds=self.length_seconds)
            if start <= at < end:
                return start, end
        return None
