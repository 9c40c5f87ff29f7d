"""What one tick works on: what was observed, where things stood, and what it may ask further."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from plugwarden.contract import Scope

from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import Arrivals, Cell, Past
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.sli import CallCounts, Windows
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import Suspect, Watch
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.pattern import EVERY

__all__ = ["Evidence", "Observation", "PluginVersion", "Tick"]

PluginVersion = tuple[str, str]


class Evidence(Protocol):
    """What the tick asks for only when something is suspected."""

    def cells(self, suspects: Sequence[Suspect], at: datetime) -> Sequence[Cell]:
        """Return all that the suspects' plugins did since the trouble of each of their operations began."""

    def before(self, suspects: Sequence[Suspect], seconds: float) -> Sequence[Cell]:
        """Return what the suspects' plugins did in so many seconds before their trouble began."""

    def waits(self, since: datetime, at: datetime) -> Sequence[Waits]:
        """Return how plugins' waits for downstreams go lately, beside how they went before a trouble began."""

    def paces(self, instances: Sequence[str], since: datetime, at: datetime) -> Sequence[Pace]:
        """Return how long calls take lately in some processes, beside how long they took before a trouble began."""

    def lately(self, plugins: Sequence[str], since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return all calls of some plugins that arrived after a mark, and are not from long before a moment."""

    def probes(self, scope: Scope, since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return the calls in a scope that arrived after a mark, and are not from long before a moment."""

    def ways_back(self, plugin: str, at: datetime) -> Sequence[WayBack]:
        """Return to which earlier versions the hosts of a plugin can go back."""

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Return failed calls by error, most first, of the operations that a pattern matches."""

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> Sequence[UpstreamCounts]:
        """Return plugins' calls of upstreams in windows that end now; slow is a call in a histogram bucket above `fast_index`."""

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Return the newest failed calls, a few."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the rollups said at one moment."""

    at: datetime
    windows: Mapping[str, Mapping[PluginVersion, Windows]]
    """Objective name -> (plugin, version) -> window in seconds -> counts."""
    periods: Mapping[str, Mapping[PluginVersion, CallCounts]] | None = None
    """Counts over each objective's period, by objective name and (plugin, version); None on ticks that leave budgets alone."""
    running: int = 0
    """Plugins with traffic."""
    versions: Mapping[PluginVersion, datetime] = field(default_factory=dict)
    """When each version was first seen."""
    called_at: Mapping[PluginVersion, datetime] = field(default_factory=dict)
    """When each was last asked for, whatever came of it: refused calls count. Of the last minutes only."""
    arrivals: Arrivals = field(default_factory=Arrivals)
    """What was counted since the tick before."""
    usual: Mapping[tuple[str, str, str], Past] = field(default_factory=dict)
    """What is usual, by plugin, version and operation."""
    limits: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Limits that were told of lately, by plugin and resource, where an objective is of some."""


@dataclass(slots=True)
class Tick:
    """Everything one tick works on; `changes` grows while it runs."""

    rules: Rules
    standing: Standing
    watch: Watch
    seen: Observation
    evidence: Evidence
    chance: Callable[[], float]
    changes: Changes

    @property
    def at(self) -> datetime:
        """The time of the tick."""
        return self.seen.at
