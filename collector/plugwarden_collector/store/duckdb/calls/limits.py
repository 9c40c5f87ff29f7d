"""Keeps how full the limits of plugins were, by the minute: what host processes tell, the fullest of them.

A row says how near one process came to its limit, so that what comes late or twice changes nothing but that: no process has to be known.
"""

from __future__ import annotations

from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from plugwarden_collector.store.duckdb.handed import handed
from plugwarden_collector.store.duckdb.statements import statement

from .resolutions import Tiers

__all__ = ["add_limits", "pack_limits"]

MAX_OPERATIONS = 100
"""Operations of a plugin's version that a minute tells apart, the fullest: names come from hosts."""

Connection = duckdb.DuckDBPyConnection


def add_limits(connection: Connection, tiers: Tiers, until: int) -> set[datetime]:
    """Add what points beyond those that are counted tell, up to a commit. Return the full hours that are told of late."""
    asked = {"after": tiers.rolled, "until": until, "most": MAX_OPERATIONS}
    rows = connection.sql(statement("fresh_limits").sql, params=asked).to_arrow_table()
    if not len(rows):
        return set()
    _insert(connection, rows)
    hours = pc.unique(pc.floor_temporal(rows["bucket_start"], unit="hour")).to_pylist()
    return {hour for hour in hours if hour < tiers.hours}


def pack_limits(connection: Connection, first: datetime, before: datetime) -> None:
    """Bring the rows of minutes that are over together: processes tell every few seconds."""
    span = {"first": first, "before": before}
    packed = connection.sql(statement("packed_limits").sql, params={**span, "most": MAX_OPERATIONS}).to_arrow_table()
    if len(packed):
        connection.execute(statement("forget_limits").sql, span)
        _insert(connection, packed)


def _insert(connection: Connection, rows: pa.Table) -> None:
    with handed(connection, staged_limits=rows):
        connection.execute(statement("insert_limits").sql)
