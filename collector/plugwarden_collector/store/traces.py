"""What telemetry says of traces: values that every engine answers with. Ids are hex text, times UTC without a zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

__all__ = ["FailingSpan", "LogRecord", "Span", "SpanEvent", "Trace", "TraceFilter", "TraceSummary"]


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What a span must be like for its trace to be found; None matches all."""

    plugin: str | None = None
    version: str | None = None
    outcome: str | None = None
    text: str | None = None
    """Part of the span's name, error type or status message, in any case."""
    min_seconds: float | None = None
    max_seconds: float | None = None
    operation: str | None = None


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace in a list."""

    trace_id: str
    """32 hex digits."""
    started_at: datetime
    root: str
    """Name of its root span, or of its first one where the root was not kept."""
    service_name: str
    duration_seconds: float
    spans: int
    errors: int
    """Spans whose status is an error."""
    plugins: list[str] | None
    """Plugins that took part; null: none."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span."""

    time: datetime
    name: str
    attributes: Mapping[str, str | None] | None


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace."""

    span_id: str
    """16 hex digits."""
    parent_span_id: str | None
    """Span that this one is part of; null for a root."""
    name: str
    kind: str
    """`internal`, `server`, `client`, `producer`, `consumer` or `unspecified`."""
    service_name: str
    plugin_id: str | None
    """Null when no plugin made it."""
    plugin_version: str | None
    plugin_operation: str | None
    outcome: str | None
    """`success`, `error`, `timeout`, `rejected` or `cancelled`; null when no sidecar made it."""
    error_source: str | None
    """Who is to blame: `plugin`, `downstream`, `host`, `caller` or `quota`."""
    error_type: str | None
    downstream: str | None
    """Service behind the plugin that this span waited for."""
    started_at: datetime
    duration_seconds: float
    status: str
    """OpenTelemetry's: `ok`, `error` or `unset`."""
    status_message: str
    attributes: Mapping[str, str | None] | None
    """Values as text."""
    events: list[SpanEvent]


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record of a trace."""

    time: datetime
    severity_text: str
    body: str
    plugin_id: str | None
    span_id: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """What is kept of one trace, oldest first; at most 10,000 spans, those that failed and those that lead to them before others, and
    1,000 records."""

    spans: Sequence[Span]
    logs: Sequence[LogRecord]
    span_count: int
    """Spans that are kept of it, up to 200,000: how many `spans` would be without its bound."""


@dataclass(frozen=True, slots=True)
class FailingSpan:
    """A failed call of a plugin, as evidence."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    plugin_version: str | None
    started_at: datetime
    duration_seconds: float
    error_type: str | None
    status_message: str
