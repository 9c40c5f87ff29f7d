"""Tail sampling: whole traces wait here until their local root has ended, and are then kept or let go.

Kept are all traces with an error, the slowest of each operation per interval, and a share of the rest chosen by trace
id, so that hosts that see parts of one trace choose alike. A root that nobody asked for its ids has no children, so it
is decided on at once, and so is a trace in which something failed. Where there is no room, what can be decided on is not
waited with. The bounds, and what is dropped: ADR 0042.
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
"""Spans that wait for their trace to be decided on."""
MAX_DECIDED = 10_000
"""Traces of which it is remembered how they were decided on: so many whose root still runs, and as many whose root has ended."""
MAX_SPANS_OF_TRACE = 1_000
"""Spans of what went well that are taken of one trace where only a share is kept: a run of tests is one trace of tens of thousands.
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
    """What is known of one trace: its spans while they wait, and what was decided afterwards."""

    __slots__ = (
        "complete",
        "cut",
        "leads",
        "plain",
        "reason",
        "root_name",
        "root_ns",
        "spans",
        "told",
        "touched_at",
        "waits",
    )

    def __init__(self) -> None:
        self.spans: list[Invocation | ReadableSpan] = []
        self.waits = True
        """It is not decided on."""
        self.reason: str | None = None
        """Why it is kept; None where it is let go."""
        self.complete = False
        """Its root has ended."""
        self.plain = 0
        """Spans of what went well that were taken."""
        self.cut = self.told = False
        """Whether there were more of them than are taken, and whether one of its spans says so."""
        self.leads: set[int] = set()
        """Ids of spans that still run and lead to one that failed."""
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
        self._bounded = ratio < 1.0
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        """Those that wait."""
        self._open: OrderedDict[int, _Trace] = OrderedDict()
        """Those that were decided on while their root ran, by when they were last heard of."""
        self._over: OrderedDict[int, _Trace] = OrderedDict()
        """Those whose root has ended, by when that was."""
        self._slow: OrderedDict[str, tuple[int, _Trace | None]] = OrderedDict()
        """The slowest trace of each root in this interval: how long it took, and its spans where nothing else has it kept."""
        self._slowest: dict[Operation, Invocation] = {}
        self._buffered = 0
        self.kept: list[Kept] = []
        """Chosen for export and not yet taken."""
        self.dropped: dict[str, int] = {}
        """Reason -> spans dropped since it was last taken. Spans left out by the ratio or by the bound of a trace are not drops."""

    def add(self, span: Invocation | ReadableSpan, at: float) -> None:
        """Hold one ended span."""
        direct, counts = False, True
        if type(span) is Invocation:
            outcome = None if span.more is None else span.outcome
            failed = outcome is Outcome.ERROR or outcome is Outcome.TIMEOUT
            parent = span.parent
            if parent is None and span.ids is None:
                self._decide_alone(span, failed)
                return
            direct = parent is not None and type(parent) is not Invocation  # below a span that is not ours
            if self._bounded and not failed:
                taken = self._takes(span, direct=direct)
                if taken is None:
                    return
                counts = taken
            trace_id, _, _, is_root, _ = identify(span)
            trace = self._known(trace_id)
            if failed and self._bounded:
                _lead(span, trace)
            if type(parent) is Invocation:
                span.parent = None
            name, duration_ns = span.operation.name, span.duration_ns
        else:
            trace_id = span.context.trace_id  # type: ignore[union-attr]
            failed = not span.status.is_ok  # type: ignore[union-attr]
            is_root = span.parent is None or span.parent.is_remote  # type: ignore[union-attr]
            trace, counts = self._known(trace_id), span.parent is not None
            if self._bounded and counts and not failed and trace.plain >= MAX_SPANS_OF_TRACE:
                trace.cut = True
                return
            name, duration_ns = span.name, (span.end_time or 0) - (span.start_time or 0)  # type: ignore[union-attr]
        if counts and not failed:
            trace.plain += 1
        if failed and (trace.waits or trace.reason is None):
            trace.cut = trace.cut or not trace.waits  # what was let go is missing, but this is what people look for
            self._decide(trace_id, trace, "error")
        trace.touched_at = at
        if trace.waits:
            trace.spans.append(span)
            self._buffered += 1
        elif trace.reason is not None:
            if (is_root or direct) and type(span) is Invocation and (trace.cut or span.let_go) and not trace.told:
                span.set_attribute(attributes.PLUGIN_TRACE_CUT, True)  # its trace had enough before it ended
                trace.told = True
            self.kept.append(Kept(span, trace.reason))
        if is_root:
            trace.complete, trace.root_name, trace.root_ns = True, name, duration_ns
            if not trace.waits and self._open.pop(trace_id, None) is not None:
                self._remember(trace_id, trace)
        if self._buffered > MAX_BUFFERED_SPANS:
            self._make_room()

    def _known(self, trace_id: int) -> _Trace:
        """What is known of a trace, from now on if nothing was."""
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._decided(trace_id)
            if trace is None:
                trace = self._traces[trace_id] = _Trace()
        return trace

    def _decided(self, trace_id: int) -> _Trace | None:
        trace = self._open.get(trace_id)
        if trace is None:
            return self._over.get(trace_id)
        self._open.move_to_end(trace_id)
        return trace

    def _takes(self, span: Invocation, *, direct: bool) -> bool | None:
        """Whether a span of what went well is taken: True, one of those that a trace may have; False, beside these. None: its trace
        was let go, or has enough; then it needs no ids, and what runs above it is told to leave none."""
        top, ids = span, span.ids
        while top.ids is None and type(top.parent) is Invocation:
            top = top.parent
        if top.ids is not None:
            trace_id = top.ids.trace_id
        elif top.parent is not None:
            trace_id = top.parent.trace_id  # type: ignore[union-attr]  # it is the context of a span that is not ours
        else:
            return span is not top
        trace = self._traces.get(trace_id) or self._decided(trace_id)
        root = ids is not None and ids.parent_id == 0
        if trace is None:
            return not root
        if ids is not None and ids.span_id in trace.leads:
            trace.leads.discard(ids.span_id)
            return False
        if trace.waits or trace.reason is not None:
            if root:
                return False
            if trace.plain < MAX_SPANS_OF_TRACE:
                return True
            trace.cut = True
            if not trace.told and self._must_tell(span, trace, direct=direct):
                span.set_attribute(attributes.PLUGIN_TRACE_CUT, True)
                trace.told = True
                return False
        above = span.parent
        while type(above) is Invocation and not above.let_go:
            above.let_go = True
            above = above.parent
        return None

    @staticmethod
    def _must_tell(span: Invocation, trace: _Trace, *, direct: bool) -> bool:
        """Whether one more is taken to say that a trace is cut, because no root of ours is still to come that could."""
        if trace.waits:  # else one of those that wait says it
            return direct and span.let_go
        return direct or trace.complete

    def _make_room(self) -> None:
        """Decide on what waits and need not: traces whose root has ended, then those that are kept whatever comes. Only where
        that is not enough is anything dropped: of the slowest, and then of what still runs, the oldest first."""
        for trace_id, trace in list(self._traces.items()):
            if self._buffered <= MAX_BUFFERED_SPANS // 2:
                return
            if trace.complete:
                self._settle_one(trace_id, trace)
        for trace_id, trace in list(self._traces.items()):
            if self._buffered <= MAX_BUFFERED_SPANS // 2:
                return
            if self._is_chosen(trace_id):
                self._decide(trace_id, trace, "ratio")
        most = MAX_BUFFERED_SPANS - MAX_BUFFERED_SPANS // 16  # for a while, so that not every span asks for room
        for name in list(self._slow):
            if self._buffered <= most:
                return
            took_ns, slowest = self._slow[name]
            if slowest is not None:
                self._count("trace_buffer_full", len(slowest.spans))
                self._slow[name] = took_ns, None
                self._release(slowest, None)
        while self._buffered > most:
            trace_id, trace = next(iter(self._traces.items()))
            self._count("trace_buffer_full", len(trace.spans))
            self._decide(trace_id, trace, None)

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
            trace = _Trace()
            trace.waits, trace.reason, trace.complete = False, "error", True
            self._remember(trace_id, trace)
        elif trace_id & _RATIO_MASK < self._threshold and span.operation.may_keep(span):
            self.kept.append(Kept(span, "ratio"))
        else:
            slowest = self._slowest.get(span.operation)
            if slowest is None or span.duration_ns > slowest.duration_ns:
                self._slowest[span.operation] = span

    def settle(self, at: float, *, everything: bool = False) -> None:
        """Decide on all complete traces, or on all there are with `everything`, at the end of an interval."""
        for trace_id, trace in list(self._traces.items()):
            if everything or trace.complete or at - trace.touched_at > LINGER_SECONDS:
                self._settle_one(trace_id, trace)
        for _, slowest in self._slow.values():
            if slowest is not None:
                self._release(slowest, "slow")
        self._slow.clear()
        self.kept.extend(Kept(span, "slow") for span in self._slowest.values())
        self._slowest.clear()

    def _settle_one(self, trace_id: int, trace: _Trace) -> None:
        """Decide on a trace in which nothing failed: where it is the slowest of its root so far, the end of the interval does."""
        chosen = self._is_chosen(trace_id)
        slow_ns, rival = self._slow.get(trace.root_name, (0, None))
        if trace.root_ns <= slow_ns:
            self._decide(trace_id, trace, "ratio" if chosen else None)
            return
        if rival is not None:
            self._release(rival, None)
        if chosen:
            self._decide(trace_id, trace, "ratio")
            self._slow[trace.root_name] = trace.root_ns, None
        else:
            # Its spans wait, and it is known as let go: a failure of it that comes late is kept by itself.
            spans, count = trace.spans, len(trace.spans)
            self._decide(trace_id, trace, None)
            held = _Trace()
            held.spans, held.cut, held.told = spans, trace.cut, trace.told
            self._buffered += count
            self._slow[trace.root_name] = trace.root_ns, held

    def take(self) -> list[Kept]:
        """The spans chosen so far."""
        kept, self.kept = self.kept, []
        return kept

    def take_dropped(self) -> dict[str, int]:
        """Drops by reason since the last call."""
        dropped, self.dropped = self.dropped, {}
        return dropped

    def _is_chosen(self, trace_id: int) -> bool:
        return trace_id & _RATIO_MASK < self._threshold

    def _decide(self, trace_id: int, trace: _Trace, reason: str | None) -> None:
        """Have a trace kept, or let go with None; what comes of it later goes the same way."""
        if trace.waits:
            trace.waits = False
            del self._traces[trace_id]
            self._release(trace, reason)
            self._remember(trace_id, trace)
        trace.reason = reason

    def _release(self, trace: _Trace, reason: str | None) -> None:
        """Let spans that waited go where they are to go."""
        spans, trace.spans = trace.spans, []
        self._buffered -= len(spans)
        if reason is not None:
            if trace.cut and not trace.told:
                trace.told = _say_cut(spans)
            self.kept.extend(Kept(span, reason) for span in spans)

    def _remember(self, trace_id: int, trace: _Trace) -> None:
        known = self._over if trace.complete else self._open
        known[trace_id] = trace
        if len(known) > MAX_DECIDED:
            known.popitem(last=False)

    def _count(self, reason: str, spans: int) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + spans


def _lead(failed: Invocation, trace: _Trace) -> None:
    """Have the spans kept that lead to one that failed: they end after it."""
    above = failed.parent
    while type(above) is Invocation and above.ids is not None and above.ids.span_id not in trace.leads:
        trace.leads.add(above.ids.span_id)
        above = above.parent


def _say_cut(spans: list[Invocation | ReadableSpan]) -> bool:
    """Tell who reads it that there were more calls than spans: on the root, or the last of those that have none of ours above;
    whether there is one."""
    for span in reversed(spans):
        if type(span) is Invocation and (identify(span).is_root or span.parent is not None):
            span.set_attribute(attributes.PLUGIN_TRACE_CUT, True)
            return True
    return False
