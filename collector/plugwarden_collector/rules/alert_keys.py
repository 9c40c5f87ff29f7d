"""The keys of an `[[alert]]` table: a rule for alerts that rest on no objective, or what is wrong with each of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from .about_keys import ABOUT_KEYS, about_in
from .alert_rule import AlertKind, AlertRule, Limit, Measure, NoData, Severity
from .duration import written
from .slo_keys import patterns_in
from .table import choice_at, duration_at, unknown_keys
from .workable import DAY, name_problem, shown

__all__ = ["MAX_ALERT_RULES", "alert_in"]

MAX_ALERT_RULES = 200
"""Rules of a file: looked at once a minute, with a third of a second each, they take one thread."""
MAX_LOOKS = 100
"""Largest M of `fails = "N of M"`: what more looks than that say is said better by `for`."""
MAX_SQL = 10_000
"""Characters of a statement."""
MIN_EVERY_SECONDS = 5.0
"""Shortest time between two looks: sidecars send every five seconds."""
MIN_SILENCE_SECONDS = 60.0
"""Shortest silence: calls are known by the minute once they are older than an hour or two."""
MAX_SILENCE_SECONDS = 7 * DAY
"""Longest silence: what is usual is told by the seven days before."""
WITHIN_SECONDS = 3600.0, 400 * DAY
"""Shortest and longest time that a forecast looks ahead, in seconds."""
OVER_SECONDS = 300.0, 3600.0
"""Shortest and longest window of an anomaly, in seconds: calls are kept by the minute, and an hour of a day is not like the next."""
DEVIATIONS = 5.0
"""Deviations that are usual: at five, a month of ordinary noise in fifty plugins makes one false alarm on calls and none on the others;
at four it makes thirteen and two (measured; tests/collector/watch/test_usual.py counts them)."""
MIN_DEVIATIONS, MAX_DEVIATIONS = 3.0, 50.0
_EVERY_SECONDS = {AlertKind.ANOMALY: 300.0, AlertKind.FORECAST: 3600.0}
"""Seconds from one look to the next where a rule does not say: fourteen days are read for each look at what is usual, and a line of days
does not turn within minutes."""
_OF_ALL = ABOUT_KEYS | {"name", "kind", "severity", "every", "for", "keep_firing", "fails"}
_KEYS: Mapping[AlertKind, frozenset[str]] = {
    AlertKind.SQL: frozenset({"sql", "above", "below", "recover", "no_data"}),
    AlertKind.ABSENCE: frozenset({"plugins", "operations", "silence"}),
    AlertKind.ANOMALY: frozenset({"plugins", "measure", "over", "deviations"}),
    AlertKind.FORECAST: frozenset({"sql", "full", "within", "no_data"}),
}
"""Kind -> its keys beside those of all."""
_FAILS = re.compile(r"([1-9]\d{0,2}) of ([1-9]\d{0,2})", re.ASCII)


def alert_in(table: Mapping[str, Any], place: str, problems: list[str], line: int = 0) -> AlertRule | None:
    """Return the rule of a table; `line` is that of its statement."""
    before = len(problems)
    if "kind" not in table:
        problems.append(f"{place}.kind: is missing; write one of {', '.join(_KEYS)}")
        return None
    kind = next((item for item in _KEYS if item == table["kind"]), None)
    if kind is None:
        *others, last = _KEYS
        words = f"{', '.join(others)} or {last}; an upstream has a table of its own, [[upstream]]"
        problems.append(f"{place}.kind: {shown(table['kind'])} must be {words}")
        return None
    for key in sorted(frozenset[str]().union(*_KEYS.values()) & table.keys() - _KEYS[kind]):
        owners = " or ".join(owner for owner, keys in _KEYS.items() if key in keys)
        problems.append(f"{place}.{key}: only an alert of the kind {owners} has one")
    unknown_keys(table, _OF_ALL.union(*_KEYS.values()), place, problems)
    if wrong := name_problem(table.get("name")):
        problems.append(f"{place}.name: {wrong}")
    found: dict[str, Any] = {
        "severity": choice_at(table, "severity", Severity.TICKET, place, problems),
        "every_seconds": _length(
            table, "every", _EVERY_SECONDS.get(kind, 60.0), (MIN_EVERY_SECONDS, DAY), place, problems
        ),
        "for_seconds": _length(table, "for", 0.0, (0.0, 7 * DAY), place, problems),
        "keep_firing_seconds": _length(table, "keep_firing", 0.0, (0.0, 7 * DAY), place, problems),
        **_fails(table, place, problems),
        **about_in(table, place, problems),
    }
    found |= _OF_KIND[kind](table, place, problems)
    if len(problems) > before:
        return None
    return AlertRule(str(table["name"]), kind, place=place, line=line, **found)


def _of_sql(table: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    sql = _sql(table, place, problems)
    limit, recover = _limit(table, place, problems), None
    if limit is None:
        problems.append(f"{place}.above: is missing; write above or below, the limit that each value is compared with")
    if "recover" in table:
        recover = _recover(table["recover"], limit, place, problems)
    return {"sql": sql, "limit": limit, "recover": recover, "no_data": _no_data(table, place, problems)}


def _of_forecast(table: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    sql = _sql(table, place, problems)
    full = _number(table, "full", place, problems)
    if "full" not in table:
        problems.append(f"{place}.full: is missing; write the value that it must not come to, such as 100")
    if "within" not in table:
        problems.append(f'{place}.within: is missing; write how soon that must be foreseen, such as "14d"')
    within = _length(table, "within", DAY, WITHIN_SECONDS, place, problems)
    return {"sql": sql, "full": full, "within_seconds": within, "no_data": _no_data(table, place, problems)}


def _of_anomaly(table: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    if "plugins" not in table:
        problems.append(f'{place}.plugins: is missing; write the patterns of its plugins, such as "image-*", or "*"')
    if "measure" not in table:
        problems.append(f"{place}.measure: is missing; write one of {', '.join(Measure)}")
    over = _length(table, "over", 1800.0, OVER_SECONDS, place, problems)
    if over and DAY % over:
        problems.append(f'{place}.over: {shown(table["over"])} must divide a day, such as "10m", "30m" or "1h"')
    deviations = _number(table, "deviations", place, problems) if "deviations" in table else DEVIATIONS
    if not MIN_DEVIATIONS <= deviations <= MAX_DEVIATIONS:
        problems.append(
            f"{place}.deviations: {shown(table['deviations'])} must be from {MIN_DEVIATIONS:g} to {MAX_DEVIATIONS:g}"
        )
    return {
        "plugins": patterns_in(table, "plugins", "*", place, problems),
        "measure": choice_at(table, "measure", Measure.CALLS, place, problems),
        "over_seconds": over,
        "deviations": deviations,
    }


def _number(table: Mapping[str, Any], key: str, place: str, problems: list[str]) -> float:
    value = table.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        problems.append(f"{place}.{key}: {shown(value)} must be a number")
        return DEVIATIONS
    return float(value)


def _no_data(table: Mapping[str, Any], place: str, problems: list[str]) -> NoData | None:
    if "no_data" not in table:
        problems.append(
            f"{place}.no_data: is missing; write what a row means that was there and is not any more: ok, keep (it stays as it was) "
            "or alert"
        )
    return choice_at(table, "no_data", NoData.OK, place, problems)


def _sql(table: Mapping[str, Any], place: str, problems: list[str]) -> object:
    sql = table.get("sql")
    if not isinstance(sql, str) or not sql.strip():
        problems.append(
            f"{place}.sql: {shown(sql)} must be a statement over the views that gives a column value, and one for each label; "
            "docs/how-to/alerts-on-anything.md has some"
        )
    elif len(sql) > MAX_SQL:
        problems.append(f"{place}.sql: has {len(sql)} characters; shorten it to {MAX_SQL}")
    return sql


def _limit(table: Mapping[str, Any], place: str, problems: list[str]) -> Limit | None:
    """Return the limit that a table says; None where it says none, or one that is wrong."""
    found: dict[str, float] = {}
    before = len(problems)
    for key in ("above", "below"):
        if key in table:
            found[key] = _number(table, key, place, problems)
    if len(problems) == before and len(found) == 2 and found["above"] < found["below"]:
        problems.append(
            f"{place}.above: {shown(table['above'])} must be {shown(table['below'])} or more, or every value is beyond one of the two"
        )
    return Limit(**found) if found else None


def _recover(value: object, limit: Limit | None, place: str, problems: list[str]) -> Limit | None:
    """Return when the value of an alert that fires is well again: on the other side of the limit, or further in."""
    if not isinstance(value, dict):
        problems.append(f"{place}.recover: {shown(value)} must be a condition of its own, such as {{ below = 80 }}")
        return None
    unknown_keys(value, {"above", "below"}, f"{place}.recover", problems)
    found = _limit(value, f"{place}.recover", problems)
    if found is None or (found.above is not None and found.below is not None):
        problems.append(f"{place}.recover: write one of above and below")
        return None
    if limit is None:
        return None
    beyond = (limit.above is not None and (found.below is None or found.below > limit.above)) or (
        limit.below is not None and (found.above is None or found.above < limit.below)
    )
    if beyond:
        problems.append(
            f"{place}.recover: {found} holds while {limit} does, and the alert would come and go with each look; write the other side, "
            "further in"
        )
    return found


def _of_absence(table: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    if "plugins" not in table:
        problems.append(f'{place}.plugins: is missing; write the patterns of its plugins, such as "backup-*", or "*"')
    found: dict[str, Any] = {"plugins": patterns_in(table, "plugins", "*", place, problems)}
    operations = table.get("operations")
    if operations is not None:
        if wrong := name_problem(operations):
            problems.append(f'{place}.operations: {wrong}: a pattern such as "export" or "*"')
        found["operations"] = operations
    if "silence" not in table:
        problems.append(f'{place}.silence: is missing; write how long calls may stay away, such as "30m"')
    bounds = (MIN_SILENCE_SECONDS, MAX_SILENCE_SECONDS)
    found["silence_seconds"] = _length(table, "silence", MIN_SILENCE_SECONDS, bounds, place, problems)
    return found


def _length(
    table: Mapping[str, Any], key: str, default: float, bounds: tuple[float, float], place: str, problems: list[str]
) -> float:
    length = duration_at(table, key, default, place, problems)
    if length is None:
        return default
    least, most = bounds
    if not least <= length <= most:
        problems.append(f"{place}.{key}: {shown(table[key])} must be from {written(least)} to {written(most)}")
    return length


def _fails(table: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, int]:
    """Return at how many of how many looks it must be so."""
    value = table.get("fails", "1 of 1")
    found = _FAILS.fullmatch(value) if isinstance(value, str) else None
    if found is None or not int(found[1]) <= int(found[2]) <= MAX_LOOKS:
        problems.append(
            f'{place}.fails: {shown(value)} must be so many of the last looks, such as "3 of 5", {MAX_LOOKS} at most'
        )
        return {}
    return {"fails": int(found[1]), "looks": int(found[2])}


_OF_KIND = {
    AlertKind.SQL: _of_sql,
    AlertKind.ABSENCE: _of_absence,
    AlertKind.ANOMALY: _of_anomaly,
    AlertKind.FORECAST: _of_forecast,
}
