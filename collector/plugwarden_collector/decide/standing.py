"""Where things stand: the alerts, quarantines and incidents that one tick hands to the next, and what a tick changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from plugwarden.contract import DirectiveSet

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.judge.alert import Alert

from .quarantine import Quarantine

__all__ = ["AlertRecord", "Changes", "Incident", "Standing"]


MAX_KNOWN_VERSIONS = 500
"""Versions of a plugin that a quarantine holds: with names of 200 characters they take an eighth of what a directive set may."""


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as it is stored: its state, and what it is about."""

    alert: Alert
    name: str
    severity: str
    slo: str
    plugin: str
    version: str
    summary: str
    description: str
    changed_at: datetime
    inhibited_by: str | None = None
    """The incident or quarantine because of which nobody needs to look at it."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    component: str = ""
    """Which part of Plugwarden itself it is about, such as `collector`; empty for alerts on plugins."""

    def labels(self) -> dict[str, str]:
        """What silences match and receivers route by; of alerts on plugins and on ourselves, each its own."""
        own = {"alertname": self.name, "severity": self.severity}
        if self.component:
            return {**own, "component": self.component}
        return {**own, "slo": self.slo, "plugin": self.plugin, "version": self.version}


@dataclass(frozen=True, slots=True)
class Incident:
    """A shared cause, from when it was found to when nothing burned for it any more."""

    id: str
    cause: str
    summary: str
    plugins: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(slots=True)
class Changes:
    """All that one tick changed."""

    alerts: list[AlertRecord] = field(default_factory=list)
    alert_events: list[tuple[datetime, AlertRecord, str, str, str]] = field(default_factory=list)
    """(at, record, state before, state after, reason)"""
    quarantines: list[Quarantine] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    decisions: list[Draft] = field(default_factory=list)
    directives: DirectiveSet | None = None
    slo_status: list[tuple[Any, ...]] = field(default_factory=list)
    changes: list[tuple[datetime, str, str, str, str]] = field(default_factory=list)
    """(at, kind, plugin, version, text)"""
    at: datetime | None = None

    def __bool__(self) -> bool:
        return bool(
            self.alerts or self.quarantines or self.incidents or self.decisions or self.slo_status or self.changes
            or self.directives is not None
        )  # fmt: skip


@dataclass(slots=True)
class Standing:
    """Everything the next tick needs to know of the ones before. Its values are frozen; whoever changes it changes a `copy`."""

    alerts: dict[str, AlertRecord] = field(default_factory=dict)
    """By fingerprint."""
    quarantines: dict[str, Quarantine] = field(default_factory=dict)
    """By id, ended ones included."""
    incidents: dict[str, Incident] = field(default_factory=dict)
    """Open ones, by id."""
    directives: DirectiveSet = field(default_factory=DirectiveSet)
    """What sidecars were last told."""
    actions: list[datetime] = field(default_factory=list)
    """When the automation quarantined something."""
    versions: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """(plugin, version) -> when it was first seen."""
    frozen: str | None = None
    """Why the automation is switched off."""
    noted: set[tuple[str, str, str]] = field(default_factory=set)
    """What was recorded about an alert already, so that each tick does not say it again."""

    def copy(self) -> Standing:
        """Return the same standing in containers of its own."""
        return replace(
            self,
            alerts=dict(self.alerts),
            quarantines=dict(self.quarantines),
            incidents=dict(self.incidents),
            actions=list(self.actions),
            versions=dict(self.versions),
            noted=set(self.noted),
        )

    def versions_beside(self, plugin: str, version: str | None) -> tuple[str, ...]:
        """Versions of a plugin that ran before, but for one of them: the newest, as many as a directive holds with room to spare."""
        found = [(at, name) for (owner, name), at in self.versions.items() if owner == plugin and name != version]
        return tuple(sorted(name for _, name in sorted(found)[-MAX_KNOWN_VERSIONS:]))
