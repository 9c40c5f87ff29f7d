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
    "ChangeRow",
    "ConditionEvent",
    "DecisionRow",
    "IncidentRow",
    "QuarantineRow",
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
    fingerprint: str
    name: str
    severity: str
    plugin_id: str | None
    plugin_version: str | None
    before: str
    after: str
    reason: str


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
    summary: str
    plugins: list[str]
    started_at: datetime
    ended_at: datetime | None
    detail: str
    """JSON."""


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A scope that is, or was, under watch."""

    id: str
    plugin_id: str
    plugin_version: str | None
    plugin_operation: str | None
    instance_id: str | None
    tenant_id: str | None
    state: str
    step: int
    share_ratio: float
    reason: str
    actor: str
    enforcement: str
    started_at: datetime
    changed_at: datetime
    hold_until: datetime | None
    ended_at: datetime | None
    repeats: int
    superseded_by: str | None
    successor_of: str | None
    known_versions: list[str]
    alert: str | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SloRow:
    """How an objective stands for a plugin version."""

    slo: str
    plugin_id: str
    plugin_version: str
    time: datetime
    sli: str
    objective: float
    period_seconds: float
    total: int
    bad: int
    sli_value: float | None
    budget_remaining_ratio: float | None
    fast_burn_rate: float | None
    exhausted_in_seconds: float | None


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
    kind: str
    plugin_id: str | None
    plugin_version: str | None
    service_name: str | None
    text: str
