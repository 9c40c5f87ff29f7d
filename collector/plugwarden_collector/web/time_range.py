"""The span of time that a request is about, and the step that suits it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from plugwarden_collector.rules.duration import seconds

__all__ = ["TimeRange"]

DEFAULT_SECONDS = 900.0
STEPS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0)
POINTS = 150
"""About as many points as a chart can show."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `since` (exclusive) to `until` (inclusive), UTC without a zone."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.until - self.since).total_seconds()

    @property
    def step(self) -> float:
        """Seconds per point, so that there are about `POINTS` of them."""
        return next((step for step in STEPS if self.seconds / step <= POINTS), STEPS[-1])

    @classmethod
    def parse(cls, since: str | None, until: str | None, at: datetime) -> TimeRange:
        """Read one from request parameters; raises `ValueError` naming the parameter."""
        end = at if until is None else _moment(until, at, "until")
        start = end - timedelta(seconds=DEFAULT_SECONDS) if since is None else _moment(since, at, "since")
        if start >= end:
            raise ValueError("since: must be before until")
        return cls(start, end)


def _moment(text: str, at: datetime, name: str) -> datetime:
    try:
        moment = at - timedelta(seconds=seconds(text))
    except (ValueError, OverflowError):  # not a duration, then
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f'{name}: {text!r} is neither ISO 8601 nor a duration such as "15m"') from error
    if not 1970 <= moment.year < 9000:
        raise ValueError(f"{name}: {text!r} is before 1970, or millennia ahead")
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
