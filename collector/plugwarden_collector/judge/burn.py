"""Burn rates and budgets: how fast an error budget is being spent, in which windows that is too fast, and what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plugwarden_collector.ratios import allowed, remaining_ratio
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import Tier

from .sli import CallCounts, Indicator, Windows, indicator_of

__all__ = [
    "Budget",
    "Burn",
    "Events",
    "bad_by_version",
    "budget",
    "budget_of",
    "burn_rate",
    "burns",
    "fastest_window",
    "rate_of",
]


@dataclass(frozen=True, slots=True)
class Events:
    """Events of an SLI in one window."""

    total: int
    bad: int


@dataclass(frozen=True, slots=True)
class Burn:
    """One tier as it stands."""

    tier: Tier
    long: Events
    short: Events
    long_rate: float
    short_rate: float
    enough: bool
    """There were enough events and failures to say anything."""

    @property
    def met(self) -> bool:
        """Both windows burn too fast, on enough evidence."""
        return self.enough and self.long_rate >= self.tier.factor and self.short_rate >= self.tier.factor

    @property
    def quiet(self) -> bool:
        """Calls came in the short window and did not burn too fast: evidence of recovery."""
        return self.short.total > 0 and self.short_rate < self.tier.factor


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of an error budget."""

    total: int
    bad: int
    sli_ratio: float | None
    """None without events."""
    remaining_ratio: float | None
    """1 untouched, 0 spent, below 0 overspent; None without events."""
    allowed: float
    """Bad events that the objective allows for this many events."""


def burn_rate(bad: int, total: int, target_ratio: float) -> float:
    """Return the share of bad events over the share the objective allows; 1 spends the budget exactly over the period."""
    return 0.0 if total == 0 else (bad / total) / (1.0 - target_ratio)


def burns(objective: Objective, windows: Windows, severity: str | None = None) -> tuple[Burn, ...]:
    """Return every tier of an objective on the counts per window, or those of one severity."""
    indicator, found = indicator_of(objective), []
    for tier in objective.tiers:
        if severity not in {None, tier.severity}:
            continue
        long, short = (
            _events(indicator, windows.get(tier.long_seconds)),
            _events(indicator, windows.get(tier.short_seconds)),
        )
        found.append(
            Burn(
                tier,
                long,
                short,
                burn_rate(long.bad, long.total, objective.target_ratio),
                burn_rate(short.bad, short.total, objective.target_ratio),
                long.total >= objective.min_events and long.bad >= objective.min_failures,
            )
        )
    return tuple(found)


def fastest_window(objective: Objective) -> float:
    """Return the long window of the fastest tier, in seconds."""
    return max(objective.tiers, key=lambda tier: tier.factor).long_seconds


def rate_of(objective: Objective, counts: CallCounts) -> float:
    """Return how many times too fast a budget burns in one window."""
    events = _events(indicator_of(objective), counts)
    return burn_rate(events.bad, events.total, objective.target_ratio)


def budget(objective: Objective, counts: CallCounts) -> Budget:
    """Return the error budget over the period."""
    events = _events(indicator_of(objective), counts)
    return budget_of(objective, events.total, events.bad)


def budget_of(objective: Objective, total: int, bad: int) -> Budget:
    """Return the error budget of so many events, of which some were bad."""
    target = objective.target_ratio
    sli_ratio = None if total == 0 else 1.0 - bad / total
    return Budget(total, bad, sli_ratio, remaining_ratio(bad, total, target), allowed(total, target))


def bad_by_version(objective: Objective, counts: Mapping[str, CallCounts]) -> dict[str, int]:
    """Return bad calls by version, of those that have any, the most first."""
    indicator = indicator_of(objective)
    bad = {version: item.total - indicator.good(item) for version, item in counts.items()}
    return dict(sorted(((key, count) for key, count in bad.items() if count), key=lambda item: (-item[1], item[0])))


def _events(indicator: Indicator, counts: CallCounts | None) -> Events:
    return _NONE if counts is None else Events(counts.total, counts.total - indicator.good(counts))


_NONE = Events(0, 0)
