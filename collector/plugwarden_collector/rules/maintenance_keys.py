"""The keys of a `[[maintenance]]` table: a window that comes again, or what is wrong with each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from .maintenance import WEEK, Maintenance
from .matcher_keys import matchers_at
from .table import duration_at, nearest, time_zone_at, unknown_keys
from .workable import DAY, name_problem, shown

__all__ = ["MAX_WINDOWS", "maintenance_in"]

MAX_WINDOWS = 200
"""Windows of a file: each is looked at whenever it is asked what nobody is to be told of."""
_KEYS = {"name", "reason", "matchers", "days", "from", "for", "zone"}
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def maintenance_in(table: Mapping[str, Any], place: str, problems: list[str]) -> Maintenance | None:
    """Return the window of a table."""
    before = len(problems)
    unknown_keys(table, _KEYS, place, problems)
    said = ((key, name_problem(table.get(key))) for key in ("name", "reason"))
    problems += [f"{place}.{key}: {wrong}" for key, wrong in said if wrong]
    begins = table.get("from")
    found = _TIME.fullmatch(begins) if isinstance(begins, str) else None
    if found is None:
        problems.append(f'{place}.from: {shown(begins)} must be a time of the day, such as "02:00"')
    if "for" not in table:
        problems.append(f'{place}.for: is missing; write how long it lasts, such as "2h"')
    length = duration_at(table, "for", DAY, place, problems)
    if length is not None and not 0 < length <= DAY:
        problems.append(f"{place}.for: {shown(table['for'])} must be longer than 0s, and 1d at most")
    zone, matchers, days = (
        time_zone_at(table, "zone", place, problems),
        matchers_at(table, place, problems),
        _days(table, place, problems),
    )
    if len(problems) > before or found is None or length is None or zone is None:
        return None
    begin = time(int(found[1]), int(found[2]))
    return Maintenance(str(table["name"]), str(table["reason"]), begin, length, ZoneInfo(zone), matchers, days)


def _days(table: Mapping[str, Any], place: str, problems: list[str]) -> frozenset[int]:
    value = table.get("days", list(WEEK))
    if not isinstance(value, list) or not value:
        problems.append(f'{place}.days: {shown(value)} must be a list of days, such as ["sat", "sun"]; without it, all')
        return frozenset()
    unknown = [word for word in value if word not in WEEK]
    problems += [f"{place}.days: {shown(word)} is no day{nearest(str(word), WEEK)}" for word in unknown]
    return frozenset(WEEK.index(word) for word in value if word in WEEK)
