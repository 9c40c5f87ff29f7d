"""Corrections: stretches of time that a person leaves out of error budgets, and why. Pure; times are UTC without a zone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.pattern import matches
from plugwarden_collector.rules.slices import Slices

__all__ = [
    "MAX_AGE",
    "MAX_AHEAD",
    "MAX_CORRECTIONS",
    "MAX_LENGTH",
    "Correction",
    "Stretch",
    "correction_problem",
    "excluded_seconds",
    "stretches",
    "widened",
]

MAX_CORRECTIONS = 50
"""Corrections that are in force or may still matter to a budget: each cuts time into two
more stretches, and what they hold is taken off all windows and periods every five seconds."""
MAX_LENGTH = timedelta(days=31)
"""Longest correction: what is out of order for longer is another objective."""
MAX_AGE = timedelta(days=400)
"""So far back calls are kept by the hour, and budgets count."""
MINUTES_FOR = timedelta(days=34)
"""So far back calls are surely still kept by the minute: a day less than they are (`store.upkeep.Keep`)."""
MAX_AHEAD = timedelta(days=366)
"""So far ahead a correction may begin; maintenance is planned by the year at most."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What happens from one full minute up to another counts in no budget and no burn rate of what it is about."""

    id: str
    plugins: str
    """A pattern of plugin ids, as in rules."""
    objectives: str
    """A pattern of names of objectives."""
    owners: str
    """A pattern of owners of objectives; `*` also means those without one."""
    starts_at: datetime
    ends_at: datetime
    """Not part of it."""
    reason: str
    created_by: str
    created_at: datetime
    withdrawn_at: datetime | None = None
    """When a person took it back: then it was never there."""

    def covers(self, objective: Objective, plugin: str) -> bool:
        """Whether it is about a plugin's budget of an objective."""
        return (
            matches(self.plugins, plugin)
            and matches(self.objectives, objective.name)
            and matches(self.owners, objective.owner)
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which the same corrections hold."""

    first: datetime
    before: datetime
    """Not part of it."""
    corrections: tuple[Correction, ...]


def stretches(corrections: Sequence[Correction], first: datetime, before: datetime) -> Iterator[Stretch]:
    """Yield what of a span of time is left out for anybody: no two stretches overlap, whatever their corrections do."""
    held = [item for item in corrections if item.starts_at < before and item.ends_at > first]
    marks = {max(first, item.starts_at) for item in held} | {min(before, item.ends_at) for item in held}
    for begins, ends in pairwise(sorted(marks)):
        mine = tuple(item for item in held if item.starts_at <= begins and item.ends_at >= ends)
        if mine:
            yield Stretch(begins, ends, mine)


def widened(corrections: Iterable[Correction], slices: Slices | None) -> list[Correction]:
    """Return corrections up to the ends of the slices that they touch: of a slice all counts, or nothing."""
    if slices is None:
        return list(corrections)
    return [
        replace(item, starts_at=slices.floor(item.starts_at), ends_at=slices.ceiling(item.ends_at))
        for item in corrections
    ]


def excluded_seconds(found: Iterable[Stretch], objective: Objective, plugin: str) -> float:
    """Return how much of them is left out of a plugin's budget of an objective."""
    return sum(
        (item.before - item.first).total_seconds()
        for item in found
        if any(correction.covers(objective, plugin) for correction in item.corrections)
    )


def correction_problem(starts_at: datetime, ends_at: datetime, at: datetime) -> str | None:
    """Return what keeps a correction from being counted to the event, as `field: what to write instead`."""
    for name, moment in (("starts_at", starts_at), ("ends_at", ends_at)):
        if moment.second or moment.microsecond:
            return f"{name}: {moment.isoformat()}Z must be a full minute, as calls are kept by the minute"
        if at - moment > MINUTES_FOR and moment.minute:
            return f"{name}: {moment.isoformat()}Z must be a full hour, as older calls than {MINUTES_FOR.days} days are kept by the hour"
    if ends_at <= starts_at:
        return "ends_at: must be later than starts_at"
    if ends_at - starts_at > MAX_LENGTH:
        return f"ends_at: must be at most {MAX_LENGTH.days} days after starts_at; change the objective for what lasts longer"
    if at - starts_at > MAX_AGE:
        return f"starts_at: must be at most {MAX_AGE.days} days ago, as no budget counts further back"
    if starts_at - at > MAX_AHEAD:
        return f"starts_at: must be at most {MAX_AHEAD.days} days ahead"
    return None
