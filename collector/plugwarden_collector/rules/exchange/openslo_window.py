"""Windows of OpenSLO: those that roll, and those of a calendar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from plugwarden_collector.rules.period import CalendarUnit, first_day
from plugwarden_collector.rules.workable import shown
from plugwarden_collector.rules.yaml_text import Value

from .draft import Found

__all__ = ["FIRST_DAY", "LENGTH_OF", "Window", "window_in"]

Window = Mapping[str, tuple[str, Value]]
"""Key of a rules file -> its value, and where that stands."""
FIRST_DAY = "2024-01-01"
"""Day on which a week, a month, a quarter and a year begin."""
LENGTH_OF: Mapping[CalendarUnit, str] = {
    CalendarUnit.WEEK: "1w",
    CalendarUnit.MONTH: "1M",
    CalendarUnit.QUARTER: "1Q",
    CalendarUnit.YEAR: "1Y",
}
"""Durations of OpenSLO. Source: openslo/v1, Duration shorthand."""
_UNIT_OF = {length: unit for unit, length in LENGTH_OF.items()} | {
    "7d": CalendarUnit.WEEK,
    "3M": CalendarUnit.QUARTER,
    "12M": CalendarUnit.YEAR,
}
_DAYS_OF = {"M": "30d", "Q": "90d", "Y": "365d"}
_START = re.compile(r"(\d{4})-(\d{2})-(\d{2})[ T]00:00(?::00(?:\.0+)?)?Z?")


def window_in(spec: Value, found: Found) -> Window:
    """Return what the window of an SLO says; nothing where it has none. What cannot be judged is noted."""
    windows = found.list_of(spec, "timeWindow")
    if not windows:
        if spec.at("timeWindow") is None:
            found.warn(spec, "timeWindow is missing; 30d are taken")
        return {}
    window = windows[0]
    if len(windows) > 1:
        found.refuse(windows[1], "OpenSLO allows one window; leave this one out")
    found.known(window, {"duration", "isRolling", "calendar"})
    calendar, rolling = window.at("calendar"), window.at("isRolling")
    duration = found.text(window, "duration", needed=True)
    if calendar is not None:
        if rolling is not None and rolling.value is not False:
            found.refuse(
                rolling, "a window of the calendar does not roll; write isRolling: false, or leave calendar out"
            )
        return {} if duration is None else _of_calendar(window, duration, found)
    if rolling is None or rolling.value is not True:
        found.refuse(
            rolling or window,
            "a window rolls, or is of a calendar; write isRolling: true, or calendar with startTime and timeZone",
        )
    if duration is None:
        return {}
    if longer := re.fullmatch(r"\d+([MQY])", duration.text):
        wrong = f"{shown(duration.text)} has no fixed length; write days, such as {_DAYS_OF[longer[1]]}, or calendar"
        found.refuse(duration, wrong)
        return {}
    return {"period": (duration.text, duration)}


def _of_calendar(window: Value, duration: Value, found: Found) -> Window:
    """Return a period that begins where those of the calendar do, and is as long."""
    calendar = found.mapping(window, "calendar", needed=True)
    if calendar is None:
        return {}
    found.known(calendar, {"startTime", "timeZone"})
    start, zone = (found.text(calendar, key, needed=True) for key in ("startTime", "timeZone"))
    unit = _UNIT_OF.get(duration.text)
    if unit is None:
        found.refuse(
            duration,
            f"{shown(duration.text)} is no period of the calendar; write {', '.join(LENGTH_OF.values())}, or isRolling: true",
        )
    elif start is not None and not _begins(unit, start.text):
        found.refuse(start, f"{shown(start.text)} is no midnight at which a {unit} begins; write {FIRST_DAY} 00:00:00")
    if unit is None or start is None or zone is None:
        return {}
    return {"period": (unit.value, duration), "time_zone": (zone.text, zone)}


def _begins(unit: CalendarUnit, text: str) -> bool:
    match = _START.fullmatch(text)
    if match is None:
        return False
    try:
        day = date(*map(int, match.groups()))
    except ValueError:
        return False
    return first_day(unit, day) == day
