"""Tail sampling: whole traces wait here until their local root has ended, and are then kept or let go.

Kept are all traces with an error, the slowest of each operation per interval, and a share of the rest chosen by trace
id, so that hosts that see parts of one trace choose alike.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plugwarden.contract import Outcome
from plugwarden.invocation import Invocation

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["Kept", "TraceBuffer"]

MAX_BUFFERED_SPANS = 20_000
MAX_KEPT_SPANS = 4_096
"""Per interval, so that an error storm cannot fill the exporter's queue."""
MAX_DECIDED = 10_000
LINGER_SECONDS = 2.0
"""A trace whose root is not ours (a host's own provider) is decided on when nothing came for this long."""
_RATIO_BITS = 56
"""OpenTelemetry's trace state specification takes a trace's randomness from its last 56 bits."""


@dataclass(slots=True)
class Kept:
    """A span chosen for export, and why."""

    span: Invocation | ReadableSpan
    reason: str


@dataclass(slots=True)
class _Trace:
    spans: list[Invocation | ReadableSpan] = field(default_factory=list)
    complete: bool = False
    failed: bool = False
    touched_at: float = 0.0
    root_name: str = ""
    root_ns: int = 0


class TraceBuffer:
    """Spans by trace, bounded. Not thread-safe: has one owner. Time (monotonic seconds) is an argument."""

    def __init__(self, ratio: float) -> None:
        self._threshold = int(ratio * (1 << _RATIO_BITS))
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        self._decided: OrderedDict[int, str | None] = OrderedDict()
        self._buffered = 0
        self._late: list[Kept] = []
        self.dropped: dict[str, int] = {}
        """Reason -> spans dropped since it was last taken. Spans left out by the ratio are not drops."""

    def add(self, span: Invocation | ReadableSpan, at: float) -> None:
        """Hold one ended span."""
        if isinstance(span, Invocation):
            trace_id = span._context.trace_id
            failed = span.outcome is Outcome.ERROR or span.outcome is Outcome.TIMEOUT
            name, duration_ns = span.operation.name, span.duration_ns
        else:
            trace_id = span.context.trace_id
            failed = not span.status.is_ok
            name, duration_ns = span.name, (span.end_time or 0) - (span.start_time or 0)
        if trace_id in self._decided:
            reason = self._decided[trace_id]
            if reason is not None:
                self._late.append(Kept(span, reason))
            return
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = _Trace()
        trace.spans.append(span)
        trace.touched_at = at
        trace.failed = trace.failed or failed
        parent = span.parent
        if parent is None or parent.is_remote:
            trace.complete, trace.root_name, trace.root_ns = True, name, duration_ns
        self._buffered += 1
        while self._buffered > MAX_BUFFERED_SPANS:
            oldest, lost = self._traces.popitem(last=False)
            self._buffered -= len(lost.spans)
            self._remember(oldest, None)
            self._count("trace_buffer_full", len(lost.spans))

    def take(self, at: float, *, everything: bool = False) -> list[Kept]:
        """Decide on all complete traces (on all there are with `everything`) and return the spans to export."""
        ready = [
            (trace_id, trace)
            for trace_id, trace in self._traces.items()
            if everything or trace.complete or at - trace.touched_at > LINGER_SECONDS
        ]
        slowest: dict[str, tuple[int, int]] = {}
        for trace_id, trace in ready:
            if not trace.failed and trace.root_ns > slowest.get(trace.root_name, (0, 0))[0]:
                slowest[trace.root_name] = (trace.root_ns, trace_id)
        slow = {trace_id for _, trace_id in slowest.values()}
        kept, self._late = self._late, []
        for trace_id, trace in ready:
            del self._traces[trace_id]
            self._buffered -= len(trace.spans)
            reason = self._reason(trace_id, trace, slow)
            if reason is not None and len(kept) + len(trace.spans) > MAX_KEPT_SPANS:
                self._count("export_rate", len(trace.spans))
                reason = None
            self._remember(trace_id, reason)
            if reason is not None:
                kept.extend(Kept(span, reason) for span in trace.spans)
        return kept

    def take_dropped(self) -> dict[str, int]:
        """Drops by reason since the last call."""
        dropped, self.dropped = self.dropped, {}
        return dropped

    def _reason(self, trace_id: int, trace: _Trace, slow: set[int]) -> str | None:
        if trace.failed:
            return "error"
        if trace_id & ((1 << _RATIO_BITS) - 1) < self._threshold:
            return "ratio"
        return "slow" if trace_id in slow else None

    def _remember(self, trace_id: int, reason: str | None) -> None:
        self._decided[trace_id] = reason
        if len(self._decided) > MAX_DECIDED:
            self._decided.popitem(last=False)

    def _count(self, reason: str, spans: int) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + spans
