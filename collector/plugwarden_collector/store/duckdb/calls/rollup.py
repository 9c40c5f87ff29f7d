"""Counts calls: from raw rows to seconds, from seconds to minutes, from minutes to hours.

Runs on the writer's connection, in one transaction, so that each raw row is counted exactly once, also over a kill: how far
counting has come is stored with the counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract import OVERFLOW

from plugwarden_collector.receive.decode.time_units import seconds_per
from plugwarden_collector.store.duckdb.handed import handed
from plugwarden_collector.store.duckdb.names.tenants import tell_tenants_apart
from plugwarden_collector.store.duckdb.names.told_apart import tell_apart
from plugwarden_collector.store.duckdb.names.words import tell_words_apart, within_contract
from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement

from .limits import add_limits, pack_limits
from .other_histograms import KEYS, to_calls
from .plausible import check_calls
from .resolutions import EPOCH, Tiers
from .streams import load_streams, store_streams

__all__ = ["CALLS", "NEVER", "STAGED", "add_calls", "as_calls", "count", "fold", "load_tiers", "roll_up"]

STAGED = frozenset({"incoming_spans", "incoming_points"})
FOLD_AFTER = timedelta(seconds=120)
"""Seconds are folded into minutes when a minute is this old: later calls still come in, one by one."""
QUIET = timedelta(hours=6)
"""How far beyond the newest call the tiers go: enough for the last full hour to be packed when nobody calls any more."""
MAX_INSTANCES = 20
"""Instances of one plugin that minutes and hours tell apart: with a thousand hosts the rollups would outgrow the raw data."""
MAX_OPERATIONS = 100
"""Operations of one plugin that minutes and hours tell apart."""
CALLS = pa.schema(
    [
        ("bucket_start", pa.timestamp("us")),
        *((name, pa.string()) for name in KEYS),
        ("calls", pa.uint64()),
        ("duration_seconds_sum", pa.float64()),
        ("duration_seconds_max", pa.float64()),
        ("cpu_seconds", pa.float64()),
        ("bucket_index", pa.list_(pa.int32())),
        ("bucket_count", pa.list_(pa.uint64())),
        ("batch", pa.uint64()),
    ]
)
"""Freshly counted calls: rows of call_seconds. `batch` is the commit that each of them came with, and so the order of their arrival:
what one process told before it failed, and what after it, are two commits, however many are counted in one turn."""
NEVER = 0
"""The commit of calls that arrived before anybody looked, or that judging has seen already."""
MAX_REOPENED = 24 * 35
"""Hours, as many as minutes are kept for."""

_FAR = datetime(9999, 1, 1)
_MANY = 2**62

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
    after = count(connection, tiers, batch, at, tables, reopened) if batch > tiers.rolled else tiers
    return fold(connection, after, at, reopened)


def count(
    connection: Connection, tiers: Tiers, batch: int, at: datetime, tables: Collection[str], reopened: set[datetime]
) -> Tiers:
    """The first half: add the raw rows beyond what is counted, up to `batch`, to the seconds."""
    fresh = [_named(connection, table, batch, at) for table in _fresh(connection, tiers.rolled, batch, tables, at)]
    late: set[datetime] = set()
    for table in fresh:
        late |= add_calls(connection, table, tiers)
    if len(reopened) < MAX_REOPENED:
        reopened |= late
    if "incoming_points" in tables:
        _add_waits(connection, tiers, batch, at)
        late = late | add_limits(connection, tiers, batch)
    _note(connection, "rolled", batch=batch)
    return tiers.counted(batch, fresh, late)


def fold(connection: Connection, tiers: Tiers, at: datetime, reopened: set[datetime]) -> Tiers:
    """The second half: bring the coarser tiers up to `at`."""
    after = tiers
    if at - after.minutes >= FOLD_AFTER:
        newest = _newest(connection, at)
        # Not beyond what there is: were the clock far ahead for a moment, all that comes for as long would be late.
        until = at if newest is None else min(at, newest + QUIET)
        before = (until - FOLD_AFTER / 2).replace(second=0, microsecond=0)
        if before > after.minutes:
            _fold(connection, "minute", after.minutes, before)
            connection.execute(statement("fold_waits").sql, {"first": after.minutes, "before": before})
            pack_limits(connection, after.minutes, before)
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


def _named(connection: Connection, table: pa.Table, batch: int, at: datetime) -> pa.Table:
    """Under the names and words that are told apart; all that is beyond them in a few rows, which came with `batch`."""
    kept, strangers = tell_apart(connection, within_contract(table), at)
    kept, crowd = tell_words_apart(connection, kept, "error_type", "calls", at)
    kept, tenants = tell_tenants_apart(connection, kept, at)
    found = [kept]
    for rows, narrow, tenant in ((strangers, True, ""), (crowd, False, ""), (tenants, False, OVERFLOW)):
        if rows is not None:
            with handed(connection, staged_calls=rows):
                packed = _folded(connection, "second", "staged", EPOCH, _FAR, narrow=narrow)
            packed = as_calls(packed.append_column("tenant_id", pa.repeat(tenant, len(packed))), batch)
            found.append(packed.select(kept.column_names).cast(kept.schema))
    return pa.concat_tables(found)


def as_calls(rows: pa.Table, batch: int) -> pa.Table:
    """Return rows of any tier as freshly counted calls that came with `batch`; what a tier does not tell apart is empty."""
    for name in ("tenant_id", "host_name"):
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.repeat("", len(rows)))
    rows = rows.drop_columns([name for name in ("batch",) if name in rows.column_names])
    return rows.append_column("batch", pa.repeat(batch, len(rows))).select(CALLS.names).cast(CALLS)


def _fresh(connection: Connection, after: int, until: int, tables: Collection[str], at: datetime) -> list[pa.Table]:
    found: list[pa.Table] = []
    batches = {"after": after, "until": until}
    if "incoming_spans" in tables:
        found.append(connection.sql(statement("fresh_spans").sql, params=batches).to_arrow_table())
    if "incoming_points" in tables:
        found.append(connection.sql(statement("fresh_points").sql, params=batches).to_arrow_table())
        foreign = connection.sql(statement("foreign_points").sql, params=batches).to_arrow_table()
        if len(foreign):
            found.append(_from_foreign(connection, foreign, at))
    return [table for table in found if len(table)]


def _from_foreign(connection: Connection, points: pa.Table, at: datetime) -> pa.Table:
    streams = load_streams(connection, points)
    calls = to_calls(points, streams, CALLS)
    store_streams(connection, streams, at)
    return calls


def _add_waits(connection: Connection, tiers: Tiers, until: int, at: datetime) -> None:
    asked = {"after": tiers.rolled, "until": until}
    units = connection.execute(statement("wait_units").sql, asked).fetchall()
    seconds = {unit: found for (unit,) in units if (found := seconds_per(unit)) is not None}
    if not seconds:
        return
    lists = {"units": list(seconds), "unit_seconds": list(seconds.values())}
    waits = connection.sql(statement("fresh_waits").sql, params={**asked, **lists}).to_arrow_table()
    for rows in tell_words_apart(connection, within_contract(waits), "downstream", "waits", at):
        if rows is not None:
            with handed(connection, staged_waits=rows):
                connection.execute(statement("insert_waits").sql)
                connection.execute(statement("insert_late_waits").sql, {"before": tiers.minutes})


def add_calls(connection: Connection, table: pa.Table, tiers: Tiers) -> set[datetime]:
    """Add rows to the seconds tier; late rows also to the minute and hour tiers already closed. Return those hours.

    Raises `UncountableError` where a row says what cannot be: once in, it would spoil every sum that it is part of.
    """
    check_calls(table)
    oldest = pc.min(table["bucket_start"]).as_py()
    with handed(connection, staged_calls=table):
        connection.execute(statement("insert_seconds").sql)
        late = {
            unit: _folded(connection, unit, "staged", EPOCH, before)
            for unit, before in (("minute", tiers.minutes), ("hour", tiers.hours))
            if oldest < before
        }
    for unit, rows in late.items():
        if len(rows):
            _add(connection, rows, unit)
    return set(late["hour"]["bucket_start"].to_pylist()) if "hour" in late else set()


def _pack_again(connection: Connection, reopened: set[datetime]) -> None:
    """Bring late calls together with those of their hours: they came in a few at a time, and stay for long."""
    for hour in sorted(reopened):
        span = {"first": hour, "before": hour + timedelta(hours=1)}
        minutes = _folded(connection, "minute", "minutes", span["first"], span["before"])
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


def _folded(
    connection: Connection, unit: str, source: str, first: datetime, before: datetime, *, narrow: bool = True
) -> pa.Table:
    """`narrow` false: however many instances and operations there are."""
    parameters = {
        "unit": unit,
        "source": source,
        "first": first,
        "before": before,
        "instances": MAX_INSTANCES if narrow else _MANY,
        "operations": MAX_OPERATIONS if narrow else _MANY,
    }
    # The statement names the staging table whatever it reads; unless it is what is to be read, it is empty.
    empty = {} if source == "staged" else {"staged_calls": CALLS.empty_table()}
    with handed(connection, **empty):
        return connection.sql(statement("fold_calls").sql, params=parameters).to_arrow_table()


def _add(connection: Connection, rows: pa.Table, unit: str) -> None:
    with handed(connection, folded_calls=rows):
        connection.execute(statement(f"insert_{unit}s").sql)


def _newest(connection: Connection, at: datetime) -> datetime | None:
    newest: datetime | None = connection.execute(statement("newest_second").sql, {"at": at}).fetchall()[0][0]
    return newest


def _note(connection: Connection, name: str, *, batch: int | None = None, time: datetime | None = None) -> None:
    connection.execute(statement("advance_progress").sql, {"name": name, "batch": batch, "time": time})
