"""The keys of an `[[slo]]` table: an objective, or what is wrong with each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .about_keys import ABOUT_KEYS, about_in
from .objective import SLI_KEYS, Objective, Sli
from .pattern import ALTERNATIVE_SIGNS, EVERY, joined
from .period import NOMINAL_SECONDS, Calendar, CalendarUnit
from .saturation_keys import saturation_in
from .slice_keys import SLICE_KEYS, slice_problems, slices_in
from .slices import MIN_BAD_SLICES, MIN_SLICES
from .table import choice_at, duration_at, nearest, time_zone_at, unknown_keys
from .tiers import BUILT_IN, SRE, BurnWindows
from .workable import MAX_COUNT, name_problem, objective_problems, shown

__all__ = ["SLO_KEYS", "objective_in", "patterns_in"]

SLO_KEYS = ABOUT_KEYS | SLICE_KEYS | {
    "name", "sli", "objective", "period", "plugins", "threshold", "min_events", "min_failures", "for", "keep_firing_for", "windows",
    "time_zone", "versions", "operations", "resource",
}  # fmt: skip


def objective_in(
    table: Mapping[str, Any], place: str, problems: list[str], known: Mapping[str, BurnWindows] = BUILT_IN
) -> Objective | None:
    """Return the objective of a table; `known` are the tables of windows that it may name."""
    unknown_keys(table, SLO_KEYS, place, problems)
    before = len(problems)
    name = table.get("name")
    if wrong := name_problem(name):
        problems.append(f"{place}.name: {wrong}")
    plugins, versions, operations = (
        patterns_in(table, key, EVERY, place, problems) for key in ("plugins", "versions", "operations")
    )
    sli = choice_at(table, "sli", Sli.AVAILABILITY, place, problems) or Sli.AVAILABILITY
    target = table.get("objective")
    if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
        problems.append(f"{place}.objective: {shown(target)} must be a ratio between 0 and 1, such as 0.99 for 99 %")
        target = 0.5
    calendar = _calendar_in(table, place, problems)
    period = (
        duration_at(table, "period", "30d", place, problems) if calendar is None else NOMINAL_SECONDS[calendar.unit]
    )
    problems += _of_other_kinds(table, sli, place)
    saturated = "resource" in SLI_KEYS[sli]
    saturation = saturation_in(table, place, problems) if saturated else None
    threshold = None if saturated else duration_at(table, "threshold", None, place, problems)
    for key in ("min_events", "min_failures"):
        value = table.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_COUNT:
            problems.append(f"{place}.{key}: {shown(value)} must be a whole number from 1 to {MAX_COUNT}")
    slices = None if saturated else slices_in(table, place, problems)
    cut = saturated or slices is not None
    hold = duration_at(table, "for", 0, place, problems)
    keep = duration_at(table, "keep_firing_for", 30, place, problems)
    about = about_in(table, place, problems)
    windows = table.get("windows", SRE.name)
    if not isinstance(windows, str) or windows not in known:
        problems.append(f"{place}.windows: {shown(windows)} is no table of windows{nearest(str(windows), known)}")
    if len(problems) > before or period is None:
        return None
    found = Objective(
        str(name),
        sli,
        float(target),
        period,
        plugins,
        threshold,
        int(table.get("min_events", MIN_SLICES if cut else 20)),
        int(table.get("min_failures", MIN_BAD_SLICES if cut else 5)),
        hold or 0.0,
        keep or 0.0,
        **about,
        burn_windows=known[windows],
        calendar=calendar,
        versions=versions,
        operations=operations,
        slices=slices,
        saturation=saturation,
    )
    problems += [f"{place}.{key}: {wrong}" for key, wrong in (*objective_problems(found), *slice_problems(found))]
    return found if len(problems) == before else None


def _of_other_kinds(table: Mapping[str, Any], sli: Sli, place: str) -> Iterator[str]:
    """Yield what is wrong with keys that some kinds of SLI have: this kind needs one that is missing, or has none that is there."""
    for key in sorted({key for needed in SLI_KEYS.values() for key in needed}):
        if key in SLI_KEYS[sli] and key not in table:
            yield f"{place}.{key}: a {sli} objective needs one, such as {SLI_KEYS[sli][key]}"
        elif key not in SLI_KEYS[sli] and key in table:
            owners = " or ".join(owner for owner, needed in SLI_KEYS.items() if key in needed)
            yield f"{place}.{key}: only a {owners} objective has one"


def _calendar_in(table: Mapping[str, Any], place: str, problems: list[str]) -> Calendar | None:
    """Return the calendar of a table whose period is a word; None: its period is a length, and rolls."""
    if table.get("period") not in tuple(CalendarUnit):
        if "time_zone" in table:
            words = ", ".join(f'"{unit}"' for unit in CalendarUnit)
            problems.append(f"{place}.time_zone: only a period of the calendar has one; write period as one of {words}")
        return None
    calendar = Calendar(CalendarUnit(table["period"]))
    if "time_zone" not in table:
        return calendar
    zone = time_zone_at(table, "time_zone", place, problems)
    if zone is None:
        return calendar
    calendar = Calendar(calendar.unit, zone)
    if calendar.unit in (CalendarUnit.QUARTER, CalendarUnit.YEAR) and not calendar.on_full_hours:
        problems.append(
            f"{place}.time_zone: a {calendar.unit} of {shown(zone)} begins within an hour of UTC, and calls of that long ago are kept by "
            'the hour: what is before and after could not be told apart; write "UTC" here, or period = "month"'
        )
    return calendar


def patterns_in(table: Mapping[str, Any], key: str, default: object, place: str, problems: list[str]) -> str:
    """Return the pattern of a key of a table, which is one or a list of some: of `plugins`, `versions`, `operations`,
    `upstreams` or `services`."""
    value, example = table.get(key, default), _EXAMPLES[key]
    patterns = value if isinstance(value, list) else [value]
    if not patterns:
        problems.append(f'{place}.{key}: [] matches no {key.removesuffix("s")}; write a pattern such as "{example}"')
    for item in patterns:
        if wrong := name_problem(item):
            problems.append(f'{place}.{key}: {wrong}: a pattern such as "*" or "{example}"')
        elif len(patterns) > 1 and any(sign in item for sign in ALTERNATIVE_SIGNS):
            problems.append(
                f"{place}.{key}: {shown(item)} is one of several, and holds {{, }} or a comma; write ? there"
            )
    return joined(map(str, patterns)) if patterns else EVERY


_EXAMPLES = {
    "plugins": "image-*",
    "versions": "2.*",
    "operations": "read*",
    "upstreams": "payments-*",
    "services": "web-*",
}
