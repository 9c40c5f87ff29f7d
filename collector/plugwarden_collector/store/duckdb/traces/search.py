"""Reads traces: one by its id, or those that match a search. Fast by layout, see trace_index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.rows import Row, fetch_rows
from plugwarden_collector.store.duckdb.statements import parsed, statement
from plugwarden_collector.store.traces import FailingSpan, Trace, TraceFilter, TraceSummary

from .index import Run, TextRuns, TraceIndex
from .rows import log_of, span_of
from .trigrams import KINDS

__all__ = ["StoredTraces", "TraceFilter", "failing_spans", "find_trace", "search_traces"]

AROUND = timedelta(hours=1)
"""Time around the spans of a trace in which its log records are looked for."""
FIRST_SLICE = timedelta(minutes=1)
"""Length of the slice that a search looks into first; each further one is four times as long: the newest matches are what people want."""
SLICE_GROWTH = 4
SPANS_A_TRACE = 10
"""Matching spans of one trace; more make a search ask again."""
MAX_LISTED = 200_000
"""Commits that a search names one by one: a tenth of a second."""
MAX_SPANS = 10_000
"""Spans of one trace that are shown; a trace that has more ran away."""
MAX_COUNTED = 200_000
"""Spans of one trace among which those to show are chosen: half a second."""


class StoredTraces:
    """See `store.telemetry.Traces`. Asked from any thread."""

    def __init__(self, database: Database, index: TraceIndex) -> None:
        self._database, self._index = database, index

    def find(self, trace_id: int) -> Trace:
        """Return a trace by its id."""
        return find_trace(self._database, self._index, trace_id)

    def search(self, wanted: TraceFilter, since: datetime, until: datetime, limit: int) -> list[TraceSummary]:
        """Return the newest traces with a matching span."""
        return search_traces(self._database, self._index, wanted, since, until, limit)

    def failing(
        self, plugin: str, since: datetime, until: datetime, limit: int, *, version: str | None = None
    ) -> list[FailingSpan]:
        """Return the newest failed spans of a plugin, or of one version."""
        return failing_spans(self._database, plugin, since, until, limit, version=version)


def find_trace(database: Database, index: TraceIndex, trace_id: int) -> Trace:
    """Spans (oldest first) and log records of one trace; `trace_id` as a 128-bit integer."""
    halves = {"hi": trace_id >> 64, "lo": trace_id & (2**64 - 1)}
    with database.reading() as cursor:
        runs = [
            {**halves, "first": first, "last": last} for first, last in index.candidates(halves["hi"], halves["lo"])
        ]

        def read(name: str, most: int, **more: Any) -> list[Row]:
            found: list[Row] = []
            for run in runs:
                found += fetch_rows(cursor, parsed(cursor, name), {**run, **more}, most - len(found))
            return found

        stored, count = read("trace_spans", MAX_SPANS + 1, chosen=None), 0
        if len(stored) > MAX_SPANS:
            outline = read("trace_outline", MAX_COUNTED)
            stored, count = read("trace_spans", MAX_SPANS, chosen=_worth_most(outline, MAX_SPANS)), len(outline)
        spans = sorted(map(span_of, stored), key=lambda span: span.started_at)
        since, until = datetime(1970, 1, 1), datetime(9999, 1, 1)
        if spans:
            since, until = spans[0].started_at - AROUND, spans[-1].started_at + AROUND
        around = {**halves, "since": since, "until": until}
        logs = map(log_of, fetch_rows(cursor, parsed(cursor, "trace_logs"), around))
        return Trace(spans, sorted(logs, key=lambda record: record.time), count or len(spans))


def search_traces(
    database: Database, index: TraceIndex, wanted: TraceFilter, since: datetime, until: datetime, limit: int
) -> list[TraceSummary]:
    """Traces with a matching span that started after `since`, up to `until`: the newest `limit` of them."""
    conditions: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in ("plugin", "version", "operation", "outcome", "text", "min_seconds", "max_seconds")
    }
    text = _lowered(database, wanted.text)
    found: dict[tuple[int, int], None] = {}
    for begin, end in _slices(since, until):
        places = None if text is None else index.candidates_with(text, begin, end)
        for trace in _hits(database, {**conditions, "since": begin, "until": end}, places, limit):
            found.setdefault(trace)
        if len(found) >= limit:
            break
    traces = list(found)[:limit]
    if not traces:
        return []
    halves = {"hi": [hi for hi, _ in traces], "lo": [lo for _, lo in traces]}
    runs = index.candidates_of_all(halves["hi"], halves["lo"])
    return database.values(TraceSummary, "trace_summaries", {**halves, **_lists(runs)})


def failing_spans(
    database: Database, plugin: str, since: datetime, until: datetime, limit: int, *, version: str | None = None
) -> list[FailingSpan]:
    """The newest failed spans of a plugin, or of one version; what is older than these is not looked at."""
    found: list[FailingSpan] = []
    for begin, end in _slices(since, until):
        slice_ = {"plugin": plugin, "version": version, "since": begin, "until": end, "limit": limit - len(found)}
        found += database.values(FailingSpan, "failing_traces", slice_)
        if len(found) >= limit:
            break
    return found


def _worth_most(outline: Sequence[Row], most: int) -> list[int]:
    """Return the ids of spans that failed and of those that lead to them, and then of the oldest."""
    parents = {row["span_id"]: row["parent_span_id"] for row in outline}
    chosen: dict[int, None] = {}
    for row in outline:
        at: int | None = row["span_id"] if row["failed"] else None
        while at is not None and at in parents and at not in chosen:
            chosen[at] = None
            at = parents[at]
    for row in sorted(outline, key=lambda row: row["started_at"]):
        chosen.setdefault(row["span_id"])
    return list(chosen)[:most]


def _lowered(database: Database, text: str | None) -> str | None:
    """As DuckDB does it: Python's lower case differs for some letters, and the index would then miss what the search finds."""
    return None if text is None else str(database.fetch(statement("lower_text"), {"text": text})[0]["text"])


