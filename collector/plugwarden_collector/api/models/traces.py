"""Traces: found, and one as a whole."""

from __future__ import annotations

from plugwarden.contract.value import value

from plugwarden_collector.store.traces import LogRecord, Span, SpanEvent, TraceSummary

from .answer import Answer

__all__ = ["LogRecord", "Span", "SpanEvent", "Trace", "TraceSummary"]


@value
class Trace(Answer):
    """All that was kept of one trace."""

    trace_id: str
    spans: list[Span]
    logs: list[LogRecord]
