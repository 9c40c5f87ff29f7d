"""Traces: found, and one as a whole."""

from __future__ import annotations

from plugwarden.contract.value import value

from plugwarden_collector.store.traces import LogRecord, Span, SpanEvent, TraceSummary

from .answer import Answer

__all__ = ["LogRecord", "Span", "SpanEvent", "Trace", "TraceSummary"]


@value
class Trace(Answer):
    """What was kept of one trace, oldest first."""

    trace_id: str
    span_count: int
    """Spans that are kept of it, up to 200,000."""
    spans: list[Span]
    """At most 10,000 of them: those that failed and those that lead to them before others."""
    logs: list[LogRecord]
    """At most 1,000 of them."""
