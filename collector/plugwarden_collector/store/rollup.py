"""Counts calls: from raw rows to seconds, from seconds to minutes, from minutes to hours.

Runs on the writer's connection, in one transaction, so that each raw row is counted exactly once, also over a kill: how far
counting has come is stored with the counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from .foreign import CUMULATIVE, KEYS, Level, to_calls
from .rows import Row, fetch_rows
from .statements import statement
from .tiers import EPOCH, Tiers

__all__ = ["load_tiers", "roll_up"]

STAGED = frozenset({"incoming_spans", "incoming_points"})
FOLD_AFTER = timedelta(seconds=120)
"""Seconds are folded into minutes when a minute is this old: later calls still come in, one by one."""
MAX_INSTANCES = 20
"""Of one plugin, told apart in the minutes and hours: with a thousand hosts the rollups would outgrow the raw data."""
MAX_OPERATIONS = 100
"""Of one plugin, told apart in the minutes and hours."""
_CALLS = pa.schema(
    [
        ("bucket_start", pa.timestamp("us")),
        *((name, pa.string()) for name in KEYS),
        ("calls", pa.uint64()),
        ("duration_seconds_sum", pa.float64()),
        ("duration_seconds_max", pa.float64()),
        ("cpu_seconds", pa.float64()),
        ("bucket_index", pa.list_(pa.int32())),
        ("bucket_count", pa.list_(pa.uint64())),
    ]
)

_SERIES = pa.schema(
    [
        ("series", pa.uint64()),
        ("started_at", pa.timestamp("us")),
        ("time", pa.timestamp("us")),
        ("count", pa.uint64()),
        ("sum", pa.float64()),
        ("bucket_index", pa.list_(pa.int32())),
        ("bucket_count", pa.list_(pa.uint64())),
    ]
)
MAX_REOPENED = 24 * 35
"""Hours, as many as minutes are kept for."""

Connection = duckdb.DuckDBPyConnection


def load_tiers(connection: Connection) -> Tiers:
    """Where the rollups stand, as stored."""
    rows = {row["name"]: row for row in fetch_rows(connection, statement("progress").sql)}
    seconds, minutes, hours = (rows[name]["time"] or EPOCH for name in ("seconds", "minutes", "hours"))
    rolled = int(rows["rolled"]["batch"])
    return Tiers(rolled, seconds, minutes, hours, fresh_from=rolled, late_from=rolled)


def roll_up(
    connection: Connection,
    tiers: Tiers,
    batch: int,
    at: datetime,
    tables: Collection[str] = STAGED,
    reopened: set[datetime] | None = None,
) -> Tiers:
    """Count the raw rows up to `batch`, the newest that is stored, and fold what is old enough.

    `tables` names the staging tables that brought rows since the last time: the others need not be looked at. `reopened`
    collects full hours that late calls came in for; they are packed again with the next hour. The caller holds the
    transaction, and takes the answer for true once it is committed.
    """
    reopened = set() if reopened is None else reopened
    after = tiers
    if batch > tiers.rolled:
        fresh = _fresh(connection, tiers.rolled, tables)
        late: set[datetime] = set()
        for table in fresh:
            late |= _add_fresh(connection, table, tiers)
        if len(reopened) < MAX_REOPENED:
            reopened |= late
        if "incoming_points" in tables:
            connection.execute(statement("insert_waits").sql, {"after": tiers.rolled})
        after = after.counted(batch, fresh, late)
        _note(connection, "rolled", batch=batch)
    if at - after.minutes >= FOLD_AFTER:
        before = (at - FOLD_AFTER / 2).replace(second=0, microsecond=0)
        _fold(connection, "minute", after.minutes, before)
        after = replace(after, minutes=before)
        _note(connection, "minutes", time=before)
    full_hour = after.minutes.replace(minute=0, second=0, microsecond=0)
    if full_hour > after.hours:
        _pack_minutes(connection, after.hours, full_hour)
        _fold(connection, "hour", after.hours, full_hour)
        _pack_again(connection, reopened)
        after = replace(after, hours=full_hour)
        _note(connection, "hours", time=full_hour)
    return after


def _fresh(connection: Connection, after: int, tables: Collection[str]) -> list[pa.Table]:
    found: list[pa.Table] = []
    if "incoming_spans" in tables:
        found.append(connection.sql(statement("fresh_spans").sql, params={"after": after}).to_arrow_table())
    if "incoming_points" in tables:
        found.append(connection.sql(statement("fresh_points").sql, params={"after": after}).to_arrow_table())
        foreign = fetch_rows(connection, statement("foreign_points").sql, {"after": after})
        if foreign:
            found.append(_from_foreign(connection, foreign))
    return [table for table in found if len(table)]


def _from_foreign(connection: Connection, points: list[Row]) -> pa.Table:
    names = sorted({row["series"] for row in points if row["temporality"] == CUMULATIVE})
    connection.register("wanted_series", pa.table({"series": pa.array(names, pa.uint64())}))
    try:
        stood = {row["series"]: _level(row) for row in fetch_rows(connection, statement("load_series").sql)}
    finally:
        connection.unregister("wanted_series")
    calls, moved = to_calls(points, stood)
    if moved:
        levels = pa.Table.from_pylist([_level_row(*item) for item in moved.items()], _SERIES)
        connection.register("staged_series", levels)
        try:
            connection.execute(statement("store_series").sql)
        finally:
            connection.unregister("staged_series")
    return pa.Table.from_pylist(calls, _CALLS)


def _add_fresh(connection: Connection, table: pa.Table, tiers: Tiers) -> set[datetime]:
    """Into the seconds; what is late, into the coarser tiers that have passed its time as well. Answers the hours of those."""
    oldest = pc.min(table["bucket_start"]).as_py()
    connection.register("staged_calls", table)
    try:
        connection.execute(statement("insert_seconds").sql)
        late = {
            unit: _folded(connection, unit, "staged", EPOCH, before)
            for unit, before in (("minute", tiers.minutes), ("hour", tiers.hours))
            if oldest < before
        }
    finally:
        connection.unregister("staged_calls")
    for unit, rows in late.items():
        if len(rows):
            _add(connection, rows, unit)
    return set(late["hour"]["bucket_start"].to_pylist()) if "hour" in late else set()


def _pack_again(connection: Connection, reopened: set[datetime]) -> None:
    """Bring late calls together with those of their hours: they came in a few at a time, and stay for long."""
    for hour in sorted(reopened):
        span = {"first": hour, "before": hour + timedelta(hours=1)}
        minutes = _folded(connection, "minute", "minutes", **span)
        counted = fetch_rows(connection, statement("hour_calls").sql, {"hour": hour})[0]["calls"]
        # Of an hour whose minutes were let go, only the late calls have any: they must not pass for all of it.
        if (pc.sum(minutes["calls"]).as_py() or 0) == counted:
            connection.execute(statement("forget_minutes").sql, span)
            _add(connection, minutes, "minute")
            connection.execute(statement("forget_hours").sql, span)
            _fold(connection, "hour", **span)
    reopened.clear()


def _fold(connection: Connection, unit: str, first: datetime, before: datetime) -> None:
    _add(connection, _folded(connection, unit, "seconds" if unit == "minute" else "minutes", first, before), unit)


def _pack_minutes(connection: Connection, first: datetime, before: datetime) -> None:
    """Write the minutes of full hours anew, rows of one key as one and all in a few row groups: they came in by the minute,
    late calls one by one, and are read for a month."""
    packed = _folded(connection, "minute", "minutes", first, before)
    connection.execute(statement("forget_minutes").sql, {"first": first, "before": before})
    _add(connection, packed, "minute")


def _folded(connection: Connection, unit: str, source: str, first: datetime, before: datetime) -> pa.Table:
    parameters = {
        "unit": unit,
        "source": source,
        "first": first,
        "before": before,
        "instances": MAX_INSTANCES,
        "operations": MAX_OPERATIONS,
    }
    # The statement names the staging table whatever it reads; unless it is what is to be read, it is empty.
    if source != "staged":
        connection.register("staged_calls", _CALLS.empty_table())
    try:
        return connection.sql(statement("fold_calls").sql, params=parameters).to_arrow_table()
    finally:
        if source != "staged":
            connection.unregister("staged_calls")


def _add(connection: Connection, rows: pa.Table, unit: str) -> None:
    connection.register("staged_calls", rows)
    try:
        connection.execute(statement(f"insert_{unit}s").sql)
    finally:
        connection.unregister("staged_calls")


def _note(connection: Connection, name: str, *, batch: int | None = None, time: datetime | None = None) -> None:
    connection.execute(statement("advance_progress").sql, {"name": name, "batch": batch, "time": time})


def _level(row: dict[str, Any]) -> Level:
    buckets = dict(zip(row["bucket_index"], row["bucket_count"], strict=True))
    return Level(row["started_at"], row["time"], row["count"], row["sum"], buckets)


def _level_row(series: int, level: Level) -> dict[str, Any]:
    return {
        "series": series,
        "started_at": level.started_at,
        "time": level.time,
        "count": level.count,
        "sum": level.sum,
        "bucket_index": list(level.buckets),
        "bucket_count": list(level.buckets.values()),
    }
