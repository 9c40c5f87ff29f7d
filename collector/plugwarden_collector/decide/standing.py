"""Where things stand: the alerts, quarantines and incidents that one tick hands to the next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from plugwarden.contract import DirectiveSet, Scope

from .acknowledgement import Acknowledgement
from .alert import AlertRecord
from .correction import Correction
from .noted import NotedKey
from .quarantine import Quarantine
from .silence import Silence

__all__ = ["Incident", "Standing"]

MAX_KNOWN_VERSIONS = 500
"""Versions of a plugin that a quarantine holds: with names of 200 characters they take an eighth of what a directive set may."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A shared cause, from when it was found to when nothing burned for it any more."""

    id: str
    cause: str
    summary: str
    plugins: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None = None
    seen_at: datetime | None = field(default=None, compare=False)
    """When something pointed at it last; None of one that an earlier version kept."""
    explained_by: str | None = field(default=None, compare=False)
    """The page on an upstream in which each of its plugins saw no fewer calls fail than it failed in (`cycle.upstreams`)."""


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
    """When the automation quarantined something that several processes bore out (`decide.word`)."""
    versions: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """(plugin, version) -> when it was first seen."""
    frozen: str | None = None
    """Why the automation is switched off."""
    noted: dict[NotedKey, datetime] = field(default_factory=dict)
    """What was recorded about a trouble already, so that each tick does not say it again: (scope, objective, what) -> when it was
    seen last."""
    silences: tuple[Silence, ...] = ()
    """Those in force and to come, the oldest first; some that have ended may be among them."""
    acknowledgements: tuple[Acknowledgement, ...] = ()
    """What people know of; some that have ended may be among them."""
    corrections: tuple[Correction, ...] = ()
    """What people left out of budgets, the oldest first."""
    shifted_seconds: float | None = None
    """By how much holds and silences were moved with the clock over all; None: nobody looked at the clock yet."""

    def copy(self) -> Standing:
        """Return the same standing in containers of its own."""
        return replace(
            self,
            alerts=dict(self.alerts),
            quarantines=dict(self.quarantines),
            incidents=dict(self.incidents),
            actions=list(self.actions),
            versions=dict(self.versions),
            noted=dict(self.noted),
        )

    def after_pause(self, length: timedelta) -> Standing:
        """Return the same standing after nobody looked for so long: that nothing pointed at an incident meanwhile says nothing."""
        fresh = self.copy()
        for identity, item in self.incidents.items():
            if item.seen_at is not None:
                fresh.incidents[identity] = replace(item, seen_at=item.seen_at + length)
        return fresh

    @property
    def replaced(self) -> set[tuple[str, str]]:
        """Plugin versions that will not run again: isolated as a whole, while a later one came through probation."""
        return {
            (item.scope.plugin, item.scope.version)
            for item in self.quarantines.values()
            if item.superseded_by is not None
            and item.ended_at is None
            and item.scope.version is not None
            and item.scope == Scope(item.scope.plugin, item.scope.version)
        }

    def versions_beside(self, plugin: str, version: str | None) -> tuple[str, ...]:
        """Versions of a plugin that ran before, but for one of them: the newest, as many as a directive holds with room to spare."""
        found = [(at, name) for (owner, name), at in self.versions.items() if owner == plugin and name != version]
        return tuple(sorted(name for _, name in sorted(found)[-MAX_KNOWN_VERSIONS:]))
