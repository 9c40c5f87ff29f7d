"""Rules in force, and how every objective stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from plugwarden.contract.value import value

from plugwarden_collector.rules import objective, tiers
from plugwarden_collector.rules.alert_rule import AlertRule
from plugwarden_collector.rules.policy import Enforcement, Policy
from plugwarden_collector.store.ledger_rows import SloRow

from .answer import Answer

__all__ = ["Maintenance", "Objective", "PushedPolicy", "Rules", "SloRow", "Tier"]


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
    no_limit: tuple[str, ...] = ()
    """Plugins that an objective of saturation says nothing of: they were called lately, and no limit of theirs is known."""


@value
class PushedPolicy(Answer):
    """What is done about some alerts that others push."""

    name: str
    matchers: list[str]
    """All must be true of an alert's labels."""
    enforcement: Enforcement
    for_seconds: float
    """How long an alert fires before anything is done, seconds."""


@value
class Maintenance(Answer):
    """A window of the rules in which nobody is told of some things."""

    name: str
    reason: str
    begins: str
    """Time of the day, HH:MM, in the zone."""
    length_seconds: float
    """How long it lasts, seconds."""
    zone: str
    """IANA time zone."""
    matchers: list[str]
    days: list[str]
    """Days on which it begins, `mon` to `sun`."""


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
    pushed: list[PushedPolicy]
    """What is done about alerts that others push; the first that matches one is meant."""
    maintenance: list[Maintenance]
    """Windows in which nobody is told of some things, open or not."""
