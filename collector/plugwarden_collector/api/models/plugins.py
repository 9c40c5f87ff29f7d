"""Plugins: how each stands and why, and their calls by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from plugwarden.contract.value import value

from .answer import Answer
from .rules import Objective, SloRow

__all__ = ["ErrorType", "FailingSpan", "FleetSeries", "FleetStep", "Gate", "LatencyCell", "Operation", "Plugin", "PluginDetail",
           "PluginSeries", "PluginStep"]  # fmt: skip


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
    """Share of the error budget of its worst objective that is left; below 0 when overspent."""
    budget_slo: str | None
    """That objective."""
    budget_version: str | None
    """The version that it stands worst for."""
    fast_burn_rate: float | None
    """The highest of all its objectives."""
    firing: int
    """Alerts that fire."""


@value
class Operation(Answer):
    """An operation of a plugin version."""

    plugin_version: str
    plugin_operation: str
    calls: int
    failed: int
    rejected: int
    mean_seconds: float | None
    """Mean time of calls that ran; null when none did."""
    max_seconds: float | None
    cpu_seconds: float | None
    first_at: datetime
    last_at: datetime


@value
class Gate(Answer):
    """What the gate of an operation is like, as its hosts last told it. Null: they told nothing of the kind."""

    plugin_version: str | None
    plugin_operation: str | None
    breaker_state: int | None
    """0 closed, 1 open, 2 half open, 3 forced open, 4 disabled, 5 metrics only; the highest of all hosts."""
    running: int | None
    waiting: int | None
    abandoned: int | None
    """Calls past their deadline that still run."""
    workers: int | None
    memory_bytes: int | None
    timeout_seconds: float | None
    """As declared."""
    longest_seconds: float | None
    """As observed."""
    concurrency: int | None
    """As declared."""
    most_running: int | None
    """As observed."""
    refusals: Mapping[str, int] | None
    """Reason -> calls refused."""


@value
class ErrorType(Answer):
    """A kind of failure of a plugin version."""

    plugin_version: str
    error_type: str
    error_source: str
    """Who is to blame: `plugin`, `downstream`, `host`, `caller` or `quota`."""
    outcome: str
    calls: int
    first_at: datetime
    last_at: datetime


@value
class FailingSpan(Answer):
    """A failed call whose trace was kept."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    started_at: datetime
    duration_seconds: float
    error_type: str | None
    status_message: str


@dataclass(frozen=True, slots=True)
class PluginDetail(Plugin):
    """The same, with what it is made of."""

    slos: list[SloRow]
    objectives: list[Objective]
    """Objectives in force that are about this plugin."""
    operations: list[Operation]
    gate: list[Gate]
    errors: list[ErrorType]
    """Most first."""
    failing_traces: list[FailingSpan]
    """Newest first."""


@value
class PluginStep(Answer):
    """Calls of one plugin within a step."""

    time: datetime
    """Its beginning, UTC."""
    plugin_version: str
    outcome: str
    error_source: str
    """Empty when nothing failed."""
    calls: int
    duration_seconds_sum: float
    cpu_seconds: float | None


@value
class LatencyCell(Answer):
    """Calls of one plugin within a step and a bucket of the histogram."""

    time: datetime
    index: int
    """Bucket of the exponential histogram of scale 4: durations up to 2 ** ((index + 1) / 16) seconds."""
    count: int


@value
class PluginSeries(Answer):
    """One plugin's calls by step."""

    step_seconds: float
    calls: list[PluginStep]
    latency: list[LatencyCell]


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
