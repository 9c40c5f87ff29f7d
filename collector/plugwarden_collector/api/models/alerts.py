"""Alerts with their history, common causes, what changed in the fleet, and alerts that others push."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plugwarden.contract.value import value

from plugwarden_collector.rules import alert_rule
from plugwarden_collector.store import ledger_rows
from plugwarden_collector.store.ledger_rows import AlertEventRow, ChangeRow

from .answer import Answer
from .problem import Problem

__all__ = [
    "AlertEventRow",
    "AlertRow",
    "AlertRule",
    "Alerts",
    "ChangeRow",
    "IncidentRow",
    "PushFault",
    "PushProblem",
    "Pushed",
    "Runbook",
]


@value
class AlertRow(Answer):
    """An alert as it stands."""

    fingerprint: str
    """Identity: the same alert has the same fingerprint whenever it comes back."""
    name: str
    severity: str
    """`page` or `ticket`; of alerts from outside, what their label says."""
    state: str
    """`inactive`, `pending` or `firing`."""
    slo: str | None
    """Objective behind it; null for alerts from outside, and those of an `[[alert]]`."""
    plugin_id: str | None
    """Plugin; null when it names none."""
    plugin_version: str | None
    """Its version; null when it is about all of its versions, or names none."""
    labels: Mapping[str, str]
    """Labels that silences match."""
    summary: str
    """One sentence."""
    description: str
    """What burns, how fast, and since when; of an `[[alert]]`, what its rule says."""
    pending_at: datetime | None
    """When its condition began to hold, UTC; null when it never did."""
    firing_at: datetime | None
    """When it last began to fire, UTC; null when it never did."""
    resolved_at: datetime | None
    """When it last ended, UTC; null while it fires."""
    changed_at: datetime
    """When its state last changed, UTC."""
    inhibited_by: str | None
    """Alert or incident that speaks for it; null when nothing covers it."""
    source: str
    """`plugwarden`, or `prometheus` when it was pushed to us."""
    detail: Mapping[str, Any]
    """Numbers behind it; not stable."""
    silenced_by: str | None
    """Silence because of which nobody is told of it."""
    acknowledged_by: str | None
    """Who knows of it, so that nobody is told again; null: nobody said so."""
    acknowledged_until: datetime | None
    """Until when, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow(Answer, ledger_rows.IncidentRow):
    """A shared cause."""

    acknowledged_by: str | None
    """Who knows of it, so that nobody is told again; null: nobody said so."""
    acknowledged_until: datetime | None
    """Until when, UTC."""


@value
class Alerts(Answer):
    """Alerts now and lately."""

    alerts: list[AlertRow]
    """What fires first."""
    history: list[AlertEventRow]
    """Newest first."""
    incidents: list[IncidentRow]
    """Newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule(Answer, alert_rule.AlertRule):
    """An `[[alert]]` of the rules, and how its last look went."""

    looked_at: datetime | None
    """When it was looked at last, UTC; null before the first look."""
    look_seconds: float | None
    """How long that took, seconds; null before the first look."""
    found: int
    """Rows or plugins that it found."""
    error: str | None
    """Why that look failed; null when it did not."""
    pending: int
    """Alerts of it that are pending."""
    firing: int
    """Alerts of it that fire."""


@value
class Runbook(Answer):
    """What to do about an alert, a quarantine or a shared cause, filled in."""

    id: str
    """Fingerprint or id."""
    text: str
    """For a terminal: 80 columns wide, but for commands and what the rules say."""
    markdown: str
    """As Markdown; what telemetry named is escaped in it."""


@value
class Pushed(Answer):
    """All alerts of a push are taken."""


@value
class PushFault(Answer):
    """An alert of a push that is not taken."""

    index: int
    """Its place in the request, from 0."""
    field: str
    """Which field is at fault; empty: the alert as a whole."""
    problem: str


@dataclass(frozen=True, slots=True)
class PushProblem(Problem):
    """Some alerts of a push cannot be taken; the others are."""

    taken: int
    refused: int
    errors: list[PushFault]
    """The first hundred of those refused."""
