"""Rules in force, and how every objective stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from plugwarden.contract.value import value

from plugwarden_collector.rules import objective, tiers
from plugwarden_collector.rules.policy import Policy

from .answer import Answer

__all__ = ["Objective", "Rules", "SloRow", "Tier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(Answer, tiers.Tier):
    """A pair of windows, and what it takes in them to fire."""

    bad_ratio: float
    """Share of bad calls at which the factor is met, 0 to 1."""
    spent_in_seconds: float
    """When the whole budget is gone at that rate, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective(Answer, objective.Objective):
    """One service-level objective, for every plugin that its pattern matches, version by version."""

    tiers: tuple[Tier, ...] = field()
    """Window pairs for its period."""


@value
class Rules(Answer):
    """What is judged by."""

    source: str
    """The file they come from, or `built in`."""
    warnings: tuple[str, ...]
    """What is allowed but surely not meant."""
    policy: Policy
    objectives: list[Objective]


@value
class SloRow(Answer):
    """An objective of one plugin version, as last judged."""

    slo: str
    """Objective's name in the rules."""
    plugin_id: str
    plugin_version: str
    """Empty when the sender named none."""
    time: datetime
    """When it was judged, UTC; up to ten minutes ago where judging found the same since."""
    sli: str
    """`availability` or `latency`."""
    objective: float
    """Share of good calls that is promised, 0 to 1."""
    period_seconds: float
    """Over how long, seconds."""
    total: int
    """Calls within the period."""
    bad: int
    """Those that count against it."""
    sli_value: float | None
    """Share of good calls, 0 to 1; null without calls."""
    budget_remaining_ratio: float | None
    """Share of the error budget that is left; below 0 when overspent, null without calls."""
    fast_burn_rate: float | None
    """How many times too fast the budget burns in the shortest window pair; null without calls."""
    exhausted_in_seconds: float | None
    """When the budget is gone at this rate, seconds from `time`; null when it does not burn."""
