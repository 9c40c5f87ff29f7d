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

Connection = duckdb.DuckDBPyConnection


def load_tiers(connection: Connection) -> Tiers:
    """Where the rollups stand, as stored."""
    rows = {row["name"]: row for row in fetch_rows(connection, statement("progress").sql)}
    times = {name: rows[name]["time"] or EPOCH for name in ("seconds", "minutes", "hours")}
    return Tiers(int(rows["rolled"]["batch"]), **times)


def roll_up(connection: Connection, tiers: Tiers, batch: int, at: datetime, tables: Collection[str] = STAGED) -> Tiers:
    """Count the raw rows up to `batch`, the newest that is stored, and fold what is old enough.

    `tables` names the staging tables that brought rows since the last time: the others need not be looked at. The caller
    holds the transaction, and takes the answer for true once it is committed.
    """
    after = tiers
    if batch > tiers.rolled:
        for table in _fresh(connection, tiers.rolled, tables):
            _add_fresh(connection, table, tiers)
        if "incoming_points" in tables:
            connection.execute(statement("insert_waits").sql, {"after": tiers.rolled})
        after = replace(after, rolled=batch)
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
    stood = {
        row["series"]: _level(row) for row in fetch_rows(connection, statement("load_series").sql, {"series": names})
    }
    calls, moved = to_calls(points, stood)
    for series, level in moved.items():
        connection.execute(statement("store_series").sql, _level_row(series, level))
    return pa.Table.from_pylist(calls, _CALLS)


def _add_fresh(connection: Connection, table: pa.Table, tiers: Tiers) -> None:
    connection.register("staged_calls", table)
    try:
        connection.execute(statement("insert_seconds").sql)
        connection.execute(statement("insert_late_minutes").sql, {"before": tiers.minutes})
        connection.execute(statement("insert_late_hours").sql, {"before": tiers.hours})
    finally:
        connection.unregister("staged_calls")


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
    return connection.sql(statement("fold_calls").sql, params=parameters).to_arrow_table()


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
