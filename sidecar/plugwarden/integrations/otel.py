"""For hosts with an OpenTelemetry tracer provider of their own: their spans join the sidecar's traces."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

__all__ = ["SidecarSpanProcessor"]


class SidecarSpanProcessor(SpanProcessor):
    """Hands every ended span to the sidecar, which samples whole traces at the tail."""

    def __init__(self, emit: Callable[[ReadableSpan], None], flush: Callable[[float], bool]) -> None:
        self._emit = emit
        self._flush = flush

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is known yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span. Never blocks."""
        self._emit(span)

    def shutdown(self) -> None:
        """The sidecar closes itself."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is queued."""
        return self._flush(timeout_millis / 1000)
