"""What telemetry says of plugins' calls: values that every engine answers with.

Times are UTC without a zone; a span of time is after `since`, up to and including `until`. Counts are at most 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.pattern import EVERY, matches
from plugwarden_collector.rules.saturation import Saturation
from plugwarden_collector.rules.slices import Slices

__all__ = [
    "CallStep",
    "Counts",
    "ErrorCalls",
    "FleetSeries",
    "GateState",
    "HeatStep",
    "Limits",
    "Measure",
    "OperationCalls",
    "PluginCalls",
    "PluginVersion",
    "SectionCounts",
    "Span",
    "Spender",
    "UpstreamCalls",
    "VersionSeen",
    "Windows",
]

PluginVersion = tuple[str, str]
"""Plugin id and version."""
Span = tuple[datetime, datetime]
"""After the first of them, up to and including the second."""
Windows = Mapping[str, Mapping[PluginVersion, Mapping[float, CallCounts]]]
"""Name of a measure -> plugin version -> length of a window in seconds -> counts. What has no calls in a window is not there."""
Counts = Mapping[str, Mapping[PluginVersion, CallCounts]]
"""Name of a measure -> plugin version -> counts of one span of time. What has no calls in it is not there."""

Limits = Mapping[tuple[str, str], float]
"""Plugin and `rules.saturation.LimitedResource` -> limit."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing to count in windows, for all plugins that it covers."""

    name: str
    covers: Callable[[str], bool]
    """Whether it is about a plugin, by its id."""
    fast_index: int | None = None
    """Slow is a call in a histogram bucket above this one, or one that the plugin's breaker refused; None: calls that failed through the
    plugin's fault, or were so refused, are counted instead."""
    versions: str = EVERY
    """A pattern: calls of other versions do not count."""
    operations: str = EVERY
    """A pattern of operations: calls of others do not count."""
    slices: Slices | None = None
    """What is counted instead of calls: slices of a plugin over its versions, under an empty one. They are asked of spans alone."""
    saturation: Saturation | None = None
    """What fills slices, which are minutes; None: calls make them good or bad."""

    @classmethod
    def of(cls, item: Objective) -> Measure:
        """Return what is counted of calls for an objective."""
        return cls(
            item.name, item.covers, item.threshold_index, item.versions, item.operations, item.cut, item.saturation
        )  # fmt: skip

    def is_about(self, key: PluginVersion) -> bool:
        """Whether what is counted of a plugin's version, or of a plugin, counts."""
        return self.covers(key[0]) and (self.slices is not None or matches(self.versions, key[1]))


@dataclass(frozen=True, slots=True)
class Spender:
    """Calls of one plugin that count against an objective, and share version, operation and error."""

    plugin_version: str
    plugin_operation: str
    error_type: str
    """Empty of slow calls that did not fail."""
    bad: int


@dataclass(frozen=True, slots=True)
class SectionCounts:
    """What an objective counts of one plugin, by section of time."""

    by_section: Mapping[int, tuple[int, int]]
    """Number of a section, from 0 -> total and bad. A section without any is not there."""
    by_version: Mapping[str, Mapping[int, tuple[int, int]]]
    """Version -> number of a section -> total and bad; empty of slices."""
    spenders: Sequence[Spender]
    """Who spent what, over all sections that count, the most first; empty of slices."""


@dataclass(frozen=True, slots=True)
class VersionSeen:
    """A plugin version that ran within a span of time."""

    plugin: str
    version: str
    calls: int
    """Refused ones too."""
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ErrorCalls:
    """Failed calls of one plugin that share version, error, source and outcome."""

    plugin_version: str
    error_type: str
    error_source: str
    """Who is to blame: `plugin`, `downstream`, `host`, `caller` or `quota`."""
    outcome: str
    calls: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class PluginCalls:
    """One plugin over a span of time."""

    plugin_id: str
    calls: int
    failed: int
    """Errors and timeouts, whoever is to blame."""
    bad: int
    """Calls, of those, that failed through the plugin's fault."""
    rejected: int
    cpu_seconds: float
    busy_seconds: float
    """Time that calls took, added up."""
    versions: Sequence[str] | None
    """Versions with calls, in order; None without any."""
    last_at: datetime | None
    """The newest second, minute or hour with calls; None without any."""
    calls_per_second: float
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    """Right to 2.2 %; None where no call came through."""

    @classmethod
    def none(cls, plugin_id: str) -> PluginCalls:
        """Return those of a plugin that made no call."""
        return cls(plugin_id, 0, 0, 0, 0, 0.0, 0.0, None, None, 0.0, None, None, None)


@dataclass(frozen=True, slots=True)
class OperationCalls:
    """One operation of a plugin's version over a span of time."""

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


@dataclass(frozen=True, slots=True)
class GateState:
    """What the gate of one operation is like, as its hosts last told it; None is what no host told."""

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


@dataclass(frozen=True, slots=True)
class UpstreamCalls:
    """Calls of one upstream over a span of time: by one plugin on the hosts of a service, or by all of them. What its caller cancelled is
    in no count."""

    upstream: str
    """Its name, as plugins give it."""
    plugin_id: str | None
    """None: by all plugins and services."""
    service_name: str | None
    """Empty of calls that an earlier version counted; None: by all plugins and services."""
    calls: int
    failed: int
    """Errors and timeouts."""
    mean_seconds: float | None
    """Mean time of a call; None without any."""
    p99_seconds: float | None
    """Right to 2.2 %; None where no sender told a histogram that can be read."""
    last_failed_at: datetime | None
    """Second or minute of the last failure; None without one."""
    last_at: datetime
    """Second or minute of the last call."""


@dataclass(frozen=True, slots=True)
class CallStep:
    """One plugin's calls of a step that share version, outcome and source."""

    time: datetime
    """Its beginning, UTC."""
    plugin_version: str
    outcome: str
    error_source: str
    """Empty when nothing failed."""
    calls: int
    duration_seconds_sum: float
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class HeatStep:
    """One plugin's calls of a step that fell into one bucket of the contract's scale-4 histogram."""

    time: datetime
    index: int
    """Bucket of the exponential histogram of scale 4: durations up to 2 ** ((index + 1) / 16) seconds."""
    count: int


@dataclass(frozen=True, slots=True)
class FleetSeries:
    """Calls of all plugins by step. A hundred thousand steps take seconds as objects: engines write them as JSON themselves."""

    json: str
    """A list of objects with `plugin_id`, `time`, `calls`, `failed` and `rejected`, in the order of time and name."""
