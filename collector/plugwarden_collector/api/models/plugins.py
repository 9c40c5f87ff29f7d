"""Plugins: how each stands and why, and their calls by step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from plugwarden.contract.value import value

from plugwarden_collector.store.calls import CallStep, ErrorCalls, GateState, HeatStep, OperationCalls
from plugwarden_collector.store.traces import FailingSpan

from .answer import Answer
from .budgets import Budget
from .rules import Objective, SloRow

__all__ = [
    "CallStep",
    "ErrorCalls",
    "FailingSpan",
    "FleetSeries",
    "FleetStep",
    "GateState",
    "HeatStep",
    "OperationCalls",
    "Plugin",
    "PluginDetail",
    "PluginSeries",
]  # fmt: skip


@value
class Plugin(Answer):
    """A plugin over a span of time: the worst of what is known about it, and why. Null: it made no calls, or none that ran."""

    plugin_id: str
    calls: int
    failed: int
    """Calls that ended in an error or at their timeout, whoever is to blame."""
    bad: int
    """Those of them that the plugin is to blame for."""
    rejected: int
    """Calls that its gate refused."""
    ran: int
    """Calls that were not refused: `calls` less `rejected`."""
    failed_ratio: float | None
    """Share of those that ran that failed, 0 to 1; null when none ran."""
    cpu_seconds: float | None
    cpu_seconds_per_call: float | None
    """CPU seconds per call that ran; null when none was measured."""
    busy_seconds: float | None
    """Sum of what its calls took."""
    versions: list[str]
    owners: list[str]
    """Owners of the objectives that are about it."""
    last_at: datetime | None
    """Second or minute of its last call, UTC."""
    calls_per_second: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    state: str
    """`healthy`, `degraded`, `probation` or `quarantined`."""
    why: str
    """In plain language; empty when it is healthy."""
    budget_remaining_ratio: float | None
    """Share of the error budget of its worst objective that is left over all versions; below 0 when overspent."""
    budget_slo: str | None
    """That objective."""
    budget_version: str | None
    """The version that spent most of it; null while no version is known to have spent any."""
    fast_burn_rate: float | None
    """The highest of all its objectives."""
    firing: int
    """Alerts that fire."""


@dataclass(frozen=True, slots=True)
class PluginDetail(Plugin):
    """The same, with what it is made of."""

    budgets: list[Budget]
    """What is left over all versions, by objective."""
    slos: list[SloRow]
    """What is left by version."""
    objectives: list[Objective]
    """Objectives in force that are about this plugin."""
    operations: list[OperationCalls]
    gate: list[GateState]
    errors: list[ErrorCalls]
    """Most first."""
    failing_traces: list[FailingSpan]
    """Newest first."""


@value
class PluginSeries(Answer):
    """One plugin's calls by step."""

    step_seconds: float
    calls: list[CallStep]
    latency: list[HeatStep]


@value
class FleetStep(Answer):
    """Calls of a plugin within a step."""

    plugin_id: str
    time: datetime
    calls: int
    failed: int
    rejected: int


@value
class FleetSeries(Answer):
    """Calls of every plugin by step."""

    step_seconds: float
    calls: list[FleetStep]
