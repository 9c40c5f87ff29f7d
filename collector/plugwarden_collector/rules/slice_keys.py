"""The keys of an `[[slo]]` table that make its budget one of slices of time, and what is wrong with each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .objective import Objective
from .period import MINUTES_FOR_SECONDS, starts_on_full
from .slices import MILLION, EmptySlices, Slices
from .table import choice_at, duration_at
from .tiers import PAGE, tiers_for
from .workable import MAX_COUNT, shown

__all__ = ["SLICE_KEYS", "slice_problems", "slices_in"]

SLICE_KEYS = frozenset({"slice", "slice_objective", "slice_min_calls", "empty_slices"})
HOUR = 3_600
LENGTHS = tuple(seconds for seconds in range(60, HOUR + 1, 60) if HOUR % seconds == 0)
"""Seconds that a slice may have: full minutes, as calls are kept, that divide an hour, as hours are counted once."""


def slices_in(table: Mapping[str, Any], place: str, problems: list[str]) -> Slices | None:
    """Return how a table cuts time; None where it does not, or is wrong, which is noted."""
    if "slice" not in table:
        problems += [
            f'{place}.{key}: only an objective of slices has one; write slice = "1m" beside it'
            for key in sorted(SLICE_KEYS & table.keys())
        ]
        return None
    before = len(problems)
    length = duration_at(table, "slice", None, place, problems)
    if length is not None and length not in LENGTHS:
        words = ", ".join(f"{seconds // 60}m" for seconds in LENGTHS)
        problems.append(f"{place}.slice: {shown(table['slice'])} must be one of {words}, which divide an hour")
    share = table.get("slice_objective")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        problems.append(
            f"{place}.slice_objective: {shown(share)} must be a ratio above 0, and 1 at most, such as 0.95: the share of good calls "
            "that makes a slice good"
        )
    elif abs(share * MILLION - round(share * MILLION)) > 1e-6 or share < 1 / MILLION:
        problems.append(f"{place}.slice_objective: {shown(share)} must have six decimals at most")
    least = table.get("slice_min_calls", 1)
    if isinstance(least, bool) or not isinstance(least, int) or not 1 <= least <= MAX_COUNT:
        problems.append(f"{place}.slice_min_calls: {shown(least)} must be a whole number from 1 to {MAX_COUNT}")
    empty = choice_at(table, "empty_slices", EmptySlices.NONE, place, problems)
    if len(problems) > before or length is None or share is None or empty is None:
        return None
    return Slices(int(length), float(share), int(least), empty)


def slice_problems(objective: Objective) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of an objective of slices, or of minutes, whose values have the right types; of another one nothing."""
    slices = objective.cut
    if slices is None:
        return
    period, length = objective.period_seconds, f"{slices.seconds // 60}m"
    if objective.saturation is not None and period > MINUTES_FOR_SECONDS:
        yield "period", 'saturation is counted by the minute, which is kept for 35 days; write 30d at most, or "month"'
        return
    if objective.calendar is not None and not starts_on_full(objective.calendar, slices.seconds):
        yield (
            "slice",
            f"a slice of {length} would be in two periods, which begin within an hour of UTC there; write 15m or a divisor of it",
        )
    elif objective.calendar is None and period % slices.seconds:
        yield "slice", f"{length} does not divide the period; write a period of full hours"
    if slices.seconds < HOUR and period > MINUTES_FOR_SECONDS:
        yield (
            "slice",
            f"slices of {length} are counted from minutes, which are kept for 35 days, and the period is longer; write 30d, "
            '"month", or slice = "1h"',
        )
    tiers = tiers_for(period, objective.burn_windows)
    shortest = min(tier.short_seconds for tier in tiers)
    if slices.seconds > 2 * shortest:  # of up to twice it, one slice is the nearest that there is to it
        yield (
            "slice",
            f"{length} is more than twice as long as the shortest window, {shortest:g} s; write a shorter slice, or a longer period",
        )
    if slices.count(period) * (1 - objective.target_ratio) < 1 - 1e-9:
        yield (
            "objective",
            f"{objective.target_ratio!r} of {slices.count(period)} slices leaves less than one that may be bad; write at most "
            f"{1 - 1 / slices.count(period):.6g}, or shorter slices",
        )
    fastest = min(tier.long_seconds for tier in objective.tiers if tier.severity == PAGE)
    held = slices.count(fastest)
    for key, value in (("min_events", objective.min_events), ("min_failures", objective.min_failures)):
        if value > held:
            yield key, f"{value} is more than the {held} slices of the fastest page's window; write at most {held}"
