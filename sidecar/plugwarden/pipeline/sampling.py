"""Tail sampling: whole traces wait here until their local root has ended, and are then kept or let go.

Kept are all traces with an error, the slowest of each operation per interval, and a share of the rest chosen by trace
id, so that hosts that see parts of one trace choose alike. A root that nobody asked for its ids has no children, so it
is decided on at once.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from plugwarden.chance import chance
from plugwarden.contract import Outcome, attributes
from plugwarden.invocation import Invocation, identify, identify_below

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from plugwarden.operation import Operation

__all__ = ["Kept", "TraceBuffer", "gaps"]

MAX_BUFFERED_SPANS = 20_000
MAX_DECIDED = 10_000
MAX_SPANS_OF_TRACE = 1_000
"""Spans of what went well that are held of one trace where only a share is kept: a run of tests is one trace of tens of thousands.
Sentry's SDKs stop at 1,000 (`max_spans`), Elastic's agents at 500 (`transaction_max_spans`)."""
LINGER_SECONDS = 2.0
"""A trace whose root is not ours (a host's own provider) is decided on when nothing came for this long."""
_RATIO_BITS = 56
"""OpenTelemetry's trace state specification takes a trace's randomness from its last 56 bits."""
_RATIO_MASK = (1 << _RATIO_BITS) - 1


class Kept(NamedTuple):
    """A span chosen for export, and why."""

    span: Invocation | ReadableSpan
    reason: str


class _Trace:
    __slots__ = ("complete", "cut", "failed", "root_name", "root_ns", "spans", "touched_at")

    def __init__(self) -> None:
        self.spans: list[Invocation | ReadableSpan] = []
        self.complete = self.failed = self.cut = False
        self.touched_at = 0.0
        self.root_name = ""
        self.root_ns = 0


def gaps(ratio: float) -> Callable[[], int]:
    """Draws how many calls of which nobody asked for ids to leave out before the next that is kept, so that each is kept with
    the same chance (a geometric distribution): one draw for each that is kept, and none for the others."""
    if ratio <= 0.0:
        return lambda: sys.maxsize
    scale = 1.0 / math.log1p(-min(ratio, 1.0 - 2**-53))
    return lambda: int(math.log(1.0 - chance()) * scale)


_make_kept = partial(tuple.__new__, Kept)


class TraceBuffer:
    """Spans by trace, bounded. Not thread-safe: has one owner. Time (monotonic seconds) is an argument."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._threshold = int(ratio * (1 << _RATIO_BITS))
        self._most = MAX_SPANS_OF_TRACE if ratio < 1.0 else sys.maxsize
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        self._decided: OrderedDict[int, str | None] = OrderedDict()
        self._slowest: dict[Operation, Invocation] = {}
        self._buffered = 0
        self.kept: list[Kept] = []
        """Chosen for export and not yet taken."""
        self.dropped: dict[str, int] = {}
        """Reason -> spans dropped since it was last taken. Spans left out by the ratio are not drops."""

    def add(self, span: Invocation | ReadableSpan, at: float) -> None:
        """Hold one ended span."""
        if type(span) is Invocation:
            outcome = None if span.more is None else span.outcome
            failed = outcome is Outcome.ERROR or outcome is Outcome.TIMEOUT
            if span.ids is None:
                if span.parent is None:
                    self._decide_alone(span, failed)
                    return
                if not failed and self._let_go(span):
                    return
            trace_id, _, _, is_root, _ = identify(span)
            if type(span.parent) is Invocation:
                span.parent = None
            name, duration_ns = span.operation.name, span.duration_ns
        else:
            trace_id = span.context.trace_id  # type: ignore[union-attr]
            failed = not span.status.is_ok  # type: ignore[union-attr]
            is_root = span.parent is None or span.parent.is_remote  # type: ignore[union-attr]
            name, duration_ns = span.name, (span.end_time or 0) - (span.start_time or 0)  # type: ignore[union-attr]
        if trace_id in self._decided:
            reason = self._decided[trace_id]
            if reason is None and failed:
                reason = self._decided[trace_id] = "error"  # its children were let go, but it is what people look for
            if reason is not None:
                if is_root and type(span) is Invocation and span.let_go:  # its trace had enough before it ended
                    span.set_attribute(attributes.PLUGIN_TRACE_CUT, True)
                self.kept.append(Kept(span, reason))
            return
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = _Trace()
        trace.spans.append(span)
        trace.touched_at = at
        trace.failed = trace.failed or failed
        if is_root:
            trace.complete, trace.root_name, trace.root_ns = True, name, duration_ns
        self._buffered += 1
        while self._buffered > MAX_BUFFERED_SPANS:
            oldest, lost = self._traces.popitem(last=False)
            self._buffered -= len(lost.spans)
            self._remember(oldest, None)
            self._count("trace_buffer_full", len(lost.spans))

    def _let_go(self, span: Invocation) -> bool:
        """Whether the trace of a span was let go, or has enough: then it needs no ids, and what runs above it is told to leave none."""
        above = span.parent
        while type(above) is Invocation and above.ids is None:
            above = above.parent
        ids = above.ids if type(above) is Invocation else None
        if ids is None:
            return False
        trace = self._traces.get(ids.trace_id)
        if trace is not None and len(trace.spans) >= self._most:
            trace.cut = True
        elif self._decided.get(ids.trace_id, "") is not None:
            return False
        above = span.parent
        while type(above) is Invocation and not above.let_go:
            above.let_go = True
            above = above.parent
        return True

    def add_lone(self, spans: Sequence[Invocation]) -> None:
        """Take plain successes that nobody holds any more and nobody asked for their ids: they get some if they are sent."""
        if self._ratio >= 1.0:
            self.kept.extend(map(_make_kept, zip(spans, repeat("ratio"))))
        else:
            for span in spans:
                self._decide_alone(span, False)

    def choose(self, span: Invocation) -> None:
        """Keep a plain success that is one of the share, which its caller decided by `gaps`. Its trace id is one that is kept."""
        self.kept.append(Kept(self.named(span), "ratio"))

    def named(self, span: Invocation) -> Invocation:
        """A plain success that nobody asked for its ids, with ids that are kept. Safe from any thread."""
        return identify_below(span, self._threshold, _RATIO_BITS)

    def _decide_alone(self, span: Invocation, failed: bool) -> None:
        trace_id = identify(span).trace_id
        if failed:
            self.kept.append(Kept(span, "error"))
            self._remember(trace_id, "error")
        elif trace_id & _RATIO_MASK < self._threshold and span.operation.may_keep(span):
            self.kept.append(Kept(span, "ratio"))
        else:
            slowest = self._slowest.get(span.operation)
            if slowest is None or span.duration_ns > slowest.duration_ns:
                self._slowest[span.operation] = span

    def settle(self, at: float, *, everything: bool = False) -> None:
        """Decide on all complete traces, or on all there are with `everything`, at the end of an interval."""
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
        for trace_id, trace in ready:
            del self._traces[trace_id]
            self._buffered -= len(trace.spans)
            reason = self._reason(trace_id, trace, slow)
            self._remember(trace_id, reason)
            if reason is not None:
                if trace.cut:
                    _say_cut(trace)
                self.kept.extend(Kept(span, reason) for span in trace.spans)
        self.kept.extend(Kept(span, "slow") for span in self._slowest.values())
        self._slowest.clear()

    def take(self) -> list[Kept]:
        """The spans chosen so far."""
        kept, self.kept = self.kept, []
        return kept

    def take_dropped(self) -> dict[str, int]:
        """Drops by reason since the last call."""
        dropped, self.dropped = self.dropped, {}
        return dropped

    def _reason(self, trace_id: int, trace: _Trace, slow: set[int]) -> str | None:
        if trace.failed:
            return "error"
        if trace_id & _RATIO_MASK < self._threshold:
            return "ratio"
        return "slow" if trace_id in slow else None

    def _remember(self, trace_id: int, reason: str | None) -> None:
        self._decided[trace_id] = reason
        if len(self._decided) > MAX_DECIDED:
            self._decided.popitem(last=False)

    def _count(self, reason: str, spans: int) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + spans


def _say_cut(trace: _Trace) -> None:
    """Tell who reads it that there were more calls than spans."""
    for span in trace.spans:
        if type(span) is Invocation and identify(span).is_root:
            span.set_attribute(attributes.PLUGIN_TRACE_CUT, True)
