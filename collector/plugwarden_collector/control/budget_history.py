"""Asks telemetry how one plugin's error budget was spent, and how fast it burned: two questions, whatever is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden_collector.control.observe import SKEW
from plugwarden_collector.decide.correction import Correction, excluded_seconds, stretches, widened
from plugwarden_collector.judge.burn import Budget, Burn, budget_of, burns, fastest_window
from plugwarden_collector.judge.burn_down import (
    SMALLEST,
    BurnPoint,
    Counted,
    Left,
    burn_down,
    burn_points,
    counted_span,
    marks_of,
    sections_of,
    step_of,
    with_empty_good,
)
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.spending import Foreseen, exhausted_seconds, foreseen
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.period import Period
from plugwarden_collector.store.calls import Measure, Spender
from plugwarden_collector.store.telemetry import Pages

__all__ = ["BudgetHistory", "Looked", "budget_history"]

MINUTE = timedelta(minutes=1)
SHORT_SECONDS = 900.0
"""Longest window that begins on a second; longer ones begin on a full minute, as in a tick."""
MOST_SPENDERS = 50
"""Versions, operations and errors that are named with their bad calls."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Which moments burn rates are wanted of."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class BudgetHistory:
    """One plugin's budget of an objective, or what one version has of it."""

    at: datetime
    period: Period
    left: Budget
    burn_rate: float
    """In the long window of the fastest pair, now."""
    exhausted_seconds: float | None
    excluded_seconds: float
    points: list[Left]
    foreseen: list[Foreseen]
    burns: Sequence[Burn]
    """Every tier as it stands now."""
    burn_rates: list[BurnPoint]
    """Burn rates in the long windows, over the time that is looked at; of those shorter than a step of it, now alone."""
    spenders: Sequence[Spender]
    """The most first, 50 at most."""
    spenders_left_out: int
    """Bad calls of those beyond."""
    corrections: list[Correction]
    """What is left out of its period."""


def budget_history(
    pages: Pages,
    objective: Objective,
    plugin: str,
    version: str | None,
    corrections: Sequence[Correction],
    at: datetime,
    looked: Looked,
) -> BudgetHistory:
    """Return how a budget was spent, as it is counted at a moment, and its burn rates."""
    asked = _Asked(pages, objective, plugin, version, corrections)
    period, (first, before) = objective.period_at(at), counted_span(objective, at, at + SKEW)
    moments = marks_of(objective, first, min(before, at))
    counted, spenders = asked.counted({first, before, *moments})
    left = budget_of(objective, *counted.between(first, before))
    burned = asked.burned(at, looked)
    now = [point for point in burned if point.time == at]
    rate = next((point.burn_rate or 0.0 for point in now if point.window_seconds == fastest_window(objective)), 0.0)
    left_out = list(stretches(asked.corrections, period.started_at, period.ends_at))
    most = spenders[:MOST_SPENDERS]
    return BudgetHistory(
        at, period, left, rate, exhausted_seconds(objective, left, rate, at),
        excluded_seconds(left_out, objective, plugin), burn_down(objective, counted, moments, first, before, at),
        foreseen(objective, left, rate, [point.burn_rate for point in now if point.burn_rate is not None], at),
        burns(objective, {point.window_seconds: _counts(point) for point in now}),
        [point for point in burned if point.window_seconds in _longs(objective)],
        most, sum(item.bad for item in spenders[MOST_SPENDERS:]),
        [item for item in corrections if item.covers(objective, plugin) and item.starts_at < period.ends_at
         and item.ends_at > period.started_at],
    )  # fmt: skip


class _Asked:
    """Asks about one budget."""

    def __init__(
        self, pages: Pages, objective: Objective, plugin: str, version: str | None, corrections: Sequence[Correction]
    ) -> None:
        self._pages, self._objective, self._plugin, self._version = pages, objective, plugin, version
        self._measure = Measure.of(objective)
        self.corrections = widened(corrections, objective.cut)

    def counted(self, marks: set[datetime]) -> tuple[Counted, Sequence[Spender]]:
        """Return the counts between moments, the first to the last of them, and who spent what."""
        held = stretches(self.corrections, min(marks), max(marks))
        mine = [
            (part.first, part.before)
            for part in held
            if any(item.covers(self._objective, self._plugin) for item in part.corrections)
        ]
        sections = sections_of(marks, mine)
        found = self._pages.sections(self._plugin, self._measure, sections, self._version)
        return Counted(sections, with_empty_good(self._objective, sections, found.by_section)), found.spenders

    def burned(self, at: datetime, looked: Looked) -> list[BurnPoint]:
        """Return burn rates in the long windows at each step, and in all windows now, in the order of time."""
        slices, windows = self._objective.cut, []
        step = step_of(self._objective, looked.since, looked.until)
        sizes = [size for size in _longs(self._objective) if size >= step.total_seconds()]
        for moment in _moments(at, looked, step):
            windows += [(moment, size, moment - timedelta(seconds=size), moment) for size in sizes]
        for size in self._objective.windows:
            length = timedelta(seconds=size)
            if slices is None:  # as in a tick: what came after a moment, from the next full second or minute on
                grain = timedelta(seconds=1) if size <= SHORT_SECONDS else MINUTE
                windows.append((at, size, _floor(at - length, grain) + grain, at + SKEW + SMALLEST))
            else:
                windows.append((at, size, slices.floor(at) - length, slices.floor(at)))
        windows = [(moment, size, _full_minute(first, at), end) for moment, size, first, end in windows]
        counted, _ = self.counted({mark for *_, first, until in windows for mark in (first, until)})
        return burn_points(self._objective, counted, windows)


def _counts(point: BurnPoint) -> CallCounts:
    """Return the counts of a window; each kind of SLI looks at its own kind of bad calls."""
    return CallCounts(point.total, failed=point.bad, slow=point.bad)


def _longs(objective: Objective) -> list[float]:
    return sorted({tier.long_seconds for tier in objective.tiers})


def _moments(at: datetime, looked: Looked, step: timedelta) -> list[datetime]:
    """Return full steps of what is looked at, up to now."""
    moment, found = _floor(looked.since, step) + step, []
    while moment < min(at, looked.until):
        found.append(moment)
        moment += step
    return found


def _full_minute(first: datetime, at: datetime) -> datetime:
    """Return when a window begins that is of a time of which minutes are kept and no seconds: with a full one."""
    return first if at - first <= timedelta(seconds=SHORT_SECONDS) else _floor(first + MINUTE - SMALLEST, MINUTE)


def _floor(at: datetime, grain: timedelta) -> datetime:
    return at - (at - datetime.min) % grain
