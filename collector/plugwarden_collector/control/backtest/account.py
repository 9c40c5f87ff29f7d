"""What a replay would have done and told, written down as it goes on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from plugwarden_collector.announce.subject import subjects_of
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.judge.watch import Watch

__all__ = ["ASKED", "Account", "Alert", "Told", "Trouble", "is_about", "plugin_of"]

ASKED = frozenset({"suggested", "warned", "prevented", "would_quarantine"})
"""Decisions that speak of a trouble and isolate nothing."""
_FURTHER = re.compile(r"$|@| (operation|instance|tenant)=")
"""What comes after the plugin's name in a scope in words."""


@dataclass(slots=True)
class Trouble:
    """One scope that was found to be at fault."""

    scope: str
    plugin: str
    kind: str
    """`quarantined`, `suggested`, `warned`, `prevented` or `would_quarantine`: the most that was done."""
    began_at: datetime
    """When the first of the calls came that are held against it."""
    detected_at: datetime
    """When something was found against it first; what came of that waited for more to be told."""
    decided_at: datetime
    reason: str
    quarantine: Quarantine | None = None
    """As it was last, where a scope was isolated."""


@dataclass(slots=True)
class Told:
    """One thing that people would have been told of."""

    severity: str
    summary: str
    at: datetime
    until: datetime | None = None


@dataclass(slots=True)
class Alert:
    """A budget that burned, or was spent."""

    name: str
    slo: str
    severity: str
    plugin: str
    version: str | None
    """None: over all of its versions."""
    summary: str
    at: datetime
    until: datetime | None = None
    told: bool = False
    """Nobody else spoke for it when it fired."""


@dataclass(slots=True)
class Account:
    """Grows turn by turn."""

    decisions: list[Draft] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)
    """By id, as they were last."""
    told: list[Told] = field(default_factory=list)
    _suspected: dict[str, datetime] = field(default_factory=dict)
    """Plugin -> since when something waits for its time."""
    _of: dict[str, Trouble] = field(default_factory=dict)
    """By id of the quarantine."""
    _firing: dict[str, Alert] = field(default_factory=dict)
    _subjects: dict[str, Told] = field(default_factory=dict)

    def take(self, changes: Changes, standing: Standing, watch: Watch, at: datetime) -> None:
        """Write down what one turn did."""
        waiting = {plugin: self._suspected.get(plugin, at) for plugin in watch.waiting}
        known = {**self._suspected, **waiting}
        self.decisions += changes.decisions
        for draft in changes.decisions:
            if draft.kind == "quarantined" or draft.kind in ASKED:
                self._add(draft, standing, known, at)
        for item in changes.quarantines:
            if item.id in self._of and self._of[item.id].kind == "quarantined":
                self._of[item.id].quarantine = item
        for incident in changes.incidents:
            self.incidents[incident.id] = incident
        self._suspected = waiting
        self._take_alerts(changes)
        if changes.alerts or changes.quarantines or changes.incidents:
            self._take_told(standing, at)

    def _add(self, draft: Draft, standing: Standing, known: dict[str, datetime], at: datetime) -> None:
        evidence = draft.evidence or {}
        plugin = plugin_of(draft.scope, {name for name, _ in standing.versions})
        if draft.quarantine_id in standing.quarantines:
            plugin = standing.quarantines[draft.quarantine_id].scope.plugin
        began = evidence.get("since")
        began_at = began if isinstance(began, datetime) else at
        detected = known.get(plugin, at)
        trouble = Trouble(draft.scope, plugin, draft.kind, began_at, detected, at, draft.reason)
        last = next((item for item in reversed(self.troubles) if item.scope == draft.scope), None)
        if last is not None and last.kind in ASKED and last.began_at == began_at:
            # What was suggested, or warned of, is the same trouble when it is isolated.
            last.kind, last.decided_at, last.reason = draft.kind, at, draft.reason
            trouble = last
        else:
            self.troubles.append(trouble)
        if draft.quarantine_id is not None:
            self._of[draft.quarantine_id] = trouble

    def _take_alerts(self, changes: Changes) -> None:
        for event in changes.alert_events:
            fingerprint = event.record.alert.fingerprint
            if event.after is AlertState.FIRING:
                record = event.record
                self._firing[fingerprint] = Alert(
                    record.name, record.slo, record.severity, record.plugin, record.version, record.summary, event.at
                )
                self.alerts.append(self._firing[fingerprint])
            elif fingerprint in self._firing:
                self._firing.pop(fingerprint).until = event.at

    def _take_told(self, standing: Standing, at: datetime) -> None:
        subjects = {item.key: item for item in subjects_of(standing)}
        for key, item in subjects.items():
            if item.speaker is None and not item.quiet and key not in self._subjects:
                self._subjects[key] = Told(item.severity, item.summary, at)
                self.told.append(self._subjects[key])
                if key in self._firing:
                    self._firing[key].told = True
        for key in self._subjects.keys() - subjects.keys():
            self._subjects.pop(key).until = at


def is_about(scope: str, plugin: str) -> bool:
    """Whether a scope in words (`plugwarden.contract.Scope`) is of a plugin, or of a part of it. Names may have spaces and `@` in them."""
    return scope.startswith(plugin) and _FURTHER.match(scope, len(plugin)) is not None


def plugin_of(scope: str, names: Iterable[str]) -> str:
    """Return which of the plugins a scope in words is about, the longest name that fits; empty where none does."""
    return max((name for name in names if is_about(scope, name)), key=len, default="")
