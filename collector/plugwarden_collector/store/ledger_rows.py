"""Rows of the ledger as pages show them: the columns of the views, by name and in their order. Times are UTC without a zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = [
    "AccessRow",
    "AlertEventRow",
    "AlertRow",
    "BudgetRow",
    "ChangeRow",
    "ConditionEvent",
    "DecisionRow",
    "IncidentRow",
    "QuarantineRow",
    "SaidRow",
    "SloRow",
]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert of our own, or one that was pushed."""

    fingerprint: str
    name: str
    severity: str
    state: str
    slo: str | None
    plugin_id: str | None
    plugin_version: str | None
    labels: Mapping[str, str]
    summary: str
    description: str
    pending_at: datetime | None
    firing_at: datetime | None
    resolved_at: datetime | None
    changed_at: datetime
    inhibited_by: str | None
    source: str
    """`plugwarden` or `prometheus`."""
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AlertEventRow:
    """One change of state of an alert on a plugin."""

    time: datetime
    """When, UTC."""
    fingerprint: str
    """Alert."""
    name: str
    severity: str
    plugin_id: str | None
    """Plugin; null when it names none."""
    plugin_version: str | None
    """Its version; null when it is about all of its versions, or names none."""
    before: str
    """State until then."""
    after: str
    """State since then."""
    reason: str
    """Why, with numbers."""


@dataclass(frozen=True, slots=True)
class ConditionEvent:
    """One change of state of a condition of the collector itself."""

    time: datetime
    fingerprint: str
    name: str
    severity: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """A shared cause."""

    id: str
    cause: str
    """Kind and name, such as `downstream:payments-db`."""
    summary: str
    """One sentence."""
    plugins: list[str]
    """Plugins that it hurts."""
    started_at: datetime
    """Start, UTC."""
    ended_at: datetime | None
    """End, UTC; null while it lasts."""
    detail: str
    """Numbers behind it, as JSON; not stable."""
    seen_at: datetime | None
    """When something pointed at it last, UTC; null where an earlier version kept it."""


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A scope that is, or was, under watch."""

    id: str
    """Identity; a release takes it."""
    plugin_id: str
    """Plugin that the scope covers."""
    plugin_version: str | None
    """Version that the scope is narrowed to; null: all versions."""
    plugin_operation: str | None
    """Operation that the scope is narrowed to; null: all operations."""
    instance_id: str | None
    """Host process that the scope is narrowed to; null: all instances."""
    tenant_id: str | None
    """Tenant that the scope is narrowed to; null: all tenants."""
    state: str
    """`healthy`, `degraded`, `quarantined` or `probation`."""
    step: int
    """Step of probation, from 0."""
    share_ratio: float
    """Share of calls let through, 0 to 1."""
    reason: str
    """Why, in plain language."""
    actor: str
    """`automation`, or the person."""
    enforcement: str
    """`observe`, `suggest` or `enforce`."""
    started_at: datetime
    """When it was decided, UTC."""
    changed_at: datetime
    """When state or step last changed, UTC."""
    hold_until: datetime | None
    """When probation begins, UTC; null until a person releases it."""
    ended_at: datetime | None
    """End, UTC; null while it lasts."""
    repeats: int
    """How often the same scope was quarantined again."""
    superseded_by: str | None
    """Later version that came through probation; this one stays isolated."""
    successor_of: str | None
    """Quarantine because of which this version is on probation."""
    known_versions: list[str]
    """Versions of the plugin that stay allowed."""
    alert: str | None
    """Fingerprint of the alert behind it; null when a person decided."""
    evidence: Mapping[str, Any]
    """What was known at the decision; not stable."""


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """What is left of a plugin's error budget, over all of its versions."""

    slo: str
    """Objective's name in the rules."""
    plugin_id: str
    time: datetime
    """When it was judged, UTC; up to ten minutes ago where judging found the same since."""
    sli: str
    """`availability`, `latency` or `saturation`; of slices of time `availability_slices` or `latency_slices`."""
    objective: float
    """Share of good calls that is promised, 0 to 1."""
    period_seconds: float
    """Over how long, seconds."""
    versions: int
    """Versions that were called within the period; 1 of slices."""
    total: int
    """Calls within the period, or slices of it."""
    bad: int
    """Those that count against it."""
    sli_value: float | None
    """Share of good calls, or slices, 0 to 1; null without calls."""
    budget_remaining_ratio: float | None
    """Share of the error budget that is left; below 0 when overspent, null without calls."""
    fast_burn_rate: float | None
    """How many times too fast the budget burns in the shortest window pair; null without calls."""
    exhausted_in_seconds: float | None
    """When the budget is gone at this rate, seconds from `time`; null when it does not burn, or lasts until it begins anew."""
    period_started_at: datetime | None
    """When a period of the calendar began, UTC; null of one that rolls."""
    period_ends_at: datetime | None
    """When the budget begins anew, UTC; null of one that rolls."""
    excluded_seconds: float | None
    """How much of the period corrections leave out; null of a budget that an earlier version judged."""


@dataclass(frozen=True, slots=True)
class SloRow:
    """How an objective stands for a plugin version."""

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
    """When the budget is gone at this rate, seconds from `time`; null when it does not burn, or lasts until it begins anew."""
    period_started_at: datetime | None
    """When a period of the calendar began, UTC; null of one that rolls."""
    period_ends_at: datetime | None
    """When the budget begins anew, UTC; null of one that rolls."""
    excluded_seconds: float | None
    """How much of the period corrections leave out; null of a budget that an earlier version judged."""


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One entry of the decision log."""

    sequence: int
    time: datetime
    kind: str
    actor: str
    scope: str
    quarantine_id: str | None
    enforcement: str
    reason: str
    evidence: Mapping[str, Any]
    previous_hash: str
    hash: str
    says: str | None
    key_id: str | None


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One entry of the access log."""

    sequence: int
    time: datetime
    kind: str
    actor: str
    says: str | None
    scope: str
    reason: str
    evidence: Mapping[str, Any]
    key_id: str | None
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A deployment or another annotation."""

    time: datetime
    """When, UTC; of a deployment, its first call."""
    kind: str
    """`deployment` and the like."""
    plugin_id: str | None
    """Plugin; null when it is about none."""
    plugin_version: str | None
    """Its version; null when it is about none."""
    service_name: str | None
    """Service; null when it is about none."""
    text: str
    """What happened, in words."""


@dataclass(frozen=True, slots=True)
class SaidRow:
    """The last decision of its kind on a scope."""

    kind: str
    scope: str
    time: datetime
    reason: str
    evidence: Mapping[str, Any]
