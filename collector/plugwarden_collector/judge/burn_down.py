"""How an error budget was spent: what was left of it at each moment of its period, and how fast it burned. Pure.

Times are UTC without a zone. Time is cut into sections, counted each by itself; what is counted of a longer stretch is their sum, so that
the last moment of a burn-down is the budget itself, to the event.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from plugwarden_collector.ratios import allowed, share_left
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.slices import EmptySlices

from .burn import burn_rate

__all__ = [
    "SMALLEST",
    "BurnPoint",
    "Counted",
    "Left",
    "Section",
    "burn_down",
    "burn_points",
    "counted_span",
    "marks_of",
    "sections_of",
    "step_of",
    "with_empty_good",
]

MOST_POINTS = 130
"""About as many moments as a chart can show; a step is a round one, so that there are mostly fewer."""
STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 345_600)
"""Seconds between moments of a chart."""
EPOCH = datetime(1970, 1, 1)
SMALLEST = timedelta(microseconds=1)
"""Times are no finer."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of time that is counted by itself."""

    first: datetime
    before: datetime
    """Not part of it."""
    counts: bool
    """False: a correction leaves it out."""


@dataclass(frozen=True, slots=True)
class Left:
    """What was left of a budget at a moment of its period."""

    time: datetime
    """UTC."""
    total: int
    """Calls, or slices, from the beginning of the period on."""
    bad: int
    """Those of them that count against it."""
    remaining_ratio: float | None
    """What they leave of the budget that the calls of the period so far make; null without calls. The last is the budget's."""
    even_ratio: float
    """What would be left had it been spent evenly, so that nothing is left now: 1 to 0."""


@dataclass(frozen=True, slots=True)
class BurnPoint:
    """How fast a budget burned in one window that ended at a moment."""

    time: datetime
    """End of the window, UTC."""
    window_seconds: float
    """Its length."""
    total: int
    """Calls, or slices, in it."""
    bad: int
    """Those of them that count against the objective."""
    burn_rate: float | None
    """How many times too fast the budget burned; null without calls."""


class Counted:
    """Counts of sections that follow one another, summed up from their beginning."""

    def __init__(self, sections: Sequence[Section], counts: Mapping[int, tuple[int, int]]) -> None:
        """`counts` are total and bad by the number of a section; what is not there has none."""
        self._edges = [section.first for section in sections]
        kept = [counts.get(number, (0, 0)) if section.counts else (0, 0) for number, section in enumerate(sections)]
        self._totals, self._bads = ([0, *accumulate(item[place] for item in kept)] for place in (0, 1))

    def until(self, at: datetime) -> tuple[int, int]:
        """Return total and bad before a moment that a section begins with, or that all of them are before."""
        place = bisect_left(self._edges, at)
        return self._totals[place], self._bads[place]

    def between(self, first: datetime, before: datetime) -> tuple[int, int]:
        """Return total and bad of a stretch of time whose ends are such moments."""
        (less_total, less_bad), (total, bad) = self.until(first), self.until(before)
        return total - less_total, bad - less_bad


def counted_span(objective: Objective, at: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Return from when on, and before when, a budget counts at `at`. What is dated ahead, up to and including `until`, counts, but for what
    is of a period of the calendar that has yet to begin; slices count once they are over."""
    period = objective.period_at(at)
    if objective.cut is not None:
        return period.started_at, objective.cut.floor(at)
    before = until + SMALLEST
    return period.started_at, before if objective.calendar is None else min(before, period.ends_at)


def marks_of(objective: Objective, first: datetime, before: datetime) -> list[datetime]:
    """Return the moments of a burn-down between both ends, on full minutes, and on full hours of UTC where its steps are so long:
    then whole hours are read as they are."""
    step = step_of(objective, first, before)
    begins = first + step - (first - EPOCH) % step
    moments = (begins + step * number for number in range(int((before - first) / step) + 1))
    return [moment for moment in moments if moment < before]


def step_of(objective: Objective, first: datetime, before: datetime) -> timedelta:
    """Return how far the moments of a chart are from one another: a round length, of whole slices where they are counted."""
    length, shortest = (before - first).total_seconds(), 60 if objective.cut is None else objective.cut.seconds
    found = next((step for step in STEPS if step % shortest == 0 and length / step <= MOST_POINTS), STEPS[-1])
    return timedelta(seconds=found)


def sections_of(marks: Collection[datetime], left_out: Collection[tuple[datetime, datetime]]) -> list[Section]:
    """Return sections between the first and the last of some moments, cut at each of them and where a stretch that is left out begins and
    ends."""
    first, last = min(marks), max(marks)
    edges = {*marks} | {at for stretch in left_out for at in stretch if first < at < last}
    return [
        Section(begins, ends, not any(begin <= begins and ends <= end for begin, end in left_out))
        for begins, ends in pairwise(sorted(edges))
    ]


def with_empty_good(
    objective: Objective, sections: Sequence[Section], counts: Mapping[int, tuple[int, int]]
) -> Mapping[int, tuple[int, int]]:
    """Return counts in which empty slices are good ones, where the objective says that they are and any slice was not empty."""
    slices = objective.cut
    if slices is None or slices.empty is not EmptySlices.GOOD or not counts:
        return counts
    return {
        number: (slices.count((section.before - section.first).total_seconds()), counts.get(number, (0, 0))[1])
        for number, section in enumerate(sections)
    }


def burn_down(
    objective: Objective, counted: Counted, moments: Sequence[datetime], first: datetime, before: datetime, at: datetime
) -> list[Left]:
    """Return what was left at the beginning of a period, at some of its moments, and at `at`; then all counts that is before `before`."""
    total, _ = counted.between(first, before)
    whole = allowed(total, objective.target_ratio)
    found = []
    for moment, upto in (
        (first, first),
        *((moment, moment) for moment in moments if first < moment < at),
        (at, before),
    ):
        so_far, bad = counted.between(first, upto)
        even = 1.0 - (moment - first) / (at - first) if at > first else 0.0
        found.append(Left(moment, so_far, bad, share_left(bad, whole) if total else None, even))
    return found


def burn_points(
    objective: Objective, counted: Counted, windows: Sequence[tuple[datetime, float, datetime, datetime]]
) -> list[BurnPoint]:
    """Return burn rates in windows: each by its moment, its length in seconds, when it begins, and what it ends before."""
    found = []
    for moment, size, first, before in windows:
        total, bad = counted.between(first, before)
        rate = burn_rate(bad, total, objective.target_ratio) if total else None
        found.append(BurnPoint(moment, size, total, bad, rate))
    return found
