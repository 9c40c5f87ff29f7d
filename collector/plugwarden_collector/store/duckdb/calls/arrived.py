"""What arrived since the last look, from the seconds: of each operation everything, of each part what says that it fails."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb

from plugwarden_collector.judge.arrivals import Arrivals, Cell, StreamCounts, Wanted
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.store.duckdb.statements import parsed

from .source import CallSource

__all__ = ["arrivals", "cells"]

_STREAM = 3
"""Columns that tell streams apart."""
_CELL = 8
"""Columns that tell cells apart."""
_ALL = (1 << 63) - 1
"""A mark that nothing comes after."""
_Slow = dict[tuple[str, ...], tuple[int, ...]]


def arrivals(
    source: CallSource, after: int, thresholds: Sequence[int], detail: Collection[str], since: datetime, until: datetime
) -> Arrivals:
    """Return what was counted after the mark `after`; see `store.telemetry.Judging`."""
    # What is counted by now is in every state of the store that is read from here on; what is counted meanwhile comes next.
    mark = source.tiers.rolled
    if mark <= after:
        # Below it, the store is an earlier one that was restored: whoever asks goes on from there.
        return Arrivals(mark)
    span = {"after": after, "mark": mark, "since": since, "until": until}
    with source.reading() as cursor:
        rows = _rows(cursor, "arrived_streams", span)
        slow = _slow(cursor, "arrived_slow", _STREAM, span, thresholds) if rows else {}
        none = (0,) * len(thresholds)
        streams = _streams(rows, slow, none, after)
        cells: list[Cell] = []
        if detail or any(row[4] or row[5] for row in rows):
            asked = {**span, "detail": list(detail)}
            of_cells = _slow(cursor, "arrived_slow_cells", _CELL, asked, thresholds) if slow else {}
            cells = [_cell(row, of_cells, none) for row in _rows(cursor, "arrived_cells", asked)]
    return Arrivals(mark, streams, cells, sum(row[6] for row in rows))


def _streams(rows: Sequence[tuple[Any, ...]], slow: _Slow, none: tuple[int, ...], after: int) -> list[StreamCounts]:
    """Return the counts of each operation, in parts where calls were bad; slow calls are not told by parts, so with any it is one."""
    whole: dict[tuple[str, str, str], list[int]] = {}
    found = []
    for plugin, version, operation, total, bad, refused, _, part, _ in rows:
        key = (plugin, version, operation)
        if not total and not refused:
            continue
        if part and key not in slow:
            counts = CallCounts(total, failed=bad)
            found.append(StreamCounts(plugin, version, operation, counts, refused, none, max(after, part - 1)))
        else:
            sums = whole.setdefault(key, [0, 0, 0])
            for place, calls in enumerate((total, bad, refused)):
                sums[place] += calls
    for stream, (total, bad, refused) in whole.items():
        counts = CallCounts(total, failed=bad)
        found.append(StreamCounts(*stream, counts, refused, slow.get(stream, none)))
    return found


def cells(source: CallSource, wanted: Sequence[Wanted], thresholds: Sequence[int], until: datetime) -> list[Cell]:
    """Return all cells of some plugins; see `store.telemetry.Judging`."""
    if not wanted:
        return []
    streams = [(item.plugin, *key, mark) for item in wanted for key, mark in item.streams.items()]
    asked = {
        "plugins": [item.plugin for item in wanted],
        "after": [item.after for item in wanted],
        "upto": [_ALL if item.upto is None else item.upto for item in wanted],
        "since": [item.since for item in wanted],
        "of_plugins": [item[0] for item in streams],
        "of_versions": [item[1] for item in streams],
        "of_operations": [item[2] for item in streams],
        "of_after": [item[3] for item in streams],
        "least": min([*(item.after for item in wanted), *(item[3] for item in streams)]),
        "first": min(item.since for item in wanted),
        "until": until,
    }
    none = (0,) * len(thresholds)
    with source.reading() as cursor:
        slow = _slow(cursor, "wanted_slow", _CELL, asked, thresholds)
        began = [item.began.get(stream) for item in wanted for stream in item.streams]
        return [_cell(row, slow, none) for row in _rows(cursor, "wanted_cells", {**asked, "of_began": began})]


def _cell(row: tuple[Any, ...], slow: _Slow, none: tuple[int, ...]) -> Cell:
    plugin, version, operation, service, instance, machine, tenant, error, total, bad, refused = row
    counts, above = CallCounts(total, failed=bad), slow.get(row[:_CELL], none)
    return Cell(plugin, version, operation, service, instance, machine, tenant, error, counts, refused, above)


def _rows(cursor: duckdb.DuckDBPyConnection, name: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return cursor.execute(parsed(cursor, name), asked).fetchall()


def _slow(
    cursor: duckdb.DuckDBPyConnection, name: str, width: int, asked: Mapping[str, Any], thresholds: Sequence[int]
) -> _Slow:
    """Return slow calls by threshold, of what has any. The first `width` columns tell of what."""
    if not thresholds:
        return {}
    found: dict[tuple[str, ...], dict[int, int]] = {}
    for *parts, fast, slow in _rows(cursor, name, {**asked, "thresholds": sorted(set(thresholds))}):
        found.setdefault(tuple(parts), {})[fast] = slow
    return {parts: tuple(of.get(fast, 0) for fast in thresholds) for parts, of in found.items()}
