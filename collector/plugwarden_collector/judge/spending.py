"""What becomes of an error budget at a pace: what is left at a later moment, and when nothing is. Pure; times are UTC without a zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden_collector.rules.objective import Objective

from .burn import Budget

__all__ = ["Foreseen", "exhausted_seconds", "foreseen", "remaining_at"]

POINTS = 24
"""Moments of a forecast: what is left of a budget of the calendar goes down in a curve."""
AHEAD = 0.25
"""Share of a period that rolls which is looked ahead: beyond, more of what is counted has left the period than a pace can tell of."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What will be left at a moment, should the budget burn as it did."""

    time: datetime
    """UTC."""
    remaining_ratio: float
    """At the burn rate of the fastest window pair's long window."""
    low_ratio: float
    """At the highest burn rate of all windows."""
    high_ratio: float
    """At the lowest burn rate of all windows."""


def exhausted_seconds(objective: Objective, left: Budget, burn_rate: float, at: datetime) -> float | None:
    """Return when the rest is gone at a burn rate; None where it is not, or no sooner than the budget begins anew.

    Of a period that rolls the whole budget lasts for the period at a burn rate of 1. One of the calendar grows with the calls that come:
    what is left of the time so far is spent by what burns beyond 1.
    """
    if left.remaining_ratio is None or left.remaining_ratio <= 0 or burn_rate <= 0:
        return None
    if objective.calendar is None:
        return left.remaining_ratio * objective.period_seconds / burn_rate
    if burn_rate <= 1:
        return None
    period = objective.period_at(at)
    seconds = left.remaining_ratio * (at - period.started_at).total_seconds() / (burn_rate - 1)
    return seconds if seconds < (period.ends_at - at).total_seconds() else None


def remaining_at(
    objective: Objective, remaining_ratio: float, burn_rate: float, at: datetime, later: datetime
) -> float:
    """Return what share of a budget is left at a later moment, in this period, at a burn rate: nothing when it is exhausted."""
    ahead = (later - at).total_seconds()
    if objective.calendar is None:
        return remaining_ratio - burn_rate * ahead / objective.period_seconds
    so_far = (at - objective.period_at(at).started_at).total_seconds()
    if so_far + ahead <= 0:
        return remaining_ratio
    return 1.0 - ((1.0 - remaining_ratio) * so_far + burn_rate * ahead) / (so_far + ahead)


def foreseen(
    objective: Objective, left: Budget, burn_rate: float, burn_rates: Sequence[float], at: datetime
) -> list[Foreseen]:
    """Return what will be left at some moments from now on, up to the end of a period of the calendar; none without calls.

    `burn_rates` are those of all windows now: the fast ones say how it goes, the slow ones how it went, and the truth is mostly between.
    """
    if left.remaining_ratio is None:
        return []
    period = objective.period_at(at)
    ends_at = at + timedelta(seconds=AHEAD * objective.period_seconds) if objective.calendar is None else period.ends_at
    rates = [burn_rate, max([burn_rate, *burn_rates]), min([burn_rate, *burn_rates])]
    found = []
    for number in range(POINTS + 1):
        later = at + (ends_at - at) * number / POINTS
        found.append(
            Foreseen(later, *(remaining_at(objective, left.remaining_ratio, rate, at, later) for rate in rates))
        )
    return found
