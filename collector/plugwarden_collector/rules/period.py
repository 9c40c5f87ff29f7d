"""Periods of error budgets: those that roll, and those of the calendar, which begin anew when a place's clock says so. Pure.

Times are UTC without a zone. A period holds its beginning and not its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

__all__ = [
    "DAY",
    "MINUTES_FOR_SECONDS",
    "NOMINAL_SECONDS",
    "Calendar",
    "CalendarUnit",
    "Period",
    "calendar_period",
    "first_day",
    "rolling_period",
    "starts_on_full",
    "time_zones",
]

DAY = 86_400.0
MINUTES_FOR_SECONDS = 35 * DAY
"""Calls are kept by the minute for so long (`store.upkeep.Keep`); before that, by the hour."""
_YEARS = range(2024, 2038)
"""Years whose boundaries are looked at: changes of clocks are in the tables of time zones up to 2037."""


class CalendarUnit(StrEnum):
    """A length of the calendar."""

    WEEK = "week"
    """From Monday on, as in ISO 8601."""
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


NOMINAL_SECONDS: Mapping[CalendarUnit, float] = {
    CalendarUnit.WEEK: 7 * DAY,
    CalendarUnit.MONTH: 30 * DAY,
    CalendarUnit.QUARTER: 90 * DAY,
    CalendarUnit.YEAR: 365 * DAY,
}
"""Seconds that burn-rate windows are scaled to; a period itself is as long as the calendar makes it."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Periods of the calendar of one place."""

    unit: CalendarUnit
    """How long they are."""
    time_zone: str = "UTC"
    """Whose midnight they begin at, by its name in the IANA database, such as `Europe/Berlin`."""

    @property
    def on_full_hours(self) -> bool:
        """Whether all of its periods begin on a full hour of UTC."""
        return starts_on_full(self, 3_600)


@dataclass(frozen=True, slots=True)
class Period:
    """From one moment up to another."""

    started_at: datetime
    ends_at: datetime
    """Not part of it."""

    @property
    def seconds(self) -> float:
        """Its length; a day on which clocks change has 23 or 25 hours."""
        return (self.ends_at - self.started_at).total_seconds()


def rolling_period(length_seconds: float, at: datetime) -> Period:
    """Return the period of a length that ends now, from the next full minute on, or hour where no minutes are kept: to the event."""
    grain = timedelta(minutes=1) if length_seconds <= MINUTES_FOR_SECONDS else timedelta(hours=1)
    begins = at - timedelta(seconds=length_seconds)
    return Period(begins - (begins - datetime.min) % grain + grain, at)


def calendar_period(calendar: Calendar, at: datetime) -> Period:
    """Return the period of a calendar that holds a moment."""
    day = at.replace(tzinfo=UTC).astimezone(_zone(calendar.time_zone)).date()
    first = first_day(calendar.unit, day)
    return Period(_midnight(calendar, first), _midnight(calendar, _next(calendar.unit, first)))


def starts_on_full(calendar: Calendar, seconds: int) -> bool:
    """Return whether all periods of a calendar begin on full so many seconds of UTC, which divide an hour."""
    return all((start.minute * 60 + start.second) % seconds == 0 for start in _starts(calendar))


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(available_timezones())


def first_day(unit: CalendarUnit, day: date) -> date:
    """Return the first day of the period that holds a day."""
    match unit:
        case CalendarUnit.WEEK:
            return day - timedelta(days=day.weekday())
        case CalendarUnit.MONTH:
            return day.replace(day=1)
        case CalendarUnit.QUARTER:
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case CalendarUnit.YEAR:
            return day.replace(month=1, day=1)


def _next(unit: CalendarUnit, first: date) -> date:
    """Return the first day of the period after the one that begins on a day."""
    longest = {CalendarUnit.WEEK: 7, CalendarUnit.MONTH: 31, CalendarUnit.QUARTER: 92, CalendarUnit.YEAR: 366}[unit]
    return first_day(unit, first + timedelta(days=longest))


def _midnight(calendar: Calendar, day: date) -> datetime:
    """Return when a day begins: where clocks skip midnight, when they do; where it comes twice, the first time."""
    local = datetime(day.year, day.month, day.day, tzinfo=_zone(calendar.time_zone))
    return local.astimezone(UTC).replace(tzinfo=None)


def _starts(calendar: Calendar) -> Iterator[datetime]:
    day = first_day(calendar.unit, date(_YEARS.start, 1, 1))
    while day.year < _YEARS.stop:
        yield _midnight(calendar, day)
        day = _next(calendar.unit, day)


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
