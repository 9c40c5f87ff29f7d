"""Traces: found, and one as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from plugwarden.contract.value import value

from .answer import Answer

__all__ = ["LogRecord", "Span", "SpanEvent", "Trace", "TraceSummary"]


@value
class TraceSummary(Answer):
    """What a trace is like."""

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


@value
class SpanEvent(Answer):
    """An event within a span."""

    time: datetime
    name: str
    attributes: Mapping[str, str | None] | None


@value
class Span(Answer):
    """A span that sampling kept."""

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


@value
class LogRecord(Answer):
    """A log record of a trace."""

    time: datetime
    severity_text: str
    body: str
    plugin_id: str | None
    span_id: str | None


@value
class Trace(Answer):
    """All that was kept of one trace."""

    trace_id: str
    spans: list[Span]
    logs: list[LogRecord]
