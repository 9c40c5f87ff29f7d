"""What one tick works on: what was observed, where things stood, and what it may ask further."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from plugwarden_collector.decide.quarantine import Probes, Quarantine
from plugwarden_collector.decide.standing import Changes, Standing
from plugwarden_collector.judge.blame import Waits
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Counts

__all__ = ["Evidence", "Observation", "PluginVersion", "Tick", "new_id"]

PluginVersion = tuple[str, str]
Windows = Mapping[float, Counts]


class Evidence(Protocol):
    """What the tick asks for only when something burns."""

    def cells(self, plugin: str, at: datetime, window_seconds: float) -> Sequence[Mapping[str, Any]]:
        """Counts by plugin_version, plugin_operation and instance_id."""

    def probes(self, quarantine: Quarantine, at: datetime) -> Probes:
        """Calls in a scope since its quarantine last changed."""

    def errors(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[Mapping[str, Any]]:
        """Failed calls by error_type, most first."""

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[Mapping[str, Any]]:
        """The newest failed spans, a few."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the rollups said at one moment."""

    at: datetime
    windows: Mapping[str, Mapping[PluginVersion, Windows]]
    """Objective name -> (plugin, version) -> window in seconds -> counts."""
    periods: Mapping[str, Mapping[PluginVersion, Counts]] | None = None
    """Counts over each objective's period, by objective name and (plugin, version); None on ticks that leave budgets alone."""
    waits: Sequence[Waits] = ()
    running: int = 0
    """Plugins with traffic."""
    versions: Mapping[PluginVersion, datetime] = field(default_factory=dict)
    """When each version was first seen."""
    called_at: Mapping[PluginVersion, datetime] = field(default_factory=dict)
    """When each was last asked for, whatever came of it: refused calls count. Of the last minutes only."""


@dataclass(slots=True)
class Tick:
    """Everything one tick works on; `changes` grows while it runs."""

    rules: Rules
    standing: Standing
    seen: Observation
    evidence: Evidence
    chance: Callable[[], float]
    changes: Changes

    @property
    def at(self) -> datetime:
        """The time of the tick."""
        return self.seen.at


def new_id(prefix: str, *parts: object) -> str:
    """A short id that the same parts always give."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=5).hexdigest()
    return f"{prefix}-{digest}"
