"""Rules in force, and how every objective stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from plugwarden.contract.value import value

from plugwarden_collector.rules import objective, tiers
from plugwarden_collector.rules.alert_rule import AlertRule
from plugwarden_collector.rules.policy import Policy
from plugwarden_collector.store.ledger_rows import BudgetRow, SloRow

from .answer import Answer

__all__ = ["BudgetRow", "Objective", "Rules", "SloRow", "Tier"]


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
    alerts: list[AlertRule]
    """Alerts that rest on no objective."""