def _lists(runs: Sequence[Run]) -> dict[str, list[int]]:
    return {"first": [first for first, _ in runs], "last": [last for _, last in runs]}


def _hits(database: Database, slice_: dict[str, Any], places: TextRuns | None, limit: int) -> Iterable[tuple[int, int]]:
    """Traces by their newest matching span, newest first: `limit` of them, unless there are no more; `places`: where they may be.

    To take the newest spans and see which traces they are of is cheaper than to group all that match; in the rare case that
    so many are of the same few traces that these are not enough, more are taken.
    """
    spans = limit * SPANS_A_TRACE
    while True:
        rows = [
            row
            for name, within in _questions(places)
            for row in database.fetch(statement(name), {**slice_, **within, "limit": spans})
        ]
        rows.sort(key=lambda row: row["started_at"], reverse=True)
        traces = dict.fromkeys((row["trace_hi"], row["trace_lo"]) for row in rows[:spans])
        if len(traces) >= limit or len(rows) < spans:
            return traces
        spans *= SLICE_GROWTH


def _questions(places: TextRuns | None) -> Iterable[tuple[str, dict[str, Any]]]:
    """Statements that find all there is, and what each of them takes besides."""
    if places is None:
        yield "trace_hits", {"first": 0, "last": 2**63 - 1}
        return
    # A run may be of millions of commits that brought no spans, so that they cannot be named one by one.
    yield "trace_hits", {"first": places.open[0], "last": places.open[1]}
    if sum(last - first for first, last in places.closed) > MAX_LISTED:
        yield "trace_hits", {"first": places.closed[0][0], "last": places.closed[-1][1]}
    elif places.closed:
        kinds = zip(KINDS, places.kinds, strict=True)
        yield "trace_hits_within", {**_lists(places.closed), **{f"in_{kind}": held for kind, held in kinds}}


def _slices(since: datetime, until: datetime) -> Iterable[tuple[datetime, datetime]]:
    length = FIRST_SLICE
    while until > since:
        begin = until - min(length, until - since)  # so that it stays within the calendar
        yield begin, until
        until, length = begin, length * SLICE_GROWTH
