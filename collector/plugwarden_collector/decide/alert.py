"""The alert state machine: inactive, pending, firing. Time is an argument; no data holds the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from .labels import alert_labels

__all__ = ["BURN", "EXHAUSTED", "Alert", "AlertRecord", "AlertState", "Reading", "transition"]

BURN = "budget burn"
"""End of the name of an alert on a budget that is spent too fast; before it stands the objective's name."""
EXHAUSTED = "budget exhausted"
"""End of the name of an alert on a budget that is spent; before it stands the objective's name."""


class AlertState(StrEnum):
    """As in Prometheus."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: of one objective and severity, of a plugin version or of a plugin; or of an `[[alert]]` and one thing it looks at."""

    fingerprint: str
    state: AlertState = AlertState.INACTIVE
    pending_at: datetime | None = None
    firing_at: datetime | None = None
    resolved_at: datetime | None = None
    quiet_since: datetime | None = None
    """Since when it has not been burning, while it fires."""


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as it is stored: its state, and what it is about."""

    alert: Alert
    name: str
    severity: str
    slo: str
    """Objective behind it; empty where none is."""
    plugin: str
    """Empty where it is about none."""
    version: str | None
    """None: it is about the plugin, over all of its versions."""
    summary: str
    description: str
    changed_at: datetime
    inhibited_by: str | None = None
    """The incident or quarantine because of which nobody needs to look at it."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    component: str = ""
    """Which part of Plugwarden itself it is about, such as `collector`; empty for alerts on plugins."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Labels that an `[[alert]]` and what it found give beside those of all alerts."""

    @property
    def watched(self) -> bool:
        """Whether an `[[alert]]` made it: it rests on no objective, and isolates nothing."""
        return not self.slo and not self.component

    @property
    def exhausted(self) -> bool:
        """Whether it says that a budget is spent, which may be so while all calls are well."""
        return bool(self.slo or self.detail.get("objective")) and self.name.endswith(f" {EXHAUSTED}")

    @property
    def about(self) -> str:
        """What it is about, in words; empty where it is about no plugin."""
        return self.plugin if self.version is None else f"{self.plugin}@{self.version}"

    def labels(self) -> dict[str, str]:
        """Return what silences match and receivers route by."""
        return {
            **self.more,
            **alert_labels(self.name, self.severity, self.slo, self.plugin, self.version, self.component),
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """What one evaluation saw."""

    burning: bool | None
    """None: not enough data to say. That holds the state; it is no recovery."""
    reason: str
    """The numbers, in a sentence."""


def transition(
    alert: Alert, reading: Reading, at: datetime, *, for_seconds: float, keep_firing_seconds: float
) -> tuple[Alert, str | None]:
    """The alert after one reading, and why it changed state (None when it did not)."""
    if reading.burning is None:
        return alert, None
    if reading.burning:
        if alert.state is AlertState.FIRING:
            return (replace(alert, quiet_since=None) if alert.quiet_since else alert), None
        since = alert.pending_at if alert.state is AlertState.PENDING and alert.pending_at else at
        if at - since >= timedelta(seconds=for_seconds):
            fired = replace(
                alert, state=AlertState.FIRING, pending_at=since, firing_at=at, resolved_at=None, quiet_since=None
            )
            return fired, reading.reason
        if alert.state is AlertState.PENDING:
            return alert, None
        return replace(alert, state=AlertState.PENDING, pending_at=at, resolved_at=None), reading.reason
    if alert.state is AlertState.PENDING:
        return replace(alert, state=AlertState.INACTIVE, pending_at=None), reading.reason
    if alert.state is AlertState.FIRING:
        quiet_since = alert.quiet_since or at
        if at - quiet_since >= timedelta(seconds=keep_firing_seconds):
            return replace(alert, state=AlertState.INACTIVE, resolved_at=at, quiet_since=None), reading.reason
        return replace(alert, quiet_since=quiet_since), None
    return alert, None
