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


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace in a list."""

    trace_id: str
    started_at: datetime
    root: str
    """Name of the span that began it, or of the first one there is."""
    service_name: str | None
    duration_seconds: float
    spans: int
    errors: int
    plugins: Sequence[str] | None
    """Ids, in order; None where no span is a plugin's."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span."""

    time: datetime
    name: str
    attributes: Mapping[str, str | None] | None


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace."""

    span_id: str | None
    parent_span_id: str | None
    name: str
    kind: str
    service_name: str | None
    plugin_id: str | None
    plugin_version: str | None
    plugin_operation: str | None
    outcome: str | None
    error_source: str | None
    error_type: str | None
    downstream: str | None
    started_at: datetime
    duration_seconds: float
    status: str
    """`unset`, `ok` or `error`."""
    status_message: str | None
    attributes: Mapping[str, str | None] | None
    events: Sequence[SpanEvent]


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record of a trace."""

    time: datetime
    severity_text: str | None
    body: str | None
    plugin_id: str | None
    span_id: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """All that is kept of one trace, oldest first; at most 10,000 spans and 1,000 records."""

    spans: Sequence[Span]
    logs: Sequence[LogRecord]


@dataclass(frozen=True, slots=True)
class FailingSpan:
    """A failed call of a plugin, as evidence."""

    trace_id: str
    span_id: str
    started_at: datetime
    duration_seconds: float
    error_type: str | None
    status_message: str | None
