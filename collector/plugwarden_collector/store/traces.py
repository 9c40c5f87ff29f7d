"""Reads traces: one by its id, or those that match a search. Fast by layout, see trace_index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .database import Database
from .rows import Row
from .statements import statement
from .trace_index import TraceIndex

__all__ = ["TraceFilter", "find_trace", "search_traces"]

AROUND = timedelta(hours=1)
"""Log records of a trace are looked for this long around its spans."""
FIRST_SLICE = timedelta(minutes=15)
"""A search looks here first, and in slices four times as long after that: the newest matches are what people want."""
SLICE_GROWTH = 4


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


def find_trace(database: Database, index: TraceIndex, trace_id: int) -> tuple[list[Row], list[Row]]:
    """Spans (oldest first) and log records of one trace; `trace_id` as a 128-bit integer."""
    halves = {"hi": trace_id >> 64, "lo": trace_id & (2**64 - 1)}
    spans: list[Row] = []
    for first, last in index.candidates(halves["hi"], halves["lo"]):
        spans += database.fetch(statement("trace_rows"), {**halves, "first": first, "last": last})
    spans.sort(key=lambda row: row["started_at"])
    since, until = datetime(1970, 1, 1), datetime(9999, 1, 1)
    if spans:
        since, until = spans[0]["started_at"] - AROUND, spans[-1]["started_at"] + AROUND
    return spans, database.fetch(statement("trace_logs"), {**halves, "since": since, "until": until})


def search_traces(
    database: Database, index: TraceIndex, wanted: TraceFilter, since: datetime, until: datetime, limit: int
) -> list[Row]:
    """Traces with a matching span that started after `since`, up to `until`: the newest `limit` of them."""
    conditions: dict[str, Any] = {
        name: getattr(wanted, name) for name in ("plugin", "version", "outcome", "text", "min_seconds", "max_seconds")
    }
    found: dict[tuple[int, int], None] = {}
    for begin, end in _slices(since, until):
        slice_ = {**conditions, "since": begin, "until": end, "limit": limit}
        for row in database.fetch(statement("trace_hits"), slice_):
            found.setdefault((row["trace_hi"], row["trace_lo"]))
        if len(found) >= limit:
            break
    traces = list(found)[:limit]
    if not traces:
        return []
    runs = {run for hi, lo in traces for run in index.candidates(hi, lo)}
    return database.fetch(
        statement("trace_summaries"),
        {
            "hi": [hi for hi, _ in traces],
            "lo": [lo for _, lo in traces],
            "first": min(first for first, _ in runs),
            "last": max(last for _, last in runs),
        },
    )


def _slices(since: datetime, until: datetime) -> Iterable[tuple[datetime, datetime]]:
    length = FIRST_SLICE
    while until > since:
        begin = max(since, until - length)
        yield begin, until
        until, length = begin, length * SLICE_GROWTH
